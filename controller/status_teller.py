"""Writes the status of policies: when it says something else than what is there, and not oftener than is read."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import Any

from controller.apply import path
from controller.capacity_policy import CapacityPolicy
from controller.decision import Decision
from controller.kept_memory import kept, understood
from controller.kubernetes_api import Document, Kubernetes
from controller.memory import Memory
from controller.notable_change import Said, said, said_in
from controller.policy_status import status_of
from controller.reasons import Code
from controller.token_bucket import TokenBucket

LOG = logging.getLogger("replicast.controller")
POLICIES = "replicast.dev/v1alpha1 capacitypolicies"
STANDING_S = 300.0
"""Figures must have been others for so long without a break before they are written: that is five windows of a rate."""
BURST, REFILL_S = 10.0, 60.0
"""Writes of one status: words that flap are told once a minute in the end, beside what a person orders."""
WATCH_LAG_S = 5.0
"""The watch tells of our own write within so long."""
LONGEST_LAG_S = 330.0
"""It may show the status from before for so long: then it is known to be silent."""


@dataclass
class _Written:
    """Our last write of one status."""

    before: Document
    """What was there."""
    status: Document
    """What is there since."""
    at_s: float
    """By the monotonic clock."""

    def shown_by(self, seen: Document) -> bool:
        """Whether what the watch shows is our own status, or may be older than it."""
        if seen == self.status:
            self.status, self.before = seen, {}  # a thousand of them are not kept twice
            return True
        late_s = time.monotonic() - self.at_s
        return late_s < WATCH_LAG_S or (seen == self.before and late_s < LONGEST_LAG_S)


@dataclass
class _Told:
    """Of one policy."""

    written: _Written | None = None
    moved_since_s: float | None = None
    """Since when its figures are others than the status says."""
    pace: TokenBucket = field(default_factory=lambda: TokenBucket(burst=BURST, refill_s=REFILL_S))


class StatusTeller:
    """Knows what it wrote of each policy, by the policy's uid; what another process wrote is read from the object."""

    def __init__(self, api: Kubernetes) -> None:
        self.api = api
        self._told: dict[str, _Told] = {}

    def tell(
        self, policy: CapacityPolicy, decision: Decision, memory: Memory, now_s: float, *, within_s: float | None = None
    ) -> bool:
        """Whether the status was written. Raises ApiError where that failed."""
        told = self._told.setdefault(_uid(policy), _Told())
        written, seen = told.written, policy.status
        edited = written is not None and not written.shown_by(seen)
        there = seen if written is None else written.status
        if not edited and not _worth_it(told, there, said(decision, memory), now_s):
            return False
        if not _by_order(there, decision) and not told.pace.take(now_s):
            return False
        status = status_of(decision, there, kept(memory, now_s))
        answer = self.api.patch(_place(policy), {"status": status}, within_s=within_s)
        if understood(there) is None:
            LOG.warning("%s: status.memory was none of ours: it is left aside, and written anew", policy.key)
        stored = answer.get("status") or without_nothing(status)
        told.written, told.moved_since_s = _Written(seen, stored, time.monotonic()), None
        return True

    def forget_all_but(self, policies: set[str]) -> None:
        """By uid."""
        self._told = {uid: each for uid, each in self._told.items() if uid in policies}


def _worth_it(told: _Told, there: Document, now: Said, now_s: float) -> bool:
    before = said_in(there)
    if before is None or before.words != now.words:
        return True
    if not before.moved(now):
        told.moved_since_s = None
        return False
    if told.moved_since_s is None or told.moved_since_s > now_s:
        told.moved_since_s = now_s
    return now_s - told.moved_since_s >= STANDING_S


_ORDERS = {Code.KILL_SWITCH.value, Code.PAUSED.value, Code.BEING_DELETED.value}
"""What a person has said stop with."""


def _by_order(there: Document, decision: Decision) -> bool:
    """Whether a person has said something else since the status was written: that is told at once, whatever flapped."""
    try:
        stopped = _ORDERS.intersection(each["code"] for each in there.get("reasons") or ())
    except (KeyError, TypeError):
        return False
    now = _ORDERS.intersection(each.code.value for each in decision.reasons)
    return there.get("observedGeneration") != decision.generation or stopped != now


def _place(policy: CapacityPolicy) -> str:
    return f"{path(POLICIES, policy.metadata.namespace, policy.metadata.name)}/status"


def _uid(policy: CapacityPolicy) -> str:
    return policy.metadata.uid or policy.key


def without_nothing(value: Any) -> Any:
    """A document as the API server keeps it after a merge patch: without what is to be removed."""
    if isinstance(value, dict):
        return {name: without_nothing(each) for name, each in value.items() if each is not None}
    return [without_nothing(each) for each in value] if isinstance(value, list) else value
