"""What stands in the way of a decision, of scaling down, or of writing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from controller.capacity_model import CapacityModel
from controller.demand import arrivals_per_s, nothing_comes
from controller.impossible import impossible
from controller.memory import Memory
from controller.reasons import Code, Reason
from controller.recalibration import Drift
from controller.rivals import Rivalry
from controller.snapshot import Evidence, Snapshot, Target

_BY_EVIDENCE = {
    Evidence.PARTIAL: Code.METRICS_PARTIAL,
    Evidence.STALE: Code.METRICS_STALE,
    Evidence.ABSENT: Code.METRICS_ABSENT,
    Evidence.UNREACHABLE: Code.PROMETHEUS_UNREACHABLE,
    Evidence.CONTRADICTORY: Code.METRICS_CONTRADICTORY,
    Evidence.SKEWED: Code.CLOCK_SKEW,
}


@dataclass(frozen=True, kw_only=True)
class Obstacles:
    """Reasons by what they forbid."""

    blind: tuple[Reason, ...]
    """Nothing can be concluded."""
    holding: tuple[Reason, ...]
    """Nothing may be written."""
    no_scale_down: tuple[Reason, ...]

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Those to tell at once; what forbids scaling down is told where something would be scaled down."""
        return (*self.blind, *self.holding)


def obstacles(snapshot: Snapshot, rival: Rivalry, capacity: CapacityModel | None) -> Obstacles:
    """All of them."""
    return Obstacles(
        blind=tuple(_blind(snapshot, capacity, rival.memory)),
        holding=tuple(_holding(snapshot, rival)),
        no_scale_down=tuple(_no_scale_down(snapshot, rival, capacity)),
    )


def _blind(snapshot: Snapshot, capacity: CapacityModel | None, memory: Memory) -> Iterator[Reason]:
    if snapshot.cluster_problem:
        # What is not read is not known to be missing: nothing more is said of target, scaler and profile.
        yield Reason(code=Code.CLUSTER_UNREADABLE, message=snapshot.cluster_problem)
        return
    if snapshot.target is None:
        yield Reason(code=Code.TARGET_MISSING, message=snapshot.target_problem or "the target is not there")
    if snapshot.scaler_problem:
        yield Reason(code=Code.SCALER_MISSING, message=snapshot.scaler_problem)
    if capacity is None:
        yield Reason(code=Code.PROFILE_MISSING, message=snapshot.profile_problem or "the profile is not there")
    observation = snapshot.observation
    if not observation.evidence.shows_growth or observation.readings is None:
        code = _BY_EVIDENCE.get(observation.evidence, Code.METRICS_ABSENT)
        message = observation.message or "nothing is known of the load"
        yield Reason(code=code, message=message)
        return
    wrong = "; ".join(list(impossible(observation.readings))[:3])
    if wrong:
        yield Reason(code=Code.METRICS_CONTRADICTORY, message=wrong)
        return
    if snapshot.sharing_policies:
        yield Reason(code=Code.SHARED_SERIES, message=shared_series_told(snapshot))
    if arrivals_per_s(observation.readings) is None:
        yield Reason(code=Code.METRICS_ABSENT, message="no counter tells what arrives")
    yield from _lengths(snapshot, capacity, memory)


def shared_series_told(snapshot: Snapshot) -> str:
    """Whose load is counted as this policy's."""
    others = ", ".join(snapshot.sharing_policies[:5]) + (" and more" if len(snapshot.sharing_policies) > 5 else "")
    return (
        f"spec.metrics.matchLabels selects the series of {others} too, of another target: their load would be counted "
        "as this one's; nothing is scaled until a label tells them apart"
    )


def _lengths(snapshot: Snapshot, capacity: CapacityModel | None, memory: Memory) -> Iterator[Reason]:
    """Lengths are needed where requests come, and may have ended: by this look, by one before it, or as stated."""
    readings, target = snapshot.observation.readings, snapshot.target
    if capacity is None or not capacity.makes_tokens or snapshot.spec.workload.input_tokens is not None:
        return
    if readings is None or nothing_comes(readings) or (target is not None and target.pods.ready == 0):
        return
    seen = ((readings.prompt_tokens, memory.prompt), (readings.output_tokens, memory.output))
    if any(told is None and held is None for told, held in seen):
        message = (
            "no request has ended in the window, so lengths are not known; spec.workload states them for such times"
        )
        yield Reason(code=Code.LENGTHS_UNKNOWN, message=message)


