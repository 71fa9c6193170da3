"""The least replicas that meet every objective, and the highest rate that given replicas carry."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from models.capacity import capacity
from models.continuous_batching import predict
from models.engine import Engine
from models.errors import InvalidInput, NoFeasiblePlan
from models.objective import Objective
from models.prediction import Prediction, Routing
from models.workload import ClosedArrivals, OpenArrivals, Workload
from planner.objective import as_written
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
    require_meaning(objectives, workload)
    require_known(objectives)
    predictor = partial(_predict, engine, workload, routing)
    lowest, start = 1, None
    if isinstance(workload.arrivals, OpenArrivals):
        top = capacity(engine, workload.lengths, workload.prefix_hit_rate).requests_per_s
        lowest = max(1, math.floor(workload.arrivals.rate_per_s / top) + 1)
        start = math.ceil(workload.arrivals.rate_per_s / top / _USUAL)
    highest = max_replicas
    if isinstance(workload.arrivals, ClosedArrivals):
        highest = min(highest, workload.arrivals.users)
    if lowest > max_replicas:
        raise NoFeasiblePlan(
            f"even {max_replicas:,} replicas cannot carry the load: {lowest:,} are needed for throughput alone",
            remedy="raise --max-replicas, or use a faster profile",
        )
    try:
        return least_replicas(predictor, objectives, lowest=lowest, highest=highest, start=start)
    except NoFeasiblePlan:
        if max_replicas >= MAX_REPLICAS:
            raise
        needed = size(engine, workload, objectives, routing=routing).replicas
        if needed <= max_replicas:
            raise
        raise NoFeasiblePlan(
            f"the most allowed, {max_replicas:,}, is too few: {needed:,} replicas meet every objective",
            remedy=f"allow them with --max-replicas {needed}, or loosen an objective",
        ) from None


def require_known(objectives: Sequence[Objective]) -> None:
    """Refuse percentiles beyond the predicted laws; simulated ones know as many as requests were served."""
    far = [each for each in objectives if each.quantile is not None and each.quantile > _FURTHEST]
    if far:
        raise InvalidInput(
            f"objective {as_written(far[0])}: the predicted laws are not known beyond p{100.0 * _FURTHEST:.2f}",
            remedy="ask for p99.9 or below; `planner simulate` with --requests 1000000 shows rarer latencies",
        )


def require_meaning(objectives: Sequence[Objective], workload: Workload) -> None:
    """Refuse objectives on gaps between tokens where every answer is one token."""
    gaps = [objective for objective in objectives if objective.metric in ("itl", "tpot")]
    if gaps and workload.lengths.output.values[-1] < 2.0:
        raise InvalidInput(
            f"objective {as_written(gaps[0])}: answers of one token have no gaps between tokens",
            remedy="drop it, or use ttft or e2e",
        )


def _predict(engine: Engine, workload: Workload, routing: Routing, replicas: int) -> Prediction:
    return predict(engine, workload, replicas=replicas, routing=routing)


def least_replicas(
    predictor: Predictor, objectives: Sequence[Objective], *, lowest: int, highest: int, start: int | None = None
) -> Sizing:
    """Monotone search between `lowest` (fewer are unstable) and `highest`, beginning at `start`.

    A bracket of a count that does not hold and one that does is cut where the room left, interpolated in the load of a
    replica, crosses zero, or a little beyond so that both ends move; where that misleads, in half; until it is one
    wide. Far percentiles ripple by about 1 % from one count to the next, so that a count a little lower may hold again:
    two of them are tried. The answer is a count that holds beside one fewer that does not; where the room is monotone
    it is the least, and in a ripple a lower one may be missed.
    """
    known: dict[int, Prediction] = {}

    def room(replicas: int) -> float:
        if replicas not in known:
            known[replicas] = predictor(replicas)
        return _room(known[replicas], objectives)

    bad, bad_room = lowest - 1, _SATURATED
    good = min(highest, max(lowest, start or math.ceil(1.3 * lowest)))
    good_room = room(good)
    while good_room < 0.0:
        if good >= highest:
            raise _infeasible(known[good], objectives, good)
        further = _crossing(bad, bad_room, good, good_room, top=2 * good) if bad else 2 * good
        bad, bad_room = good, good_room
        good = min(highest, max(further, good + 1))
        good_room = room(good)
    misled, stride = 0, 1
    while good - bad > 1:
        width = good - bad
        middle = (good + bad) // 2
        if misled < 2 and bad:
            crossing = min(max(_crossing(bad, bad_room, good, good_room, top=good), bad + 1), good - 1)
            over = stride if good_room <= -bad_room else -stride
            middle = min(max(crossing - over, bad + 1), good - 1)
        found = room(middle)
        if found >= 0.0:
            good, good_room = middle, found
        else:
            bad, bad_room = middle, found
        misled = 0 if good - bad <= width // 2 else misled + 1
        stride = max(1, (good - bad) // 16)
    again = next((count for count in _below(good, lowest) if room(count) >= 0.0), None)
    while again is not None:
        good = again
        again = good - 1 if good > lowest and room(good - 1) >= 0.0 else None
    one_fewer = None
    if good > 1:
        one_fewer = known.get(good - 1) or predictor(good - 1)
    return Sizing(replicas=good, prediction=known[good], one_fewer=one_fewer)


def _below(count: int, lowest: int) -> list[int]:
    """The counts to try again below one that holds, furthest first; none where a whole replica is beyond the ripple."""
    tried = {count - round(share * count) for share in _RIPPLE}
    return sorted(each for each in tried if lowest <= each < count - 1)


_RIPPLE = (0.004, 0.008)
_FURTHEST = 1.0 - 1.0 / 2048.0
"""The predicted laws are known at 2,048 shares."""
_USUAL = 0.9
"""Share of the capacity that usual objectives leave: where the search begins."""
_SATURATED = -5.0
_AMPLE = 2.0


def _room(prediction: Prediction, objectives: Sequence[Objective]) -> float:
    """Room left by the tightest objective, not negative where all hold; nearly linear in the load of a replica.

    A percentile jumps where a law has a gap, the share of requests beyond the limit does not; where none or all are
    beyond, the percentile still tells how far: log(allowed / beyond) + log(limit / value).
    """
    return min(_room_of(prediction, objective) for objective in objectives)


def _room_of(prediction: Prediction, objective: Objective) -> float:
    law = prediction.laws.get(objective.metric)
    if law is None:
        return _SATURATED
    value = math.log(objective.limit_s / max(law.statistic(objective.quantile), 1e-12))
    share = value
    if objective.quantile is not None:
        share = math.log((1.0 - objective.quantile) / max(law.exceedance(objective.limit_s), 1e-12))
    room = min(max(share, _SATURATED), _AMPLE) + min(max(value, _SATURATED), _AMPLE)
    return max(room, 0.0) if prediction.meets(objective) else min(room, -1e-9)


def _crossing(bad: int, bad_room: float, good: int, good_room: float, *, top: int) -> int:
    """Where the line through both ends, in the load of a replica (1 / count), crosses zero, at most `top`."""
    share = bad_room / min(bad_room - good_room, -1e-9)
    load = 1.0 / bad + share * (1.0 / good - 1.0 / bad)
    return top if load * top < 1.0 else math.ceil(1.0 / load)


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
    require_meaning(objectives, workload)
    require_known(objectives)
    top = capacity(engine, workload.lengths, workload.prefix_hit_rate).requests_per_s * replicas
    low, high = top * 1e-4, top
    best = _predict(engine, workload.at_rate(low), routing, replicas)
    if not all(best.meets(objective) for objective in objectives):
        raise _infeasible(best, objectives, replicas, " and hardly any load")
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

    def share(objective: Objective) -> float:
        value = prediction.value(objective)
        return math.inf if value is None else value / objective.limit_s

    return max(objectives, key=share)


def violated(prediction: Prediction, objectives: Sequence[Objective]) -> tuple[Objective, ...]:
    """The objectives that do not hold; all of them when the system is unstable."""
    return tuple(objective for objective in objectives if not prediction.meets(objective))


def _infeasible(
    prediction: Prediction, objectives: Sequence[Objective], replicas: int, load: str = ""
) -> NoFeasiblePlan:
    """Why `replicas` replicas, the most there can be, do not do; `load` in words where it is not the one asked for."""
    worst = binding(prediction, violated(prediction, objectives))
    value = prediction.value(worst)
    if value is None:
        return NoFeasiblePlan(
            f"{replicas:,} replicas, the most allowed, cannot carry the load",
            remedy="raise --max-replicas, or use a faster profile",
        )
    count = f"{replicas:,} replica{'' if replicas == 1 else 's'}"
    return NoFeasiblePlan(
        f"nothing meets {as_written(worst)}: even with {count}{load or _how_busy(prediction)}, "
        f"{worst.metric} {worst.statistic} is {format_seconds(value)}",
        remedy=f"raise that limit above {format_seconds(value * 1.02)}, shorten prompts or answers, or use a faster "
        "profile",
    )


def _how_busy(prediction: Prediction) -> str:
    return " and hardly any load" if prediction.utilization < _IDLE else ""


_IDLE = 0.01
