"""A policy's status and events as a person would tell them, and what they do not hold."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, cast

from controller.capacity_model import ObjectiveValue
from controller.decision import Condition, Decision, DemandView
from controller.explanation import sentences
from controller.kubernetes_api import Document
from controller.policy_in_cluster import PolicyInCluster
from controller.reasons import Code, Reason
from planner.units import format_seconds

MOST_EVENTS = 10
_NOT_HELD = (
    "A status holds the last decision, in figures of three digits. It does not hold what was seen and remembered,\n"
    "what was before, or what was written when: a decision log does (--decision-log FILE; --replay decides again)."
)


def status_explanation(found: PolicyInCluster, now_s: float) -> str:
    """Some paragraphs."""
    return "\n".join(_lines(found, now_s)) + "\n"


def _lines(found: PolicyInCluster, now_s: float) -> Iterator[str]:
    metadata, spec = found.document.get("metadata") or {}, found.document.get("spec") or {}
    status = found.document.get("status") or {}
    name = f"{metadata.get('namespace')}/{metadata.get('name')}"
    if not status.get("lastDecisionTime"):
        yield f"{name}: nothing has been decided on it yet."
        yield "Does the controller run, and does it look at this namespace?"
        yield from _events(found, now_s)
        return
    decision = decision_in(name, status)
    yield from sentences(decision, _outcome(spec, decision))
    yield ""
    yield f"So it has been told for {_ago(status['lastDecisionTime'], now_s)}; decisions that say the same are not."
    generation = metadata.get("generation")
    if generation != decision.generation:
        yield f"The policy was changed since: this is of generation {decision.generation}, and it is at {generation}."
    yield from _events(found, now_s)
    yield ""
    yield _NOT_HELD


def _outcome(spec: Document, decision: Decision) -> str:
    current, desired = decision.current, decision.desired
    if current is None or desired is None or current == desired:
        return "Nothing is to be written."
    step = f"from {current} to {desired}"
    if spec.get("mode", "Advise") == "Advise":
        return f"Mode is Advise, so nothing is written; it would be {step}."
    held = next((each for each in decision.conditions if each.type == "ScalingActive" and each.status != "True"), None)
    return f"To be written: {step}." if held is None else f"Held ({held.reason}); it would be {step}."


def _events(found: PolicyInCluster, now_s: float) -> Iterator[str]:
    yield ""
    if found.events_problem:
        yield f"Events could not be read: {found.events_problem}"
        return
    if not found.events:
        yield "There are no recent events (the API server keeps them for an hour)."
        return
    yield "Recent events:"
    for each in found.events[:MOST_EVENTS]:
        times = f", {each.get('count')} times" if (each.get("count") or 1) > 1 else ""
        yield f"  - {_ago(each.get('lastTimestamp'), now_s)} ago{times}: {each.get('message')} ({each.get('reason')})"
    if len(found.events) > MOST_EVENTS:
        yield f"  and {len(found.events) - MOST_EVENTS} more"


def _ago(time: Any, now_s: float) -> str:
    try:
        return format_seconds(float(round(max(0.0, now_s - _seconds(time)))))
    except ValueError:
        return "an unknown time"


def _seconds(time: Any) -> float:
    return datetime.fromisoformat(str(time)).timestamp()


def decision_in(policy: str, status: Document) -> Decision:
    """What a status tells of a decision."""
    return Decision(
        at_s=_seconds(status["lastDecisionTime"]),
        policy=policy,
        generation=int(status.get("observedGeneration") or 0),
        current=status.get("currentReplicas"),
        ready=status.get("readyReplicas"),
        needed=status.get("neededReplicas"),
        desired=status.get("desiredReplicas"),
        reasons=tuple(
            Reason(code=cast("Code", each.get("code", "")), message=str(each.get("message", "")))
            for each in status.get("reasons") or ()
        ),
        conditions=tuple(_condition(each) for each in status.get("conditions") or ()),
        demand=_demand(status.get("demand")),
        binding=status.get("binding") or "",
        predicted=_objectives(status.get("predicted") or ()),
        one_fewer=_objectives(status.get("oneFewer") or ()),
    )


def _condition(told: Document) -> Condition:
    status: Any = told.get("status", "Unknown")
    if status != "True" and told.get("lastTransitionTime"):
        status = f"{status} since {told['lastTransitionTime']}"
    return Condition(
        type=told.get("type", "Ready"), status=status, reason=str(told.get("reason", "")),
        message=str(told.get("message", "")),
    )  # fmt: skip


def _demand(told: Document | None) -> DemandView | None:
    if not told:
        return None
    return DemandView(
        arriving_per_s=float(told.get("arrivingPerSecond") or 0.0),
        planned_per_s=float(told.get("plannedPerSecond") or 0.0),
        horizon_s=float(told.get("horizonSeconds") or 0.0),
        quantile=float(told.get("quantile") or 0.0),
        prompt_tokens=told.get("inputTokens"),
        output_tokens=told.get("outputTokens"),
        slowdown=float(told.get("slowdown") or 1.0),
    )


def _objectives(told: Sequence[Document]) -> tuple[ObjectiveValue, ...]:
    return tuple(
        ObjectiveValue(objective=str(each.get("objective", "")), limit_s=float(each["limit"]), value_s=_value(each))
        for each in told
    )


def _value(told: Document) -> float | None:
    """Rounded in a status, it may lie on the wrong side of its limit."""
    if told.get("value") is None:
        return None
    value, limit = float(told["value"]), float(told["limit"])
    return min(value, limit) if told.get("met") else max(value, math.nextafter(limit, math.inf))
