"""A CapacityPolicy that the API server has let pass and that cannot be understood here: what its status then says.

Its schema was another version's, or says less than the types do: that a time zone exists, say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from controller.capacity_policy import CapacityPolicy, PolicyMetadata, parse_policy
from controller.decision import Condition, Decision
from controller.kubernetes_api import Document
from controller.reasons import Code, Reason

_REMEDY = "nothing is decided until it is mended: `kubectl explain capacitypolicy.spec` tells more"
_MOST_NAMED = 3
_MOST_TOLD = 800


@dataclass(frozen=True, kw_only=True)
class InvalidPolicy:
    """Which it is, and what is wrong with it."""

    metadata: PolicyMetadata
    problem: str
    """What, where and what to do."""
    status: Mapping[str, Any] = field(default_factory=dict)
    """As it is."""

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.metadata.namespace}/{self.metadata.name}"

    @property
    def told(self) -> bool:
        """Whether its status says so already."""
        there = [each for each in self.status.get("conditions") or () if isinstance(each, dict)]
        ready = [each for each in there if each.get("type") == "Ready"]
        said = [(each.get("reason"), each.get("message"), each.get("observedGeneration")) for each in ready]
        return said == [(Code.INVALID_POLICY.value, self.problem, self.metadata.generation)]

    def decision(self, at_s: float) -> Decision:
        """None at all, and why: it is told as every other decision is."""
        reason = Reason(code=Code.INVALID_POLICY, message=self.problem)
        return Decision(
            at_s=at_s,
            policy=self.key,
            generation=self.metadata.generation,
            current=None,
            ready=None,
            needed=None,
            desired=None,
            reasons=(reason,),
            conditions=(
                Condition(type="Ready", status="False", reason=reason.code.value, message=reason.message),
                Condition(type="ScalingActive", status="False", reason=reason.code.value, message=reason.message),
            ),
        )


def policy_or_why_not(item: Document) -> CapacityPolicy | InvalidPolicy:
    """The policy of an object, or why it is none."""
    try:
        return parse_policy(item)
    except ValidationError as error:
        problem = _told(error)
    except Exception as error:  # noqa: BLE001 -- whatever is wrong with one of them, it is told on that one
        problem = f"{type(error).__name__}: {error}"
    metadata, status = PolicyMetadata.model_validate(item.get("metadata")), item.get("status")
    status = status if isinstance(status, dict) else {}
    return InvalidPolicy(metadata=metadata, problem=problem[:_MOST_TOLD], status=status)


def _told(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    lines = [f"{_where(each['loc'])}: {_what(each['type'], each['msg'])}" for each in found[:_MOST_NAMED]]
    if len(found) > _MOST_NAMED:
        lines.append(f"and {len(found) - _MOST_NAMED} more")
    return (
        "; ".join(lines) + "; nothing is decided until it is mended: `kubectl explain capacitypolicy.spec` tells more"
    )


def _where(steps: tuple[int | str, ...]) -> str:
    return ".".join(map(str, steps)) or "the object"


def _what(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "this version of the controller does not know the field: remove it, or update the controller"
    return message.removeprefix("Value error, ")
