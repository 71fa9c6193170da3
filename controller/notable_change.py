"""Whether a decision tells anything new: status, log and events are written then, and not once a tick."""

from __future__ import annotations

import math
from typing import Any

from controller.decision import Decision
from controller.reasons import Code

NOTABLE = 0.1
"""Relative change of a load, and change of a latency in shares of its limit, that is worth a write."""
BY_CHANCE = 3.0
COUNTED_S = 60.0
"""Counts of a minute differ by some of their standard deviations from one minute to the next, and nothing is new."""
_TOLD_BY_FIGURES = {Code.DEMAND_EXPECTED, Code.QUEUE_WAITS}
"""They come and go with the noise of the load, which is told itself."""


def notable_change(before: Decision | None, now: Decision) -> bool:
    """Whether a reader who knows the one before would miss something."""
    if before is None or _words(before) != _words(now):
        return True
    loads, shares = zip(_loads(before), _loads(now), strict=True), zip(_shares(before), _shares(now), strict=True)
    return any(_louder(*pair) for pair in loads) or any(abs(new - old) > NOTABLE for old, new in shares)


def _words(decision: Decision) -> tuple[Any, ...]:
    return (
        decision.generation,
        decision.current,
        decision.ready,
        decision.desired,
        decision.needed,
        tuple(sorted(reason.code for reason in decision.reasons if reason.code not in _TOLD_BY_FIGURES)),
        tuple((each.type, each.status, each.reason) for each in decision.conditions),
        tuple((each.objective, each.met, each.value_s is None) for each in decision.predicted),
        decision.demand is None,
    )


def _loads(decision: Decision) -> list[float]:
    demand = decision.demand
    return [] if demand is None else [demand.arriving_per_s, demand.planned_per_s]


def _shares(decision: Decision) -> list[float]:
    """Of the limits, and the slowdown, which is a share by itself."""
    slowdown = [] if decision.demand is None else [decision.demand.slowdown]
    return [*slowdown, *(each.value_s / each.limit_s for each in decision.predicted if each.value_s is not None)]


def _louder(before: float, now: float) -> bool:
    most = max(before, now)
    return abs(now - before) > max(NOTABLE * most, BY_CHANCE * math.sqrt(most / COUNTED_S))
