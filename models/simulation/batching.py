"""Simulate a dynamic batcher, request by request, and observe the laws of its latencies."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.batcher import Batcher, DispatchRule
from models.errors import InvalidInput
from models.latency_law import LatencyLaw
from models.simulation import batch_loop
from models.workload import OpenArrivals

Array = NDArray[np.float64]

_WARM_UP = 0.1
_COOL_DOWN = 0.02


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchingSimulation:
    """What was observed of one replica, warm-up and cool-down left out."""

    queue_s: Array = field(repr=False)
    """Arrival to start, in order of arrival (n,)."""
    e2e_s: Array = field(repr=False)
    """Arrival to end (n,)."""
    batch: NDArray[np.int64] = field(repr=False)
    """Size of the batch that each went with (n,)."""
    utilization: float
    """Mean share of the instances that are busy."""
    stable: bool
    """Whether the queue was not seen to grow without end."""

    @property
    def mean_batch(self) -> float:
        """Requests over executions."""
        return float(1.0 / np.mean(1.0 / self.batch))

    @property
    def queue(self) -> LatencyLaw:
        """The law of waiting."""
        return LatencyLaw.from_samples(self.queue_s)

    @property
    def e2e(self) -> LatencyLaw:
        """The law of the whole latency."""
        return LatencyLaw.from_samples(self.e2e_s)


def simulate_batching(
    batcher: Batcher,
    arrivals: OpenArrivals,
    *,
    rule: DispatchRule = DispatchRule.WHEN_IDLE,
    requests: int = 200_000,
    seed: int = 1,
) -> BatchingSimulation:
    """Serve `requests` requests at one replica. Deterministic for a seed."""
    if not 100 <= requests <= 1_000_000_000:
        raise InvalidInput("a simulation needs 100 to 1e9 requests")
    rng = np.random.default_rng(seed)
    when = np.cumsum(gaps(arrivals, requests, rng))
    held_back = rule is DispatchRule.WHILE_RUNNING and batcher.holds_back
    started, done, batch, busy = batch_loop.run(
        when, batcher.means_s, batcher.cvs, np.array(batcher.wanted), batcher.max_batch_size,
        batcher.max_queue_delay_s, batcher.instances, held_back, int(rng.integers(2**31)),
    )  # fmt: skip
    window = slice(int(requests * _WARM_UP), int(requests * (1.0 - _COOL_DOWN)))
    return BatchingSimulation(
        queue_s=(started - when)[window],
        e2e_s=(done - when)[window],
        batch=batch[window],
        utilization=min(1.0, busy / (batcher.instances * float(done.max()))),
        stable=not grows(when, started - when, arrivals.burstiness),
    )


def grows(when: Array, waited_s: Array, burstiness: float) -> bool:
    """Whether waits were seen to grow in proportion to the time: more arrives than is served.

    Each quarter's mean is then well above that of the quarter before, and the last waits are a notable part of the run,
    more than a stream that keeps up falls behind by chance.
    """
    first, second, third, fourth = (float(part.mean()) for part in np.array_split(waited_s, 4))
    last = float(waited_s[-max(1, waited_s.size // 50) :].mean())
    by_chance = 1.5 * math.sqrt(max(1.0, burstiness) / waited_s.size)
    rising = first < second < 0.8 * third and third < 0.9 * fourth
    return rising and last > by_chance * float(when[-1] - when[0])


def gaps(arrivals: OpenArrivals, count: int, rng: np.random.Generator) -> Array:
    """Gamma times between arrivals (count,), seconds."""
    mean = 1.0 / arrivals.rate_per_s
    if arrivals.burstiness == 0.0:
        return np.full(count, mean)
    return rng.gamma(1.0 / arrivals.burstiness, mean * arrivals.burstiness, count)
