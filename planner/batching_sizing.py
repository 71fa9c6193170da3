"""The least replicas of a dynamic batcher, and the highest rate that given ones carry.

Without queue delay and preferred sizes, more replicas raise no latency but by the error of the prediction: counts are
doubled and bisected. With them latency falls with the count and rises again, as batches take longer to fill: the counts
that hold may lie in a window, and the highest rate that holds below one that does not. Both are looked for from the
busiest side in steps of 15 %, and where the latency turns between two steps, at the turn (Kiefer 1953, Sequential
minimax search for a maximum, for one turn). So a window is found where the worst of all objectives has one turn, or
where the window is wider than a step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from models.errors import NoFeasiblePlan
from planner.batching_answer import BatchingAnswer, BatchingQuestion, nearest, predict_replicas
from planner.objective import as_written
from planner.units import format_seconds

_IDLE = 1e-3
"""Load below which more replicas change nothing."""
_STEP = 1.15
_RISING = 8
"""Steps that the latency rises, one after the other, after which it is taken to rise for ever."""
_LOADS = (0.998, 0.99, 0.98, 0.96, *(0.94 - 0.04 * k for k in range(22)), 0.07, 0.05, 0.03, 0.015, 0.006, _IDLE)
_PRECISION = 1.001

Try = Callable[[int], float]
"""The worst objective's value over its limit; infinite where more arrives than can be served."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchingPlan:
    """The least replicas, and what one fewer would do."""

    answer: BatchingAnswer
    one_fewer: BatchingAnswer | None
    half_more: BatchingAnswer | None = None
    """What half as many again do, where more replicas may raise a latency."""


def size_batching(question: BatchingQuestion, *, max_replicas: int) -> BatchingPlan:
    """The least replicas that meet every objective. Raises NoFeasiblePlan where none are found."""
    known: dict[int, BatchingAnswer] = {}

    def answer(count: int) -> BatchingAnswer:
        if count not in known:
            known[count] = predict_replicas(question, count)
        return known[count]

    def worst(count: int) -> float:
        return _worst(question, answer(count))

    least = math.floor(question.arrivals.rate_per_s / question.capacity_per_s) + 1
    if least > max_replicas:
        raise NoFeasiblePlan(
            f"even {max_replicas:,} replicas cannot carry the load: {least:,} are needed for throughput alone",
            remedy="raise --max-replicas, or use a faster profile",
        )
    counts = _counts(question, least, max_replicas)
    found = _least_that_holds(worst, counts)
    if found is None:
        raise _infeasible(question, _nearest_to_a_plan(question, known.values()))
    return BatchingPlan(
        answer=answer(found),
        one_fewer=answer(found - 1) if found > 1 else None,
        half_more=answer(math.ceil(1.5 * found)) if _may_turn(question) else None,
    )


def highest_rate(question: BatchingQuestion, replicas: int) -> BatchingQuestion:
    """The question at the highest rate that the replicas carry within the objectives, to 0.1 %.

    Raises NoFeasiblePlan where none is found.
    """
    top = question.capacity_per_s * replicas
    known: dict[float, BatchingAnswer] = {}

    def at(load: float) -> BatchingQuestion:
        return replace(question, arrivals=replace(question.arrivals, rate_per_s=load * top))

    def worst(load: float) -> float:
        if load not in known:
            known[load] = predict_replicas(at(load), replicas)
        return _worst(question, known[load])

    loads = _LOADS if _may_turn(question) else (1.0, _IDLE)
    bad, good = 1.0, None
    for index, load in enumerate(loads):
        before = loads[max(0, index - 2)]
        if worst(load) <= 1.0:
            good = load
        elif _turns([worst(each) for each in loads[max(0, index - 2) : index + 1]]):
            good, bad = _turn(worst, load, before), before
        if good is not None:
            break
        bad = load
    if good is None:
        raise _infeasible(question, _nearest_to_a_plan(question, known.values()))
    while bad / good > _PRECISION:
        middle = 0.5 * (good + bad)
        good, bad = (middle, bad) if worst(middle) <= 1.0 else (good, middle)
    return at(good)


