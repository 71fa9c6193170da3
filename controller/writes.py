"""The one patch that makes a decision so, and what is remembered of it."""

from __future__ import annotations

from dataclasses import replace

from controller.decision import Lever, Write
from controller.limits import Limits
from controller.memory import Change, Memory
from controller.snapshot import Snapshot

REMEMBERED_S = 3600.0
"""Of changes: no scaling policy looks back longer."""


def current_of(snapshot: Snapshot) -> int:
    """What the lever says: the scaler's minimum, or the target's replicas."""
    assert snapshot.target is not None
    return snapshot.target.replicas if snapshot.scaler is None else snapshot.scaler.min_replicas


def write_for(snapshot: Snapshot, desired: int, limits: Limits) -> Write | None:
    """The patch that makes it so; None where it is so already."""
    target, scaler = snapshot.target, snapshot.scaler
    assert target is not None
    if scaler is None:
        if desired == target.replicas:
            return None
        return Write(lever=Lever.SCALE, name=snapshot.spec.target_ref.name, before=target.replicas, replicas=desired)
    least = max(desired, 1) if scaler.kind == "HorizontalPodAutoscaler" else desired
    maximum = max(limits.highest, least)
    if (least, maximum) == (scaler.min_replicas, scaler.max_replicas):
        return None
    return Write(
        lever=Lever(scaler.kind), name=scaler.name, before=scaler.min_replicas, replicas=least, maximum=maximum
    )


def remembered(memory: Memory, write: Write, at_s: float) -> Memory:
    """The memory once a patch has been made; one that was refused is not remembered."""
    changes = tuple(each for each in memory.changes if each.at_s > at_s - REMEMBERED_S)
    if write.replicas != write.before:
        changes = (*changes, Change(at_s=at_s, before=write.before, after=write.replicas))
    return replace(memory, changes=changes, written=write.replicas)
