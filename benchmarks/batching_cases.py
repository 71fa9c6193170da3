"""Random questions about a dynamic batcher."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.random_draws import log_uniform
from models.batcher import Batcher
from models.service_time import ServiceTime
from models.workload import OpenArrivals


@dataclass(frozen=True, kw_only=True)
class BatchingCase:
    """A batcher and its load."""

    batcher: Batcher
    arrivals: OpenArrivals
    load: float
    """Arrival rate over capacity."""


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """From where to where cases are drawn."""

    instances: tuple[int, int] = (1, 4)
    loads: tuple[float, float] = (0.1, 0.95)
    cvs: tuple[float, float] = (0.0, 0.3)
    delays: tuple[float, float] | None = None
    """In times of a batch of one; None: no queue delay."""
    burstiness: tuple[float, float] = (0.3, 4.0)
    preferring: float = 0.0
    """Share of cases that have one or two preferred sizes."""


def batching_case(number: int, seed: int, ranges: Ranges) -> BatchingCase:
    """Batch limit 1 to 64; times nearly flat to nearly linear in the batch; half of the arrivals are Poisson."""
    rng = np.random.default_rng([seed, number])
    largest = min(64, int(log_uniform(rng, 1.0, 65.0)))
    part, power = log_uniform(rng, 0.003, 0.9), float(rng.uniform(0.7, 1.1))
    sizes = sorted({*(2**k for k in range(largest.bit_length())), largest})
    cv = float(rng.uniform(*ranges.cvs)) if rng.random() < 0.6 else ranges.cvs[0]
    preferred: tuple[int, ...] = ()
    if rng.random() < ranges.preferring and largest > 2:
        preferred = tuple(sorted(set(rng.integers(2, largest + 1, int(rng.integers(1, 3))).tolist())))
    batcher = Batcher(
        service_time=ServiceTime(
            batches=tuple(sizes),
            means_s=tuple(0.02 * (1.0 - part + part * size**power) for size in sizes),
            cvs=(cv,) * len(sizes),
        ),
        max_batch_size=largest,
        preferred_batch_sizes=preferred,
        max_queue_delay_s=0.02 * log_uniform(rng, *ranges.delays) if ranges.delays is not None else 0.0,
        instances=int(rng.integers(ranges.instances[0], ranges.instances[1] + 1)),
    )
    load = float(rng.uniform(*ranges.loads))
    burstiness = 1.0 if rng.random() < 0.5 else log_uniform(rng, *ranges.burstiness)
    arrivals = OpenArrivals(rate_per_s=load * batcher.capacity_per_s, burstiness=burstiness)
    return BatchingCase(batcher=batcher, arrivals=arrivals, load=load)