def _worst(question: BatchingQuestion, answer: BatchingAnswer) -> float:
    values = [(answer.value(each), each.limit_s) for each in question.objectives]
    return max((math.inf if value is None else value / limit for value, limit in values), default=0.0)


def _nearest_to_a_plan(question: BatchingQuestion, answers: Iterable[BatchingAnswer]) -> BatchingAnswer:
    return min(answers, key=lambda each: _worst(question, each))


def _may_turn(question: BatchingQuestion) -> bool:
    """Whether more replicas may raise a latency."""
    if question.slots is not None:
        return False
    batcher = question.batcher
    return batcher.holds_back or batcher.wanted != (batcher.max_batch_size,)


def _counts(question: BatchingQuestion, least: int, most: int) -> list[int]:
    """Counts to try, from the least that can carry the load to those that have next to nothing to do."""
    ratio = _STEP if _may_turn(question) else 2.0
    idle = question.arrivals.rate_per_s / (question.capacity_per_s * _IDLE)
    counts = [least]
    while counts[-1] < min(most, idle):
        counts.append(min(most, max(counts[-1] + 1, math.floor(ratio * counts[-1]))))
    return counts


def _least_that_holds(worst: Try, counts: Sequence[int]) -> int | None:
    """The least count that holds, from ascending ones to try; none below the first does."""
    bad, rising, seen = counts[0] - 1, 0, [math.inf]
    for index, count in enumerate(counts):
        seen.append(worst(count))
        if seen[-1] <= 1.0:
            return _bisected(worst, bad, count)
        if _turns(seen[-3:]):
            below = counts[index - 2] if index > 1 else counts[0] - 1
            held = _turn_of_counts(worst, below, count)
            if held is not None:
                return _bisected(worst, below, held)
        rising = rising + 1 if seen[-1] > seen[-2] else 0
        if rising >= _RISING:
            return None
        bad = count
    return None


def _turns(three: Sequence[float]) -> bool:
    """Whether the second is the least of three."""
    return len(three) == 3 and three[0] > three[1] <= three[2]


def _bisected(worst: Try, bad: int, good: int) -> int:
    while good - bad > 1:
        middle = (good + bad) // 2
        bad, good = (bad, middle) if worst(middle) <= 1.0 else (middle, good)
    return good


def _turn_of_counts(worst: Try, low: int, high: int) -> int | None:
    """A count between two that holds, looked for where the latency turns; None where there is none."""
    while high - low > 4:
        left = low + (high - low) // 3
        right = high - (high - low) // 3
        for each in (left, right):
            if worst(each) <= 1.0:
                return each
        low, high = (low, right) if worst(left) <= worst(right) else (left, high)
    return next((each for each in range(low + 1, high) if worst(each) <= 1.0), None)


def _turn(worst: Callable[[float], float], low: float, high: float) -> float | None:
    """A load between two that holds, looked for where the latency turns, to 1 %; None where there is none."""
    while high / low > 1.01:
        left, right = low + (high - low) / 3.0, high - (high - low) / 3.0
        for each in (right, left):
            if worst(each) <= 1.0:
                return each
        low, high = (low, right) if worst(left) <= worst(right) else (left, high)
    return None


def _infeasible(question: BatchingQuestion, best: BatchingAnswer) -> NoFeasiblePlan:
    """Why there is no plan, from the answer that comes nearest to one."""
    limits = nearest(best, question.objectives)
    value = best.value(limits)
    if value is None:
        return NoFeasiblePlan(
            f"{best.replicas:,} replicas, the most allowed, cannot carry the load",
            remedy="raise --max-replicas, or use a faster profile",
        )
    count = f"{best.replicas:,} replica{'' if best.replicas == 1 else 's'}"
    with_them = f"at best, with {count} at {best.load:.0%} of capacity"
    if best.load < 10.0 * _IDLE:
        with_them = f"even with {count} and hardly any load"
    delay = " or lower the profile's maxQueueDelay" if best.delay_only_costs else ""
    return NoFeasiblePlan(
        f"nothing meets {as_written(limits)}: {with_them}, {limits.metric} {limits.statistic} is "
        f"{format_seconds(value)}",
        remedy=f"raise that limit above {format_seconds(1.02 * value)}{delay}, or use a faster profile",
        predicted={str(each): best.value(each) for each in question.objectives},
    )
