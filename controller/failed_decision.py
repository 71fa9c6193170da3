"""A decision that failed, which is an error of ours: all stays as it is, and whoever looks is told so."""

from __future__ import annotations

from typing import get_args

from controller.decision import Condition, ConditionType, Decision
from controller.reasons import Code, Reason
from controller.snapshot import Snapshot
from controller.writes import current_of

_MOST_TOLD = 300
_FALSE = ("Ready", "ScalingActive")


def failed_decision(snapshot: Snapshot, error: Exception) -> Decision:
    """Nothing is needed and nothing moves. The words are the same at every tick that fails in the same way."""
    what = f"{type(error).__name__}: {error}"[:_MOST_TOLD]
    message = f"the decision failed ({what}); nothing is written, and the controller's log tells more: please report it"
    reason = Reason(code=Code.DECISION_FAILED, message=message)
    target = snapshot.target
    current = None if target is None else current_of(snapshot)
    return Decision(
        at_s=snapshot.now_s,
        policy=snapshot.policy,
        generation=snapshot.generation,
        current=current,
        ready=None if target is None else target.pods.ready,
        needed=None,
        desired=current,
        reasons=(reason,),
        conditions=tuple(_condition(kind, reason) for kind in get_args(ConditionType)),
    )


def _condition(kind: ConditionType, failed: Reason) -> Condition:
    return Condition(
        type=kind,
        status="False" if kind in _FALSE else "Unknown",
        reason=failed.code.value,
        message=failed.message,
    )
