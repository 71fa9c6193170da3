"""Targets at zero replicas that their policy wants running, and that their scaler does not start by itself.

Kubernetes disables an HPA whose target has no replicas, unless its minimum is zero too: its ScalingActive condition is
False then, with the reason ScalingDisabled, and it starts nothing ("Horizontal pod autoscaling", implicit maintenance
mode deactivation). Its bounds move nothing then, and `/scale` is the lever that it leaves to others: to write it fights
nobody. People use the zero as a switch, too: a zero after a write of ours is a rival's, which `controller.rivals` names
and leaves alone for a while. KEDA starts targets by itself, and with `idleReplicaCount` takes them below any minimum
while its triggers are inactive (KEDA, "ScaledObject specification").
"""

from __future__ import annotations

from collections.abc import Sequence

from controller.decision import Lever, Write
from controller.limits import limits_at
from controller.reasons import Code, Reason
from controller.snapshot import Snapshot


def wake(snapshot: Snapshot, needed: int | None) -> Write | None:
    """The write that starts the target of a disabled HPA, at the HPA's minimum: it is moved to what is needed first."""
    target, scaler = snapshot.target, snapshot.scaler
    if target is None or scaler is None or not snapshot.switched_off or not _wanted(snapshot, needed):
        return None
    name, replicas = snapshot.spec.target_ref.name, scaler.min_replicas
    return Write(lever=Lever.SCALE, name=name, before=0, replicas=replicas, uid=target.uid)


def at_zero(snapshot: Snapshot, needed: int | None, holding: Sequence[Reason]) -> Reason | None:
    """What keeps the target at zero, and what is done about it or is to be done by a person."""
    target, scaler = snapshot.target, snapshot.scaler
    if target is None or scaler is None or not _wanted(snapshot, needed):
        return None
    if snapshot.switched_off:
        message = f"HPA {scaler.name} is disabled by Kubernetes (ScalingDisabled) as its target has 0 replicas"
        return Reason(code=Code.TARGET_AT_ZERO, message=f"{message}; {_remedy(snapshot, holding)}")
    if scaler.idle is not None and not scaler.paused and target.replicas <= scaler.idle:
        message = (
            f"ScaledObject {scaler.name} keeps its idleReplicaCount of {scaler.idle} while its triggers are inactive, "
            "whatever its minimum: remove idleReplicaCount, or set bounds.min to 0 where that is meant"
        )
        return Reason(code=Code.TARGET_AT_ZERO, message=message)
    return None


def _wanted(snapshot: Snapshot, needed: int | None) -> bool:
    """Whether the policy wants any; `needed` is None where nothing is known of the load."""
    return limits_at(snapshot, 0).least > 0 or bool(needed)


def _remedy(snapshot: Snapshot, holding: Sequence[Reason]) -> str:
    assert snapshot.scaler is not None
    ref = snapshot.spec.target_ref
    by_hand = f"`kubectl scale {ref.kind.lower()}/{ref.name} --replicas={snapshot.scaler.min_replicas}` starts it"
    if snapshot.spec.mode == "Advise":
        return f"spec.mode is Advise: {by_hand}"
    if holding:
        return f"{holding[0].message}; {by_hand}"
    return "it is started through /scale, and the HPA goes on from there"
