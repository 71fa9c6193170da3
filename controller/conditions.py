"""`status.conditions` of a decision."""

from __future__ import annotations

from collections.abc import Sequence

from controller.capacity_model import ObjectiveValue
from controller.decision import Condition, ConditionType
from controller.limits import Limits
from controller.obstacles import Obstacles, shared_series_told
from controller.reasons import Code, Reason
from controller.recalibration import Drift
from controller.rivals import Rivalry
from controller.snapshot import Evidence, Snapshot
from controller.waking import at_zero

_MONEY = (Code.BUDGET, Code.GPU_LIMIT, Code.GPU_QUOTA)


def conditions(
    snapshot: Snapshot,
    found: Obstacles,
    rival: Rivalry,
    drift: Drift,
    limits: Limits | None,
    *,
    needed: int | None,
    values: Sequence[ObjectiveValue],
) -> tuple[Condition, ...]:
    """Ready, ProfileFresh, MetricsFresh, NoRivalWriter, WithinBudget and ScalingActive, in this order."""
    return (
        _ready(found),
        _profile_fresh(snapshot, drift),
        _metrics_fresh(snapshot),
        _no_rival(rival),
        _within_budget(limits, needed, values),
        _scaling_active(snapshot, found, needed),
    )


def _condition(kind: ConditionType, bad: Reason | None, good: str) -> Condition:
    if bad is None:
        return Condition(type=kind, status="True", reason=kind, message=good)
    return Condition(type=kind, status="False", reason=bad.code.value, message=bad.message)


def _ready(found: Obstacles) -> Condition:
    return _condition("Ready", found.blind[0] if found.blind else None, "the policy is decided on at every tick")


def _profile_fresh(snapshot: Snapshot, drift: Drift) -> Condition:
    if snapshot.profile is None and snapshot.cluster_problem:
        code = Code.CLUSTER_UNREADABLE.value
        return Condition(type="ProfileFresh", status="Unknown", reason=code, message=snapshot.cluster_problem)
    if snapshot.profile is None:
        message = snapshot.profile_problem or "the profile is not there"
        return Condition(type="ProfileFresh", status="Unknown", reason=Code.PROFILE_MISSING.value, message=message)
    if drift.fresh:
        return _condition("ProfileFresh", None, "measured times are within 15 % of the profile's")
    more = "; more than may be put right" if drift.beyond_limits else f"; planned with {drift.applied:.2f}"
    message = f"{drift.told}{more}"
    return _condition("ProfileFresh", Reason(code=Code.PROFILE_STALE, message=message), "")


def _metrics_fresh(snapshot: Snapshot) -> Condition:
    evidence = snapshot.observation.evidence
    if snapshot.sharing_policies and evidence.shows_growth:
        told = Reason(code=Code.SHARED_SERIES, message=shared_series_told(snapshot))
        return _condition("MetricsFresh", told, "")
    if evidence is Evidence.FRESH:
        return _condition("MetricsFresh", None, "every ready pod reports")
    return Condition(
        type="MetricsFresh",
        status="False",
        reason=evidence.value,
        message=snapshot.observation.message or evidence.value,
    )


def _no_rival(rival: Rivalry) -> Condition:
    return _condition("NoRivalWriter", rival.reasons[0] if rival.reasons else None, "nobody else writes the replicas")


def _within_budget(limits: Limits | None, needed: int | None, values: Sequence[ObjectiveValue]) -> Condition:
    if limits is None or needed is None:
        return Condition(type="WithinBudget", status="Unknown", reason="NotDecided", message="nothing was decided")
    if needed <= limits.highest or limits.why_highest.code not in _MONEY:
        return _condition("WithinBudget", None, "what is needed is within GPUs and budget")
    broken = "; ".join(
        f"{each.objective} becomes {'endless' if each.value_s is None else f'{each.value_s:.3g} s'}"
        for each in values
        if not each.met
    )
    message = f"{needed} replicas are needed: {limits.why_highest.message}" + (f"; {broken}" if broken else "")
    return _condition("WithinBudget", Reason(code=limits.why_highest.code, message=message), "")


def _scaling_active(snapshot: Snapshot, found: Obstacles, needed: int | None) -> Condition:
    asleep = at_zero(snapshot, needed, found.holding)
    if asleep is not None:
        return _condition("ScalingActive", asleep, "")
    held = (*found.blind, *found.holding)
    if held:
        return _condition("ScalingActive", held[0], "")
    if snapshot.spec.mode == "Advise":
        return _condition(
            "ScalingActive", Reason(code=Code.ADVISE, message="spec.mode is Advise: nothing is written"), ""
        )
    return _condition("ScalingActive", None, "what is decided is written")
