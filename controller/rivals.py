"""Somebody else who writes what we write: found, named, and not fought with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from controller.memory import Memory
from controller.reasons import Code, Reason
from controller.snapshot import Snapshot, Writer
from controller.writes import lever_of

FIRST_PAUSE_S = 900.0
LONGEST_PAUSE_S = 4 * 3600.0
FORGIVEN_S = 24 * 3600.0
"""After so long without it a rival counts as new."""
_NOTHING_WRITTEN: dict[str, Any] = {
    "written": None, "written_max": None, "written_version": "", "written_to": "", "tried": None,
}  # fmt: skip


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
    if memory.written_to not in ("", lever_of(snapshot)):  # the policy names another lever since our write
        memory = replace(memory, **_NOTHING_WRITTEN)
    behind, memory = _behind(snapshot, memory), replace(memory, writer=_known(snapshot))
    if not behind and memory.tried is not None and snapshot.target is not None and _pair(snapshot) == memory.tried:
        least, most = memory.tried  # our own, of which we were not told
        memory = replace(memory, written=least, written_max=most, written_version="", tried=None)
    rival = "" if behind else _rival(snapshot, memory)
    if rival:
        memory = replace(
            memory,
            rival=rival,
            rival_since_s=now_s,
            rival_writes=memory.rival_writes + 1,
            **_NOTHING_WRITTEN,
        )
    if memory.rival_since_s is None:
        return Rivalry(memory=memory)
    waited = now_s - memory.rival_since_s
    pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (memory.rival_writes - 1))
    if waited >= FORGIVEN_S:
        return Rivalry(memory=replace(memory, rival="", rival_since_s=None, rival_writes=0))
    if waited >= pause_s:
        return Rivalry(memory=memory)
    what = "number of replicas" if snapshot.scaler is None else "minimum or maximum"
    message = (
        f"{memory.rival} changed the {what} that we had written ({memory.rival_writes} times); nothing is "
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


def _behind(snapshot: Snapshot, memory: Memory) -> bool:
    """Whether what is seen is older than our own write.

    By the object's resourceVersion, which grows with every change (Kubernetes API concepts, "Resource versions"; they
    may be compared as numbers since 1.35, and are revisions of etcd before that). Where the server told none, by the
    last writer: whoever it was at the look before our write cannot have undone it.
    """
    now, ours = _version(snapshot), memory.written_version
    if _numbered(now) and _numbered(ours):
        return _size(now) < _size(ours)
    return bool(memory.writer) and memory.writer == _known(snapshot)


def _numbered(version: str) -> bool:
    return version.isascii() and version.isdecimal()


def _size(version: str) -> tuple[int, str]:
    """To be compared as the number is, however many digits it has."""
    digits = version.lstrip("0")
    return len(digits), digits


def _rival(snapshot: Snapshot, memory: Memory) -> str:
    """Who changed what we wrote; empty for nobody. It is the pair of minimum and maximum where there is a scaler."""
    if memory.written is None or snapshot.target is None:
        return ""
    written = (memory.written, memory.written_max)
    for value, ours, writer in zip(_pair(snapshot), written, _writers(snapshot), strict=True):
        if ours is not None and value != ours and not (writer is not None and writer.ours):
            return _name_of(snapshot, writer)
    return ""


def _pair(snapshot: Snapshot) -> tuple[int, int | None]:
    """The target's replicas and nothing, or its scaler's bounds: a zero that disables an HPA stands for the minimum."""
    assert snapshot.target is not None
    if snapshot.scaler is None:
        return snapshot.target.replicas, None
    least = 0 if snapshot.switched_off else snapshot.scaler.min_replicas
    return least, snapshot.scaler.max_replicas


def _writers(snapshot: Snapshot) -> tuple[Writer | None, Writer | None]:
    if snapshot.scaler is not None:
        off = snapshot.target if snapshot.switched_off else None
        return snapshot.scaler.writer if off is None else off.writer, snapshot.scaler.max_writer
    return None if snapshot.target is None else snapshot.target.writer, None


def _version(snapshot: Snapshot) -> str:
    seen = snapshot.target if snapshot.scaler is None or snapshot.switched_off else snapshot.scaler
    return "" if seen is None else seen.resource_version


def _known(snapshot: Snapshot) -> str:
    """The last writes by their writers and times; empty where a time is not known."""
    writers = [each for each in _writers(snapshot) if each is not None]
    if any(each.at_s is None for each in writers):
        return ""
    return " ".join(f"{each.manager}@{each.at_s:.6f}" for each in writers)


def _name_of(snapshot: Snapshot, writer: Writer | None) -> str:
    name = "somebody unknown" if writer is None else writer.manager
    gitops = "" if snapshot.target is None else snapshot.target.gitops
    return f"{gitops} (as {name})" if gitops else name
