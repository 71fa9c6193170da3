"""Whether a decision tells anything new: status, log and events are written then, and not once a tick."""

from __future__ import annotations

from typing import Any

from controller.decision import Decision

NOTABLE = 0.1
"""Relative change of a load or a latency that is worth a write."""


def notable_change(before: Decision | None, now: Decision) -> bool:
    """Whether a reader who knows the one before would miss something."""
    if before is None or _words(before) != _words(now):
        return True
    return any(_apart(*pair) for pair in zip(_figures(before), _figures(now), strict=True))


def _words(decision: Decision) -> tuple[Any, ...]:
    return (
        decision.generation,
        decision.current,
        decision.ready,
        decision.desired,
        decision.needed,
        decision.binding,
        tuple(sorted(reason.code for reason in decision.reasons)),
        tuple((each.type, each.status, each.reason) for each in decision.conditions),
        tuple((each.objective, each.value_s is None) for each in decision.predicted),
        decision.demand is None,
    )


def _figures(decision: Decision) -> list[float]:
    demand = decision.demand
    load = [] if demand is None else [demand.arriving_per_s, demand.planned_per_s, demand.slowdown]
    return [*load, *(each.value_s for each in decision.predicted if each.value_s is not None)]


def _apart(before: float, now: float) -> bool:
    return abs(now - before) > NOTABLE * max(abs(before), abs(now))
