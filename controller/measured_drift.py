"""How far measured times are from the profile's, at the load and the replicas that there are."""

from __future__ import annotations

from controller.capacity_model import CapacityModel, Load
from controller.demand import arrivals_per_s
from controller.memory import Memory
from controller.reasons import Code, Reason
from controller.recalibration import Drift, updated
from controller.snapshot import EngineReadings, Snapshot


def measured_drift(snapshot: Snapshot, memory: Memory, capacity: CapacityModel, readings: EngineReadings) -> Drift:
    """Measured over predicted time, at the load and the replicas that there are."""
    assert snapshot.target is not None
    arriving, ready = arrivals_per_s(readings), snapshot.target.pods.ready
    changing = snapshot.target.rolling or snapshot.target.status_behind
    steady = snapshot.observation.evidence.complete and not changing and ready > 0
    measured = readings.itl_s if capacity.makes_tokens else readings.e2e_s
    if not steady or not arriving or measured is None or (readings.waiting or 0.0) > 0.0:
        return updated(memory.drifted, None)
    load = Load(
        rate_per_s=arriving,
        prompt_tokens=readings.prompt_tokens,
        output_tokens=readings.output_tokens,
        output_cv=snapshot.spec.workload.output_cv,
    )
    if capacity.makes_tokens and (load.prompt_tokens is None or load.output_tokens is None):
        return updated(memory.drifted, None)
    means = capacity.means(load, ready)
    predicted = means.itl_s if capacity.makes_tokens else means.e2e_s
    return updated(memory.drifted, None if not predicted else measured / predicted)


def drift_told(drift: Drift) -> tuple[Reason, ...]:
    if drift.fresh:
        return ()
    text = f"measured times are {drift.measured:.2f} of the profile's; planned with {drift.applied:.2f}"
    return (Reason(code=Code.RECALIBRATED, message=text),)
