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


def seen(snapshot: Snapshot, memory: Memory) -> Memory:
    """The memory with what the lever says now: a change counts for the pace, whoever made it."""
    now_s, current = snapshot.now_s, current_of(snapshot)
    changes = tuple(each for each in memory.changes if each.at_s > now_s - REMEMBERED_S)
    if memory.current is not None and memory.current != current:
        changes = (*changes, Change(at_s=now_s, before=memory.current, after=current))
    return replace(memory, current=current, changes=changes)
