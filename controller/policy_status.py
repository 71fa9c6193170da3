"""`status` of a CapacityPolicy: what a decision was, for people and tools that watch the object."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from controller.capacity_model import ObjectiveValue
from controller.decision import Condition, ConditionType, Decision, DemandView
from planner.file_model import FileModel

_LONGEST_TIME, _MOST_COUNTED = 40, 2**31 - 1
Time = Annotated[str, Field(max_length=_LONGEST_TIME, json_schema_extra={"format": "date-time"})]
Code = Annotated[str, Field(min_length=1, max_length=63)]
Message = Annotated[str, Field(max_length=1024)]
Count = Annotated[int, Field(ge=0, le=_MOST_COUNTED)]
_MOST_TOLD = 1024
_BY_TYPE = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}


class DemandStatus(FileModel):
    """The load that was planned for."""

    arriving_per_second: float
    """Requests a second that arrive now."""
    planned_per_second: float
    """Requests a second that the replicas are for: the higher of what arrives and what is expected."""
    horizon_seconds: float
    """How far ahead was looked."""
    quantile: float
    """Of the forecast."""
    input_tokens: float | None = None
    output_tokens: float | None = None
    slowdown: float = 1.0
    """Factor on the profile's times that measured latencies ask for."""


class ObjectiveStatus(FileModel):
    """An objective, and what it is predicted to be."""

    objective: Annotated[str, Field(max_length=253)]
    limit: float
    """Seconds."""
    value: float | None = None
    """Seconds; absent where the load cannot be carried."""
    met: bool


class ReasonStatus(FileModel):
    """Why the decision is what it is."""

    code: Code
    message: Message


class ConditionStatus(FileModel):
    """One condition, as everywhere in Kubernetes."""

    type: ConditionType
    status: Literal["True", "False", "Unknown"]
    reason: Code
    message: Message
    observed_generation: int
    last_transition_time: Time
    """When `status` became what it is."""


Objectives = Annotated[tuple[ObjectiveStatus, ...], Field(max_length=20)]


class PolicyStatus(FileModel):
    """What the controller made of the policy at its last decision."""

    observed_generation: int | None = None
    """Of the spec that was decided on."""
    last_decision_time: Time | None = None
    """Of the decision that is told here; one that says the same is not written again."""
    current_replicas: Count | None = None
    """What is asked for now: the target's replicas, or the minimum of its scaler."""
    ready_replicas: Count | None = None
    """Pods (or groups of pods) of the target that serve."""
    needed_replicas: Count | None = None
    """What the model needs for the planned load, before limits and pace."""
    desired_replicas: Count | None = None
    """After limits, stabilisation and pace; in Advise mode what would be written."""
    demand: DemandStatus | None = None
    binding: Annotated[str, Field(max_length=253)] | None = None
    """What asks for so many replicas: an objective, or the load itself."""
    predicted: Objectives = ()
    """With the desired replicas at the planned load."""
    one_fewer: Objectives = ()
    """With one replica fewer than needed."""
    reasons: Annotated[tuple[ReasonStatus, ...], Field(max_length=50)] = ()
    conditions: Annotated[tuple[ConditionStatus, ...], Field(max_length=20, json_schema_extra=_BY_TYPE)] = ()
    memory: Annotated[str, Field(max_length=8192)] | None = None
    """What the next leader must know: writes, rivals, recent changes (JSON, of the controller's own)."""


def status_of(
    decision: Decision, previous: Mapping[str, Any] | None = None, memory: str | None = None
) -> dict[str, Any]:
    """The whole status as a merge patch (RFC 7396): what is not known is None, so that nothing old stays behind.

    `previous` is the status that is there: a condition that stays keeps the time of its last transition.
    """
    before = {each.get("type"): each for each in (previous or {}).get("conditions") or () if isinstance(each, dict)}
    status = PolicyStatus.model_validate(
        {
            "observedGeneration": decision.generation,
            "lastDecisionTime": _time(decision.at_s),
            "currentReplicas": _counted(decision.current),
            "readyReplicas": _counted(decision.ready),
            "neededReplicas": _counted(decision.needed),
            "desiredReplicas": _counted(decision.desired),
            "demand": None if decision.demand is None else _demand(decision.demand),
            "binding": decision.binding[:253] or None,
            "predicted": _objectives(decision.predicted),
            "oneFewer": _objectives(decision.one_fewer),
            "reasons": [{"code": each.code.value, "message": _told(each.message)} for each in decision.reasons[:50]],
            "conditions": [_condition(each, decision, before.get(each.type)) for each in decision.conditions],
            "memory": memory,
        }
    )
    known = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    if "demand" in known:
        known["demand"] = {**_nothing(DemandStatus), **known["demand"]}
    return {**_nothing(PolicyStatus), **known}


def _nothing(model: type[FileModel]) -> dict[str, Any]:
    """Every field of a type, to be removed."""
    return {str(field.alias): None for field in model.model_fields.values()}


def _condition(condition: Condition, decision: Decision, before: Mapping[str, Any] | None) -> dict[str, Any]:
    since = None if before is None else before.get("lastTransitionTime")
    stays = before is not None and before.get("status") == condition.status and _told_time(since)
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": _told(condition.message),
        "observedGeneration": decision.generation,
        "lastTransitionTime": since if stays else _time(decision.at_s),
    }


def _demand(view: DemandView) -> dict[str, Any]:
    return {
        "arrivingPerSecond": _rounded(view.arriving_per_s),
        "plannedPerSecond": _rounded(view.planned_per_s),
        "horizonSeconds": _rounded(view.horizon_s),
        "quantile": view.quantile,
        "inputTokens": _rounded(view.prompt_tokens),
        "outputTokens": _rounded(view.output_tokens),
        "slowdown": _rounded(view.slowdown),
    }


def _objectives(values: Sequence[ObjectiveValue]) -> list[dict[str, Any]]:
    return [
        {"objective": each.objective[:253], "limit": each.limit_s, "value": _rounded(each.value_s), "met": each.met}
        for each in values[:20]
    ]


def _counted(count: int | None) -> int | None:
    return None if count is None else min(count, _MOST_COUNTED)


def _told_time(told: Any) -> bool:
    return isinstance(told, str) and 0 < len(told) <= _LONGEST_TIME


def _rounded(value: float | None) -> float | None:
    """Three digits: what people read, and what a steady load does not move. JSON has no infinity."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.3g}")


def _told(message: str) -> str:
    return message if len(message) <= _MOST_TOLD else f"{message[: _MOST_TOLD - 1]}…"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
