"""Dynamic batching (Triton): the laws of waiting and of the whole latency, the mean batch, and stability.

A bulk-service queue M/G^[1,b]/c: the embedded chain (`models.bulk_queue`), its waits (`models.batch_waiting`), and
what that misses (`models.batching_discrepancy`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from models.batch_waiting import latency_laws, waits
from models.batcher import Batcher, DispatchRule
from models.batching_discrepancy import ChainAnswer, corrected
from models.bulk_queue import bulk_queue
from models.errors import InvalidInput
from models.latency_law import LatencyLaw
from models.workload import OpenArrivals

MOST_BURSTY = 10.0
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
    if arrivals.burstiness > MOST_BURSTY:
        raise InvalidInput(
            f"batching is predicted up to a burstiness of {MOST_BURSTY:g} at a replica, got {arrivals.burstiness:.3g}",
            remedy="`planner simulate` answers beyond",
        )
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
    answer = corrected(batcher, arrivals, chain_answer(batcher, arrivals), rule)
    busy = arrivals.rate_per_s / answer.mean_batch * _batch_seconds(batcher, answer.mean_batch)
    return BatchingPrediction(
        stable=True,
        load=load,
        utilization=min(1.0, busy / batcher.instances),
        mean_batch=answer.mean_batch,
        queue=answer.queue,
        e2e=answer.e2e,
    )


def chain_answer(batcher: Batcher, arrivals: OpenArrivals) -> ChainAnswer:
    """What the embedded chain alone says; a queue delay is not in it."""
    at_once = replace(batcher, max_queue_delay_s=0.0)
    chain = bulk_queue(at_once, arrivals)
    queue, e2e = latency_laws(at_once, arrivals, waits(at_once, arrivals, chain))
    return ChainAnswer(queue=queue, e2e=e2e, mean_batch=chain.mean_batch(at_once))


def _batch_seconds(batcher: Batcher, mean_batch: float) -> float:
    """Mean time of a batch, read at the mean batch: exact where the time is linear in the batch."""
    return float(np.interp(mean_batch, np.arange(batcher.max_batch_size + 1.0)[1:], batcher.means_s[1:]))


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchingBracket:
    """A prediction under both ways to dispatch: what is seen of Triton lies between them.

    Without a queue delay they are one.
    """

    by_rule: dict[DispatchRule, BatchingPrediction]
    without_delay: BatchingPrediction

    @property
    def slower(self) -> BatchingPrediction:
        """The one to plan with."""
        found = list(self.by_rule.values())
        return max(found, key=lambda each: each.e2e.mean_s if each.e2e is not None else np.inf)

    @property
    def delay_only_costs(self) -> bool:
        """Whether under neither rule the delay lowers the mean, the median or the tail of the latency."""
        plain = self.without_delay.e2e
        laws = [each.e2e for each in self.by_rule.values()]
        if plain is None or all(each is self.without_delay for each in self.by_rule.values()):
            return False
        return all(
            law is not None and law.statistic(share) >= (1.0 - _NO_GAIN) * plain.statistic(share)
            for law in laws
            for share in (None, 0.5, 0.95, 0.99)
        )


_NO_GAIN = 0.02
"""A gain below this is within the error of predictions with a delay (docs/batching-accuracy.md)."""


def bracket(batcher: Batcher, arrivals: OpenArrivals) -> BatchingBracket:
    """Both predictions, and the one without a delay."""
    plain = predict_batching(replace(batcher, max_queue_delay_s=0.0), arrivals)
    if batcher.max_queue_delay_s == 0.0:
        return BatchingBracket(by_rule=dict.fromkeys(DispatchRule, plain), without_delay=plain)
    return BatchingBracket(
        by_rule={rule: predict_batching(batcher, arrivals, rule=rule) for rule in DispatchRule}, without_delay=plain
    )
