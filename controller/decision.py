"""What the controller made of one snapshot, with its reasons."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from controller.capacity_model import ObjectiveValue
from controller.memory import Memory
from controller.reasons import Reason

ConditionType = Literal["Ready", "ProfileFresh", "MetricsFresh", "NoRivalWriter", "WithinBudget", "ScalingActive"]


class Lever(StrEnum):
    """What is written."""

    SCALE = "Scale"
    """`/scale` of the target: `spec.replicas`."""
    HPA = "HorizontalPodAutoscaler"
    """`minReplicas` and `maxReplicas`; its own metrics stay a safety net."""
    SCALED_OBJECT = "ScaledObject"
    """`minReplicaCount` and `maxReplicaCount`; the HPA that KEDA owns is never touched."""


@dataclass(frozen=True, kw_only=True)
class Write:
    """One patch, to be made only if the object is still as it was seen."""

    lever: Lever
    name: str
    before: int
    replicas: int
    """Replicas, or the minimum of the scaler."""
    maximum: int | None = None
    """The maximum of the scaler; None for `/scale`."""
    maximum_before: int | None = field(default=None, compare=False)
    uid: str = field(default="", compare=False)
    """Of the object that was decided on: one of its name that was made since is another one."""
    stated: tuple[bool, bool] = field(default=(True, True), compare=False)
    """Whether the object says its minimum and its maximum; else they are what its kind takes for granted.

    The last three say how the write is made; what is decided is the same without (older logs do not have them).
    """


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One line of `status.conditions`."""

    type: ConditionType
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class DemandView:
    """The load that was planned for, requests a second."""

    arriving_per_s: float
    planned_per_s: float
    horizon_s: float
    quantile: float
    prompt_tokens: float | None = None
    output_tokens: float | None = None
    slowdown: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Of one policy at one moment."""

    at_s: float
    policy: str
    generation: int
    current: int | None
    """What the lever says now."""
    ready: int | None
    needed: int | None
    """By the queueing model at the planned load; None where nothing may be concluded."""
    desired: int | None
    """After every limit; None where there is nothing to move."""
    reasons: tuple[Reason, ...]
    conditions: tuple[Condition, ...]
    demand: DemandView | None = None
    binding: str = ""
    predicted: tuple[ObjectiveValue, ...] = ()
    """Of the objectives with `desired` replicas at the planned load."""
    one_fewer: tuple[ObjectiveValue, ...] = ()
    """The same with one replica fewer than needed."""
    write: Write | None = None
    """None where nothing is to be written: in Advise mode what would be is `proposed`."""
    proposed: Write | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A decision, and what the next one remembers."""

    decision: Decision
    memory: Memory
