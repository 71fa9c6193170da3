"""What the counter before the engines says, where a policy names one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controller.answers import Answer, Unanswered
from controller.meanings import Meaning
from controller.queries import Plan
from controller.readings import contradictions
from controller.trust import Trust
from planner.units import format_seconds

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
    values = answer.at(place)
    rate, newest_s = values.get(Meaning.ARRIVED), values.get(Meaning.NEWEST)
    if newest_s is None:
        return GatewayArrivals(problem=f"{_COUNTER} has no series")
    wrong = next(contradictions(values, pods=1), None)
    if wrong is not None:
        return GatewayArrivals(problem=f"{_COUNTER}: {wrong}")
    age_s = answer.server_s - newest_s
    if age_s > trust.stale_after_s:
        return GatewayArrivals(problem=f"{_COUNTER}: its newest sample is {format_seconds(age_s)} old")
    if rate is None:
        return GatewayArrivals(problem=f"{_COUNTER} has fewer than two samples in {plan.window_s} s")
    return GatewayArrivals(per_s=rate, newest_s=newest_s)
