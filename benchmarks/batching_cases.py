"""Random questions about a dynamic batcher."""

from __future__ import annotations

import math
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


def batching_case(number: int, seed: int, *, delayed: bool, preferring: float = 0.0) -> BatchingCase:
    """Batch limit 1 to 64, 1 to 4 instances, load 10 to 95 %.

    Half of the arrivals are Poisson, the others of squared coefficient of variation 0.3 to 4; a share `preferring` has
    one or two preferred sizes.
    """
    rng = np.random.default_rng([seed, number])
    largest = min(64, int(log_uniform(rng, 1.0, 65.0)))
    part, power = log_uniform(rng, 0.003, 0.9), float(rng.uniform(0.7, 1.1))
    sizes = sorted({*(2**k for k in range(largest.bit_length())), largest})
    cv = float(rng.uniform(0.0, 0.3)) if rng.random() < 0.6 else 0.0
    preferred: tuple[int, ...] = ()
    if rng.random() < preferring and largest > 2:
        preferred = tuple(sorted(set(rng.integers(2, largest + 1, int(rng.integers(1, 3))).tolist())))
    batcher = Batcher(
        service_time=ServiceTime(
            batches=tuple(sizes),
            means_s=tuple(0.02 * (1.0 - part + part * size**power) for size in sizes),
            cvs=(cv,) * len(sizes),
        ),
        max_batch_size=largest,
        preferred_batch_sizes=preferred,
        max_queue_delay_s=0.02 * log_uniform(rng, 0.02, 3.0) if delayed else 0.0,
        instances=int(rng.integers(1, 5)),
    )
    load = float(rng.uniform(0.1, 0.95))
    burstiness = 1.0 if rng.random() < 0.5 else math.exp(rng.uniform(math.log(0.3), math.log(4.0)))
    arrivals = OpenArrivals(rate_per_s=load * batcher.capacity_per_s, burstiness=burstiness)
    return BatchingCase(batcher=batcher, arrivals=arrivals, load=load)
