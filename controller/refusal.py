"""A decision that the API server did not let be carried out, as it is told: the decision itself stays what it was."""

from __future__ import annotations

from dataclasses import replace

from controller.decision import Condition, Decision
from controller.reasons import Code, Reason


def with_refusal(decision: Decision, error: str) -> Decision:
    """With what the server said among its reasons and in ScalingActive; as it is where nothing was refused."""
    if not error:
        return decision
    message = f"the write was not made: {error}"
    refused = Condition(type="ScalingActive", status="False", reason=Code.WRITE_REFUSED.value, message=message)
    conditions = tuple(refused if each.type == "ScalingActive" else each for each in decision.conditions)
    return replace(
        decision,
        write=None,
        conditions=conditions,
        reasons=(*decision.reasons, Reason(code=Code.WRITE_REFUSED, message=message)),
    )
