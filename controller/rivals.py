"""Somebody else who writes what we write: found, named, and not fought with."""

from __future__ import annotations

from dataclasses import dataclass, replace

from controller.memory import Memory
from controller.reasons import Code, Reason
from controller.snapshot import Snapshot, Writer

FIRST_PAUSE_S = 900.0
LONGEST_PAUSE_S = 4 * 3600.0
FORGIVEN_S = 24 * 3600.0
"""After so long without it a rival counts as new."""


@dataclass(frozen=True, kw_only=True)
class Rivalry:
    """Whether the field is ours to write, and what is remembered of who else wrote it."""

    memory: Memory
    reasons: tuple[Reason, ...] = ()

    @property
    def disputed(self) -> bool:
        """Whether nothing is to be written."""
        return bool(self.reasons)


def rivalry(snapshot: Snapshot, memory: Memory) -> Rivalry:
    """Writers beside us. After each of their writes we wait twice as long, so that our writes stay few."""
    fixed = tuple(_standing(snapshot))
    if fixed:
        return Rivalry(memory=memory, reasons=fixed)
    now_s = snapshot.now_s
    before, memory = memory.writer, replace(memory, writer=_known(snapshot))
    if _overwritten(snapshot, memory, before):
        memory = replace(
            memory,
            rival=_name_of(snapshot),
            rival_since_s=now_s,
            rival_writes=memory.rival_writes + 1,
            written=None,
        )
    if memory.rival_since_s is None:
        return Rivalry(memory=memory)
    waited = now_s - memory.rival_since_s
    pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (memory.rival_writes - 1))
    if waited >= FORGIVEN_S:
        return Rivalry(memory=replace(memory, rival="", rival_since_s=None, rival_writes=0))
    if waited >= pause_s:
        return Rivalry(memory=memory)
    message = (
        f"{memory.rival} changed the number of replicas that we had written ({memory.rival_writes} times); nothing is "
        f"written for {(pause_s - waited) / 60.0:.0f} more minutes"
    )
    return Rivalry(memory=memory, reasons=(Reason(code=Code.RIVAL_WRITER, message=message),))


def _standing(snapshot: Snapshot) -> list[Reason]:
    """Rivals that are there by configuration, not by a write."""
    found = []
    if snapshot.other_policies:
        others = ", ".join(snapshot.other_policies)
        message = f"{others} name the same target; none of them writes until one is left"
        found.append(Reason(code=Code.TWO_POLICIES, message=message))
    if snapshot.unmanaged_scaler:
        message = (
            f"{snapshot.unmanaged_scaler} scales the target and the policy does not name it: set hpaRef or "
            "scaledObjectRef, or remove it"
        )
        found.append(Reason(code=Code.UNMANAGED_SCALER, message=message))
    if snapshot.scaler is not None and snapshot.scaler.keda_owned:
        message = f"HPA {snapshot.scaler.name} belongs to KEDA, which would undo every change: name its ScaledObject"
        found.append(Reason(code=Code.UNMANAGED_SCALER, message=message))
    return found


def _overwritten(snapshot: Snapshot, memory: Memory, before: str) -> bool:
    if memory.written is None or snapshot.target is None:
        return False
    value = snapshot.target.replicas if snapshot.scaler is None else snapshot.scaler.min_replicas
    writer = _writer(snapshot)
    if before and before == memory.writer:
        return False  # the watch is behind: our own write has not been seen yet
    return value != memory.written and not (writer is not None and writer.ours)


def _known(snapshot: Snapshot) -> str:
    """The last write by its writer and time; empty where the time is not known."""
    writer = _writer(snapshot)
    return "" if writer is None or writer.at_s is None else f"{writer.manager}@{writer.at_s:.6f}"


def _writer(snapshot: Snapshot) -> Writer | None:
    if snapshot.scaler is not None:
        return snapshot.scaler.writer
    return None if snapshot.target is None else snapshot.target.writer


def _name_of(snapshot: Snapshot) -> str:
    writer = _writer(snapshot)
    name = "somebody unknown" if writer is None else writer.manager
    gitops = "" if snapshot.target is None else snapshot.target.gitops
    return f"{gitops} (as {name})" if gitops else name
