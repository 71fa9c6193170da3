"""The one patch that makes a decision so, and what is remembered of it."""

from __future__ import annotations

from dataclasses import replace

from controller.decision import Lever, Write
from controller.memory import Change, Memory
from controller.snapshot import Snapshot

REMEMBERED_S = 3600.0
"""Of changes: no scaling policy looks back longer."""


def current_of(snapshot: Snapshot) -> int:
    """What the lever says: the scaler's minimum, or the target's replicas."""
    assert snapshot.target is not None
    return snapshot.target.replicas if snapshot.scaler is None else snapshot.scaler.min_replicas


def lever_of(snapshot: Snapshot) -> str:
    """Kind and name of what is written."""
    if snapshot.scaler is None:
        return f"{Lever.SCALE}/{snapshot.spec.target_ref.name}"
    return f"{snapshot.scaler.kind}/{snapshot.scaler.name}"


def running_of(snapshot: Snapshot) -> int:
    """Replicas that run, or that the scaler is about to let run; no more than its maximum lets."""
    target, scaler = snapshot.target, snapshot.scaler
    assert target is not None
    if scaler is None:
        return target.replicas
    return min(max(target.replicas, scaler.desired or 0), scaler.max_replicas)


def write_for(snapshot: Snapshot, desired: int, maximum: int | None) -> Write | None:
    """The patch that makes it so; None where it is so already. `maximum` is the scaler's, where there is one."""
    target, scaler = snapshot.target, snapshot.scaler
    assert target is not None
    if scaler is None:
        if desired == target.replicas:
            return None
        name = snapshot.spec.target_ref.name
        return Write(lever=Lever.SCALE, name=name, before=target.replicas, replicas=desired, uid=target.uid)
    # KEDA refuses a minimum that is not above its idleReplicaCount.
    floor = 1 if scaler.kind == "HorizontalPodAutoscaler" else 0 if scaler.idle is None else scaler.idle + 1
    least = max(desired, floor)
    most = max(scaler.max_replicas if maximum is None else maximum, least, 1)
    if (least, most) == (scaler.min_replicas, scaler.max_replicas):
        return None
    return Write(
        lever=Lever(scaler.kind),
        name=scaler.name,
        before=scaler.min_replicas,
        replicas=least,
        maximum=most,
        maximum_before=scaler.max_replicas,
        uid=scaler.uid,
        stated=(scaler.min_stated, scaler.max_stated),
    )


def seen(snapshot: Snapshot, memory: Memory) -> Memory:
    """The memory with what the lever says now, and what runs: a change counts for the pace, whoever made it."""
    current = current_of(snapshot)
    running = None if snapshot.scaler is None else running_of(snapshot)
    return replace(
        memory,
        current=current,
        changes=_changes(memory.changes, memory.current, current, snapshot.now_s),
        running=running,
        running_changes=_changes(memory.running_changes, memory.running, running, snapshot.now_s),
    )


def _changes(known: tuple[Change, ...], before: int | None, now: int | None, now_s: float) -> tuple[Change, ...]:
    kept = tuple(each for each in known if each.at_s > now_s - REMEMBERED_S)
    if before is None or now is None or before == now:
        return kept
    return (*kept, Change(at_s=now_s, before=before, after=now))


def written(snapshot: Snapshot, memory: Memory, write: Write, version: str = "") -> Memory:
    """The memory after a write that was made; `version` is the object's since then.

    The target of a disabled HPA is started through `/scale`, and the policy's lever stays the HPA.
    """
    return replace(
        memory,
        written=write.replicas,
        written_max=write.maximum,
        written_version=version,
        written_to=lever_of(snapshot),
        tried=None,
    )


def perhaps_written(memory: Memory, write: Write) -> Memory:
    """The memory after a write whose answer did not come."""
    return replace(memory, tried=(write.replicas, write.maximum))
