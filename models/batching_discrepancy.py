"""What the embedded chain of a batcher misses, learned from simulated batchers.

The chain of `models.bulk_queue` is exact for one instance and Poisson arrivals. Of several instances it knows neither
that a small batch is short and so follows soon on the one before, nor that such batches then bunch. Its *discrepancy*
(Kennedy and O'Hagan 2001, Bayesian calibration of computer models, §2) is held by small networks: the logarithm of what
is observed over what the chain says, of the mean batch and of both latencies at a few probabilities. They say nothing
of what is unlike that which they were learned from: queue delays, preferred sizes, many instances, uneven batches, next
to no load. `models.simulation.batching_sample` answers there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from models.batcher import Batcher
from models.latency_law import LatencyLaw
from models.network import Network
from models.workload import OpenArrivals

Array = NDArray[np.float64]

KNOTS = (0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
"""Probabilities at which the laws are corrected; between them in proportion to the log-odds."""
_LOOKED_AT = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
LARGEST_BATCH, MOST_INSTANCES, MOST_UNEVEN, LEAST_LOAD = 64, 4, 0.3, 0.1
SMOOTHEST, BURSTIEST = 0.3, 4.0
"""What was learned from: batch limits, instances, coefficients of variation of a batch's time, loads, and squared
coefficients of variation of the gaps between arrivals."""
LEAST_LOAD_UNEVEN, _EVEN = 0.4, 0.05
"""Least load for times of batches whose coefficient of variation is above this."""
_FAMILIAR = 0.9
FLOOR = 0.02
"""Added to waits, in times of a batch of one, before the logarithm: a wait may be zero."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ChainAnswer:
    """What the chain says of a batcher under a load, or what is left of it when put right."""

    queue: LatencyLaw
    e2e: LatencyLaw
    mean_batch: float


def network_inputs(batcher: Batcher, arrivals: OpenArrivals, found: ChainAnswer) -> Array:
    """The question and the chain's answer, without units."""
    means, full = batcher.means_s, batcher.full_batch
    one = float(means[1])
    load = arrivals.rate_per_s / batcher.capacity_per_s
    delay = batcher.max_queue_delay_s / one
    middle = max(1, round(full**0.5))
    offered = arrivals.rate_per_s * one
    return np.array(
        [
            load, np.log1p(-load), np.log(full), np.log(means[full] / one), np.log(means[middle] / one),
            np.log(batcher.instances), float(batcher.instances == 1), np.log(max(arrivals.burstiness, 0.1)),
            float(batcher.cvs[full]), np.log(offered), np.log(offered / batcher.instances),
            np.log(batcher.wanted[0] / full), np.log(batcher.max_batch_size / full),
            np.log(batcher.wanted[len(batcher.wanted) // 2] / full),
            np.log1p(delay), np.log1p(5.0 * delay), np.log1p(arrivals.rate_per_s * batcher.max_queue_delay_s),
            np.log1p(arrivals.rate_per_s * batcher.max_queue_delay_s / batcher.wanted[0]),
            np.log(found.mean_batch), np.log(found.mean_batch / full),
            *np.log(found.e2e.quantiles(_LOOKED_AT) / one), *np.log(found.queue.quantiles(_LOOKED_AT) / one + FLOOR),
        ]
    )  # fmt: skip


def exact(batcher: Batcher, arrivals: OpenArrivals) -> bool:
    """Whether the chain misses nothing."""
    plain = batcher.max_queue_delay_s == 0.0 and batcher.wanted == (batcher.max_batch_size,)
    return plain and batcher.instances == 1 and abs(arrivals.burstiness - 1.0) < 1e-6


def within_reach(batcher: Batcher, arrivals: OpenArrivals) -> bool:
    """Whether the chain, put right, is of use: for what was learned from, and nothing beyond."""
    if batcher.holds_back or batcher.wanted != (batcher.max_batch_size,) or batcher.max_batch_size > LARGEST_BATCH:
        return False
    if float(batcher.cvs[1:].max()) > MOST_UNEVEN:
        return False
    # Where few wait, a latency is the time of a batch itself, for which the chain has a few points only.
    least = LEAST_LOAD_UNEVEN if float(batcher.cvs[1:].max()) > _EVEN else LEAST_LOAD
    quiet = arrivals.rate_per_s < least * batcher.capacity_per_s
    learned = SMOOTHEST <= arrivals.burstiness <= BURSTIEST and batcher.instances <= MOST_INSTANCES and not quiet
    return learned or exact(batcher, arrivals)


def corrected(batcher: Batcher, arrivals: OpenArrivals, found: ChainAnswer) -> ChainAnswer | None:
    """The chain's answer put right; None where the network saw nothing like it."""
    if exact(batcher, arrivals):
        return found
    network, inputs = _network(), network_inputs(batcher, arrivals, found)
    if network.familiarity(inputs) < _FAMILIAR:
        return None
    return moved(batcher, found, network(inputs))


def moved(batcher: Batcher, found: ChainAnswer, shift: Array) -> ChainAnswer:
    """The answer with logarithms added: of the mean batch, and of both laws at KNOTS (waits with FLOOR)."""
    one, many = float(batcher.means_s[1]), len(KNOTS)
    mean_batch = float(np.clip(found.mean_batch * np.exp(shift[0]), 1.0, batcher.max_batch_size))
    return ChainAnswer(
        mean_batch=mean_batch,
        e2e=_stretched(found.e2e, shift[1 : 1 + many], 0.0),
        queue=_stretched(found.queue, shift[1 + many :], FLOOR * one),
    )


def _stretched(law: LatencyLaw, shift: Array, floor_s: float) -> LatencyLaw:
    odds = np.log(np.array(KNOTS) / (1.0 - np.array(KNOTS)))
    share = np.clip(law.cdf, 1e-6, 1.0 - 1e-6)
    factor = np.exp(np.interp(np.log(share / (1.0 - share)), odds, shift))
    values = np.maximum.accumulate(np.maximum((law.values_s + floor_s) * factor - floor_s, 0.0))
    # Where the chain says that nobody waits, a wait less than the floor is none.
    middle = 0.5 * (values[1:] + values[:-1])
    mean = float(middle @ np.diff(law.cdf)) + float(values[0] * law.cdf[0] + values[-1] * (1.0 - law.cdf[-1]))
    return LatencyLaw(values_s=values, cdf=law.cdf, mean_s=mean)


def in_order(answer: ChainAnswer, least_s: float) -> ChainAnswer:
    """No latency without its wait and the least time of a batch: at every probability."""
    queue, e2e = answer.queue, answer.e2e
    values = np.maximum(e2e.values_s, queue.quantiles(e2e.cdf) + least_s)
    mean = e2e.mean_s + float((values - e2e.values_s) @ np.diff(e2e.cdf, prepend=0.0))
    return replace(answer, e2e=LatencyLaw(values_s=values, cdf=e2e.cdf, mean_s=max(mean, queue.mean_s + least_s)))


@cache
def _network() -> Network:
    from models.learned_batching import NETWORK

    return Network.from_text(NETWORK)
