"""Kubernetes Events of decisions: one when something is written or begins to stand in the way, not one a tick."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from controller.decision import Decision
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
    Code.LENGTHS_ASSUMED,
    Code.LENGTHS_HELD,
}
"""What is the ordinary course of things."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """An event to make."""

    kind: Literal["Normal", "Warning"]
    reason: str
    message: str
    same_as: str = ""
    """Events of one name are one that comes again; of none, those of one reason."""


def events(decision: Decision, known: Collection[str]) -> list[Told]:
    """What is new: a write, or a reason whose code is not known from the decision before."""
    found = []
    write = decision.write
    if write is not None:
        why = "; ".join(reason.message for reason in decision.reasons) or f"{decision.needed} are needed"
        most = "" if write.maximum == write.maximum_before else f", at most {write.maximum_before} to {write.maximum}"
        if write.replicas != write.before or most:
            moved = f"{write.before} to {write.replicas} ({write.lever}){most}"
            found.append(Told(kind="Normal", reason="Scaled", message=f"{moved}: {why}", same_as=moved))
    found += [
        Told(kind="Warning", reason=reason.code.value, message=reason.message)
        for reason in decision.reasons
        if reason.code not in _QUIET and reason.code not in known
    ]
    return found
