"""Laws of a batcher that no formula holds for: a queue delay, preferred sizes, many instances, uneven batches.

They are those of a sample: requests served one after the other by the rules of `models.simulation.batch_loop`, always
on the same chances, so that two questions differ by what they ask. Its limits are those of the rules: a lone request
waits for the delay and then takes a batch of one, at whatever load. Nothing is drawn out beyond a range; what is left
is chance, 0.2 % of most statistics in the median and some per cent of p99 near saturation (docs/batching-accuracy.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.batcher import Batcher, DispatchRule
from models.batching_discrepancy import ChainAnswer
from models.latency_law import LatencyLaw
from models.simulation.batching import simulate_batching
from models.workload import OpenArrivals

Array = NDArray[np.float64]

SEED = 20_811
"""Not the default of `planner simulate`: the two check each other."""
_SIZES = ((0.4, 80_000), (0.7, 150_000), (0.85, 250_000), (0.92, 400_000), (1.0, 1_000_000))
"""Requests up to a load: more where the queue forgets slowly."""
_MOST = 2.5
"""At most so many times as many where arrivals are bursty or batches uneven."""
_EACH = 20
"""Requests an instance at least."""
_SHARES = np.concatenate([np.linspace(0.002, 0.95, 475, endpoint=False), 1.0 - np.geomspace(0.05, 5e-5, 226)])


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """What was observed of a batcher."""

    answer: ChainAnswer
    utilization: float
    """Mean share of the instances that are busy."""


def sampled(batcher: Batcher, arrivals: OpenArrivals, rule: DispatchRule) -> Sample:
    """Serve a fixed stream of requests and observe."""
    load = arrivals.rate_per_s / batcher.capacity_per_s
    size = next(size for top, size in _SIZES if load <= top)
    uneven = max(1.0, arrivals.burstiness) + float(batcher.cvs[1:].max()) ** 2
    size = max(int(size * min(uneven, _MOST)), _EACH * batcher.instances)
    seen = simulate_batching(batcher, arrivals, rule=rule, requests=size, seed=SEED)
    mean_batch = min(seen.mean_batch, float(batcher.max_batch_size))  # but for rounding
    answer = ChainAnswer(queue=_law(seen.queue_s), e2e=_law(seen.e2e_s), mean_batch=mean_batch)
    return Sample(answer=answer, utilization=seen.utilization)


def _law(seen_s: Array) -> LatencyLaw:
    ascending = np.sort(seen_s)
    at = np.minimum((_SHARES * ascending.size).astype(int), ascending.size - 1)
    return LatencyLaw(values_s=ascending[at], cdf=_SHARES, mean_s=float(ascending.mean()))
