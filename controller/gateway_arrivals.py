"""What the counter before the engines says, where a policy names one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controller.answers import Answer, Unanswered, Values
from controller.meanings import Meaning
from controller.queries import Plan
from controller.readings import contradictions
from controller.trust import Trust, at

_COUNTER = "the counter of spec.metrics.arrivals"


@dataclass(frozen=True, kw_only=True)
class GatewayArrivals:
    """Requests a second, or why they are not known."""

    per_s: float | None = None
    newest_s: float = 0.0
    problem: str = ""
    unanswered: bool = False


def gateway_arrivals(policy: str, plan: Plan, answers: Sequence[Answer], trust: Trust) -> GatewayArrivals | None:
    """None where the policy names no counter."""
    place = plan.arrivals.get(policy)
    if place is None:
        return None
    answer = answers[place.query]
    if isinstance(answer, Unanswered):
        return GatewayArrivals(problem=f"{_COUNTER}: {answer.message}", unanswered=True)
    problem = _problem(answer.at(place), answer.server_s, plan.window_s, trust)
    if problem:
        return GatewayArrivals(problem=f"{_COUNTER}{problem}")
    return GatewayArrivals(per_s=answer.at(place)[Meaning.ARRIVED], newest_s=answer.at(place)[Meaning.NEWEST])


def _problem(values: Values, now_s: float, window_s: int, trust: Trust) -> str:
    newest_s = values.get(Meaning.NEWEST)
    if newest_s is None:
        return " has no series"
    wrong = next(contradictions(values, pods=1), None)
    if wrong is not None:
        return f": {wrong}"
    if now_s - newest_s > trust.stale_after_s:
        return f": its newest sample is of {at(newest_s)}"
    return "" if Meaning.ARRIVED in values else f" has fewer than two samples in {window_s} s"
