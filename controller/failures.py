"""An error of ours in one policy: told on that policy, counted, and no affair of the others.

What a policy's objects, metrics and status hold was written by others. Whatever of it nobody thought of, it stops one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import get_args

from controller.capacity_policy import CapacityPolicy
from controller.decision import Condition, ConditionType, Decision
from controller.reasons import Code, Reason
from controller.telemetry import Telemetry

LOG = logging.getLogger("replicast.controller")
Key = tuple[str, str]
_MOST_TOLD = 300
_FALSE = ("Ready", "ScalingActive")


@dataclass
class Failures:
    """Of one tick, by policy; with a traceback in the log where the last tick had not the same."""

    telemetry: Telemetry
    now: dict[Key, str] = field(default_factory=dict)
    _before: dict[Key, str] = field(default_factory=dict)

    def begin(self) -> None:
        """Another tick."""
        self._before, self.now = self.now, {}

    @contextmanager
    def alone(self, key: Key, what: str) -> Iterator[None]:
        """Whatever goes wrong inside stays with this policy."""
        try:
            yield
        except Exception as error:
            name = "/".join(key)
            why = f"{what} failed: {type(error).__name__}: {str(error)[:_MOST_TOLD]}"
            if self._before.get(key) != why:
                LOG.exception("%s: %s", name, why)
            self.now.setdefault(key, why)
            self.telemetry.failed(name)


def failed_decision(policy: CapacityPolicy, why: str, at_s: float) -> Decision:
    """None at all, and why: it is told as every other decision is."""
    message = f"{why}; this is an error of the controller, whose log tells more"
    code = Code.FAILED
    return Decision(
        at_s=at_s,
        policy=policy.key,
        generation=policy.metadata.generation,
        current=None,
        ready=None,
        needed=None,
        desired=None,
        reasons=(Reason(code=code, message=message),),
        conditions=tuple(
            Condition(type=each, status="False" if each in _FALSE else "Unknown", reason=code.value, message=message)
            for each in get_args(ConditionType)
        ),
    )
