"""Dynamic batching (Triton): the laws of waiting and of the whole latency, the mean batch, and stability.

A bulk-service queue M/G^[1,b]/c: the embedded chain (`models.bulk_queue`), its waits (`models.batch_waiting`), and
what that misses (`models.batching_discrepancy`). Where requests are held back or cut to preferred sizes, and
beyond what was learned from, the laws are those of a sample (`models.simulation.batching_sample`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from models.batch_waiting import latency_laws, waits
from models.batcher import Batcher, DispatchRule
from models.batching_discrepancy import ChainAnswer, corrected, exact, in_order, within_reach
from models.bulk_queue import bulk_queue
from models.latency_law import LatencyLaw
from models.workload import OpenArrivals

NEARLY_FULL = 0.999
"""Beyond this load no steady state is told apart from growth without end."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchingPrediction:
    """Of one replica. An unstable one has `stable` False, full batches and no laws."""

    stable: bool
    load: float
    """Arrival rate over capacity."""
    utilization: float
    """Mean share of the instances that are busy."""
    mean_batch: float
    """Requests over executions."""
    queue: LatencyLaw | None
    """Arrival to the start of the request's batch."""
    e2e: LatencyLaw | None
    """Arrival to the end of the request's batch."""


def predict_batching(
    batcher: Batcher, arrivals: OpenArrivals, *, rule: DispatchRule = DispatchRule.WHEN_IDLE
) -> BatchingPrediction:
    """What a batcher does under a load, with one way to dispatch."""
    if not batcher.holds_back and batcher.max_queue_delay_s > 0.0:  # a batch of one is full
        batcher = replace(batcher, max_queue_delay_s=0.0)
    load = arrivals.rate_per_s / batcher.capacity_per_s
    if load >= NEARLY_FULL:
        return BatchingPrediction(
            stable=False,
            load=load,
            utilization=1.0,
            mean_batch=float(batcher.full_batch),
            queue=None,
            e2e=None,
        )
    known = _from_chain(batcher, arrivals)
    if known is not None:
        busy = arrivals.rate_per_s / known.mean_batch * _batch_seconds(batcher, known.mean_batch) / batcher.instances
        return _prediction(batcher, load, known, busy)
    from models.simulation.batching_sample import sampled  # compiled: half a second to import

    seen = sampled(batcher, arrivals, rule)
    return _prediction(batcher, load, seen.answer, seen.utilization)


def _prediction(batcher: Batcher, load: float, answer: ChainAnswer, busy: float) -> BatchingPrediction:
    answer = in_order(answer, batcher.least_s)
    return BatchingPrediction(
        stable=True,
        load=load,
        utilization=min(1.0, busy),
        mean_batch=answer.mean_batch,
        queue=answer.queue,
        e2e=answer.e2e,
    )


def _from_chain(batcher: Batcher, arrivals: OpenArrivals) -> ChainAnswer | None:
    """What the chain says, put right; None where it is out of its depth."""
    if not within_reach(batcher, arrivals):
        return None
    return corrected(batcher, arrivals, chain_answer(batcher, arrivals))


def chain_answer(batcher: Batcher, arrivals: OpenArrivals) -> ChainAnswer:
    """What the embedded chain alone says of a batcher without a queue delay."""
    chain = bulk_queue(batcher, arrivals)
    fine = exact(batcher, arrivals)
    queue, e2e = latency_laws(batcher, arrivals, waits(batcher, arrivals, chain, fine=fine), fine=fine)
    return ChainAnswer(queue=queue, e2e=e2e, mean_batch=chain.mean_batch(batcher))


def _batch_seconds(batcher: Batcher, mean_batch: float) -> float:
    """Mean time of a batch, read at the mean batch: exact where the time is linear in the batch."""
    return float(np.interp(mean_batch, np.arange(batcher.max_batch_size + 1.0)[1:], batcher.means_s[1:]))


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchingBracket:
    """A prediction under both ways to dispatch; without a queue delay they are one.

    How often what is seen of Triton lies between them is told in docs/batching-accuracy.md.
    """

    by_rule: dict[DispatchRule, BatchingPrediction]
    without: Callable[[], BatchingPrediction]
    """The same without a queue delay: asked only where somebody wants to know."""

    @cached_property
    def delay_only_costs(self) -> bool:
        """Whether under neither rule the delay lowers the mean, the median or the tail of the latency."""
        if len({id(each) for each in self.by_rule.values()}) == 1:
            return False
        plain = self.without().e2e
        return plain is not None and all(
            each.e2e is not None and each.e2e.statistic(share) >= (1.0 - _NO_GAIN) * plain.statistic(share)
            for each in self.by_rule.values()
            for share in (None, 0.5, 0.95, 0.99)
        )


_NO_GAIN = 0.02
"""A gain below this is no reason to keep a delay, nor always more than chance (docs/batching-accuracy.md)."""


def bracket(batcher: Batcher, arrivals: OpenArrivals) -> BatchingBracket:
    """Both predictions."""
    if not batcher.holds_back:
        plain = predict_batching(batcher, arrivals)
        return BatchingBracket(by_rule=dict.fromkeys(DispatchRule, plain), without=lambda: plain)
    return BatchingBracket(
        by_rule={rule: predict_batching(batcher, arrivals, rule=rule) for rule in DispatchRule},
        without=lambda: predict_batching(replace(batcher, max_queue_delay_s=0.0), arrivals),
    )
