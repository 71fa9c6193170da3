"""The least replicas of a dynamic batcher, and the highest rate that given ones carry."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from models.errors import NoFeasiblePlan
from planner.batching_answer import BatchingAnswer, BatchingQuestion, nearest, predict_replicas
from planner.objective import as_written
from planner.units import format_number, format_seconds

_IDLE = 1e-3
"""Load below which more replicas change nothing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchingPlan:
    """The least replicas, and what one fewer would do."""

    answer: BatchingAnswer
    one_fewer: BatchingAnswer | None


def size_batching(question: BatchingQuestion, *, max_replicas: int) -> BatchingPlan:
    """The least replicas that meet every objective: doubled until they do, then bisected.

    Raises NoFeasiblePlan where none do.
    """
    known: dict[int, BatchingAnswer] = {}

    def answer(count: int) -> BatchingAnswer:
        if count not in known:
            known[count] = predict_replicas(question, count)
        return known[count]

    def holds(count: int) -> bool:
        return all(answer(count).meets(objective) for objective in question.objectives)

    bad = math.floor(question.arrivals.rate_per_s / question.capacity_per_s)
    if bad >= max_replicas:
        raise NoFeasiblePlan(
            f"even {max_replicas:,} replicas cannot carry the load: {bad + 1:,} are needed for throughput alone",
            remedy="raise --max-replicas, or use a faster profile",
        )
    good = bad + 1
    while not holds(good):
        if good >= max_replicas or answer(good).load < _IDLE:
            raise _infeasible(question, answer(good))
        bad, good = good, min(max_replicas, max(good + 1, 2 * good))
    while good - bad > 1:
        middle = (good + bad) // 2
        if holds(middle):
            good = middle
        else:
            bad = middle
    return BatchingPlan(answer=answer(good), one_fewer=answer(good - 1) if good > 1 else None)


def highest_rate(question: BatchingQuestion, replicas: int) -> BatchingQuestion:
    """The question at the highest rate that the replicas carry within the objectives, to 0.1 %."""

    def at(rate: float) -> BatchingQuestion:
        return replace(question, arrivals=replace(question.arrivals, rate_per_s=rate))

    def holds(rate: float) -> bool:
        found = predict_replicas(at(rate), replicas)
        return all(found.meets(objective) for objective in question.objectives)

    high = question.capacity_per_s * replicas
    low = high * _IDLE
    if not holds(low):
        raise _infeasible(at(low), predict_replicas(at(low), replicas))
    while high / low > 1.001:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return at(low)


def _infeasible(question: BatchingQuestion, answer: BatchingAnswer) -> NoFeasiblePlan:
    worst = nearest(answer, question.objectives)
    value = answer.value(worst)
    if value is None:
        return NoFeasiblePlan(
            f"{answer.replicas:,} replicas, the most allowed, cannot carry the load",
            remedy="raise --max-replicas, or use a faster profile",
        )
    busy = " and hardly any load" if answer.load < 10.0 * _IDLE else ""
    delay = " or lower the profile's maxQueueDelay" if answer.delay_only_costs else ""
    return NoFeasiblePlan(
        f"nothing meets {as_written(worst)}: even with {format_number(answer.replicas)} "
        f"replica{'' if answer.replicas == 1 else 's'}{busy}, {worst.metric} {worst.statistic} is "
        f"{format_seconds(value)}",
        remedy=f"raise that limit above {format_seconds(1.02 * value)}{delay}, or use a faster profile",
    )
