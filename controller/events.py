"""Kubernetes Events of decisions: one when something is written or begins to stand in the way, not one a tick."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from controller.capacity_policy import API_VERSION, CapacityPolicy
from controller.decision import Decision
from controller.invalid_policy import InvalidPolicy
from controller.kubernetes_api import Document
from controller.reasons import Code

_QUIET = {
    Code.STEADY,
    Code.AT_MINIMUM,
    Code.SCHEDULE,
    Code.STABILIZING,
    Code.PACED,
    Code.ADVISE,
    Code.DEMAND_EXPECTED,
    Code.DEMAND_FELL,
    Code.QUEUE_WAITS,
}
"""What is the ordinary course of things."""
_MOST_TOLD = 1000


@dataclass(frozen=True, kw_only=True)
class Told:
    """An event to make."""

    kind: Literal["Normal", "Warning"]
    reason: str
    message: str


def events(decision: Decision, before: Decision | None) -> list[Told]:
    """What is new since the decision before: a write, or a reason that was not there."""
    found = []
    write = decision.write
    if write is not None:
        why = "; ".join(reason.message for reason in decision.reasons) or f"{decision.needed} are needed"
        most = "" if write.maximum == write.maximum_before else f", at most {write.maximum_before} to {write.maximum}"
        if write.replicas != write.before or most:
            moved = f"{write.before} to {write.replicas} ({write.lever}){most}"
            found.append(Told(kind="Normal", reason="Scaled", message=f"{moved}: {why}"))
    known = set() if before is None else {reason.code for reason in before.reasons}
    found += [
        Told(kind="Warning", reason=reason.code.value, message=reason.message)
        for reason in decision.reasons
        if reason.code not in _QUIET and reason.code not in known
    ]
    return found


def event_object(policy: CapacityPolicy | InvalidPolicy, told: Told, now_s: float) -> Document:
    """As the API server takes it (core/v1)."""
    metadata, time = policy.metadata, datetime.fromtimestamp(now_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{metadata.name[:200]}.", "namespace": metadata.namespace},
        "type": told.kind,
        "reason": told.reason,
        "message": told.message[:_MOST_TOLD],
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": "CapacityPolicy",
            "namespace": metadata.namespace,
            "name": metadata.name,
            "uid": metadata.uid,
        },
        "source": {"component": "replicast"},
        "reportingComponent": "replicast.dev/controller",
        "reportingInstance": "replicast",
        "action": "Scale",
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }
