"""The least replicas that meet every objective, and the highest rate that given replicas carry."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from models.capacity import capacity
from models.continuous_batching import predict
from models.engine import Engine
from models.errors import NoFeasiblePlan
from models.objective import Objective
from models.prediction import Prediction, Routing
from models.workload import ClosedArrivals, OpenArrivals, Workload
from planner.units import format_seconds

MAX_REPLICAS = 1_000_000

Predictor = Callable[[int], Prediction]


@dataclass(frozen=True, kw_only=True)
class Sizing:
    """The answer: the least replicas, what they do, and what one fewer would do (None below one)."""

    replicas: int
    prediction: Prediction
    one_fewer: Prediction | None


def size(
    engine: Engine,
    workload: Workload,
    objectives: Sequence[Objective],
    *,
    routing: Routing = Routing.RANDOM,
    max_replicas: int = MAX_REPLICAS,
) -> Sizing:
    """The least replicas that meet every objective.

    Raises NoFeasiblePlan with the reason, and what would help, where `max_replicas` do not either.
    """
    predictor = partial(_predict, engine, workload, routing)
    lowest = 1
    if isinstance(workload.arrivals, OpenArrivals):
        top = capacity(engine, workload.lengths, workload.prefix_hit_rate).requests_per_s
        lowest = max(1, math.floor(workload.arrivals.rate_per_s / top) + 1)
    highest = max_replicas
    if isinstance(workload.arrivals, ClosedArrivals):
        highest = min(highest, workload.arrivals.users)
    if lowest > max_replicas:
        raise NoFeasiblePlan(
            f"even {max_replicas:,} replicas cannot carry the load: {lowest:,} are needed for throughput alone",
            remedy="raise --max-replicas, or use a faster profile",
        )
    return least_replicas(predictor, objectives, lowest=lowest, highest=highest)


def _predict(engine: Engine, workload: Workload, routing: Routing, replicas: int) -> Prediction:
    return predict(engine, workload, replicas=replicas, routing=routing)


def least_replicas(predictor: Predictor, objectives: Sequence[Objective], *, lowest: int, highest: int) -> Sizing:
    """Monotone search between `lowest` (fewer are unstable) and `highest`: gallop up, then halve the bracket.

    The widest steps come first and the answer is always a count that was predicted to hold beside one fewer that was
    predicted not to; nothing is taken from a scan that stops early.
    """
    known: dict[int, Prediction] = {}

    def holds(replicas: int) -> bool:
        if replicas not in known:
            known[replicas] = predictor(replicas)
        return all(known[replicas].meets(objective) for objective in objectives)

    bad, good, step = lowest - 1, lowest, max(1, lowest // 50)
    while not holds(good):
        if good >= highest:
            raise _infeasible(known[good], objectives, good)
        bad, good, step = good, min(highest, good + step), step * 2
    while good - bad > 1:
        middle = (good + bad) // 2
        if holds(middle):
            good = middle
        else:
            bad = middle
    one_fewer = None
    if good > 1:
        one_fewer = known.get(good - 1) or predictor(good - 1)
    return Sizing(replicas=good, prediction=known[good], one_fewer=one_fewer)


def max_rate(
    engine: Engine,
    workload: Workload,
    objectives: Sequence[Objective],
    *,
    replicas: int,
    routing: Routing = Routing.RANDOM,
) -> tuple[float, Prediction]:
    """The highest arrival rate (requests/s) that `replicas` replicas carry within the objectives, to 0.1 %.

    Raises NoFeasiblePlan where even a trickle of requests breaks one.
    """
    top = capacity(engine, workload.lengths, workload.prefix_hit_rate).requests_per_s * replicas
    low, high = top * 1e-4, top
    best = _predict(engine, workload.at_rate(low), routing, replicas)
    if not all(best.meets(objective) for objective in objectives):
        raise _infeasible(best, objectives, replicas)
    while high / low > 1.001:
        middle = math.sqrt(low * high) if high / low > 4.0 else 0.5 * (low + high)
        found = _predict(engine, workload.at_rate(middle), routing, replicas)
        if all(found.meets(objective) for objective in objectives):
            low, best = middle, found
        else:
            high = middle
    return low, best


def binding(prediction: Prediction, objectives: Sequence[Objective]) -> Objective:
    """The objective nearest to its limit, or furthest beyond it."""
    return max(objectives, key=lambda objective: (prediction.value(objective) or math.inf) / objective.limit_s)


def violated(prediction: Prediction, objectives: Sequence[Objective]) -> tuple[Objective, ...]:
    """The objectives that do not hold; all of them when the system is unstable."""
    return tuple(objective for objective in objectives if not prediction.meets(objective))


def _infeasible(prediction: Prediction, objectives: Sequence[Objective], replicas: int) -> NoFeasiblePlan:
    worst = binding(prediction, violated(prediction, objectives))
    value = prediction.value(worst)
    if value is None:
        return NoFeasiblePlan(
            f"{replicas:,} replicas, the most allowed, cannot carry the load",
            remedy="raise --max-replicas, or use a faster profile",
        )
    return NoFeasiblePlan(
        f"nothing meets {worst}: even with {replicas:,} replica{'' if replicas == 1 else 's'} and hardly any load, "
        f"{worst.metric} {worst.statistic} is {format_seconds(value)}",
        remedy=f"raise that limit above {format_seconds(value * 1.02)}, shorten prompts or answers, or use a faster "
        "profile",
    )