def _holding(snapshot: Snapshot, rival: Rivalry) -> Iterator[Reason]:
    if snapshot.killed:
        yield Reason(code=Code.KILL_SWITCH, message="the kill switch is on: no policy writes")
    if snapshot.spec.paused:
        yield Reason(code=Code.PAUSED, message="spec.paused is true")
    if snapshot.being_deleted:
        message = f"{snapshot.being_deleted} is being deleted; nothing is written"
        yield Reason(code=Code.BEING_DELETED, message=message)
    scaler = snapshot.scaler
    if scaler is not None and scaler.paused:
        message = (
            f"{scaler.kind} {scaler.name} is paused by its annotation {scaler.paused}: nothing is written meanwhile"
        )
        yield Reason(code=Code.SCALER_PAUSED, message=message)
    yield from rival.reasons


def _none_ends(snapshot: Snapshot, capacity: CapacityModel | None) -> bool:
    """Whether requests are inside and none has ended: engines that hang, or very long streams, look like no load."""
    readings = snapshot.observation.readings
    if readings is None or capacity is None or not capacity.makes_tokens:
        return False
    told = None not in (readings.prompt_tokens, readings.output_tokens)
    return not told and snapshot.spec.workload.input_tokens is None and not nothing_comes(readings)


def _no_scale_down(snapshot: Snapshot, rival: Rivalry, capacity: CapacityModel | None) -> Iterator[Reason]:
    evidence = snapshot.observation.evidence
    if not evidence.complete:
        code = _BY_EVIDENCE.get(evidence, Code.METRICS_ABSENT)
        yield Reason(code=code, message=f"{snapshot.observation.message}; nothing is scaled down")
    down = snapshot.spec.behavior.scale_down
    # A whole period too: what another process removed just before this one began is not known for certain.
    window_s = max(down.stabilization_window_seconds, *(each.period_seconds for each in down.policies))
    seen_s = snapshot.now_s - rival.memory.since_s
    if seen_s < window_s:
        message = f"the load has been watched for {seen_s:.0f} s of the {window_s} s before anything is scaled down"
        yield Reason(code=Code.STABILIZING, message=message)
    readings = snapshot.observation.readings
    if readings is not None and not rival.memory.whole_window(snapshot.now_s, readings.window_s):
        message = f"metrics are back for less than the {readings.window_s:.0f} s of their rates; nothing is scaled down"
        yield Reason(code=Code.STABILIZING, message=message)
    if rival.memory.drifted is not None and Drift(measured=rival.memory.drifted).beyond_limits:
        message = (
            f"measured times are {rival.memory.drifted:.2f} of the profile's, more than may be put right: measure the "
            "profile again; nothing is scaled down"
        )
        yield Reason(code=Code.PROFILE_STALE, message=message)
    if _none_ends(snapshot, capacity):
        message = "requests are inside and none has ended in the window; nothing is scaled down meanwhile"
        yield Reason(code=Code.LENGTHS_HELD, message=message)
    if snapshot.target is not None:
        yield from _target_unsettled(snapshot.target)


def _target_unsettled(target: Target) -> Iterator[Reason]:
    if target.rolling:
        yield Reason(code=Code.ROLLOUT, message="a rolling update goes on; nothing is scaled down meanwhile")
    if target.status_behind:
        message = "the target's status is older than its spec: its controller has not seen the last change yet"
        yield Reason(code=Code.ROLLOUT, message=f"{message}; nothing is scaled down meanwhile")
    if target.pods.failing:
        message = f"{target.pods.failing} pods fail again and again and are no capacity; nothing is scaled down"
        yield Reason(code=Code.PODS_FAILING, message=message)
    if target.disruptions_allowed == 0:
        yield Reason(code=Code.DISRUPTION_BUDGET, message="the PodDisruptionBudget allows no disruption now")
