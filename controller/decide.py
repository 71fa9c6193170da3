"""From what one tick saw to a decision: a pure function, so that a recorded tick replays to the same decision."""

from __future__ import annotations

from dataclasses import replace

from controller.capacity_model import CapacityModel
from controller.conditions import conditions
from controller.decision import Decision, Outcome
from controller.demand import arrivals_per_s, nothing_comes
from controller.held_load import lengths_followed, with_lengths_held
from controller.limits import limits_at
from controller.measured_drift import drift_told, known_drift, measured_drift
from controller.memory import Memory, Sample
from controller.obstacles import Obstacles, obstacles
from controller.owed_minimum import owed_minimum
from controller.planned_load import PlannedLoad, planned_load
from controller.reasons import Code, Reason
from controller.rivals import Rivalry, rivalry
from controller.scaler_maximum import scaler_maximum
from controller.snapshot import EngineReadings, Snapshot
from controller.step import Step
from controller.unbroken import unbroken
from controller.waking import at_zero, wake
from controller.writes import current_of, seen, write_for
from models.errors import InvalidInput
from planner.units import format_seconds

REMEMBERED_S = 1800.0
"""Of demand, for its trend."""
LONGEST_WINDOW_S = 3600.0
"""Of stabilisation."""


def decide(snapshot: Snapshot, memory: Memory, capacity: CapacityModel | None) -> Outcome:
    """The decision and the next memory."""
    memory = with_lengths_held(unbroken(_of_this_target(snapshot, memory), snapshot), snapshot.now_s)
    if snapshot.observation.evidence.shows_growth and snapshot.observation.readings is not None:
        memory = replace(memory, rates_seen_s=snapshot.now_s)
    if snapshot.target is not None:
        memory = seen(snapshot, memory)
    rival = rivalry(snapshot, memory)
    memory = rival.memory
    found = obstacles(snapshot, rival, capacity)
    readings = snapshot.observation.readings
    if capacity is None or readings is None or found.blind or snapshot.target is None:
        return _held(snapshot, memory, capacity, found, rival)
    try:
        return _concluded(snapshot, memory, capacity, readings, found, rival)
    except InvalidInput as error:
        refused = Reason(code=Code.BEYOND_MODEL, message=f"the profile does not tell of this load: {error}"[:500])
        return _held(snapshot, memory, capacity, replace(found, blind=(refused,)), rival)


def _concluded(
    snapshot: Snapshot,
    memory: Memory,
    capacity: CapacityModel,
    readings: EngineReadings,
    found: Obstacles,
    rival: Rivalry,
) -> Outcome:
    """Raises InvalidInput where the model has no answer, as for prompts that no KV memory holds."""
    assert snapshot.target is not None
    memory = lengths_followed(_remembered(snapshot, memory, readings), readings, snapshot.now_s)
    drift, memory = measured_drift(snapshot, memory, capacity, readings)
    planned = planned_load(snapshot, memory, capacity, readings)
    memory = replace(memory, planned_per_s=planned.load.rate_per_s)
    requirement = capacity.required(planned.load, snapshot.spec.parsed_objectives)
    least = limits_at(snapshot, capacity.gpus_per_replica).least
    needed = 0 if least == 0 and _idle(memory, readings) else requirement.replicas
    if not capacity.knows(planned.load) and not nothing_comes(readings):
        needed = max(needed, current_of(snapshot))  # what requests take is learned from the first that end
    memory = replace(
        memory, recommended=_kept((*memory.recommended, Sample(at_s=snapshot.now_s, value=needed)), snapshot.now_s)
    )
    step = Step(snapshot, memory, capacity, planned, requirement, found, needed)
    desired, reasons = step.desired()
    maximum, held = scaler_maximum(snapshot, memory, found, step.limits, desired)
    proposed = write_for(snapshot, desired, maximum) or wake(snapshot, needed)
    writes = proposed is not None and not found.holding and snapshot.spec.mode == "Enforce"
    values = capacity.values(planned.load, desired, snapshot.spec.parsed_objectives) if desired else ()
    told = (
        *found.reasons,
        *planned.reasons,
        *reasons,
        *held,
        *drift_told(drift),
        *_grace(snapshot, capacity, planned, desired),
        *_scaler_differs(snapshot, desired),
        *_asleep(snapshot, needed, found),
    )
    decision = Decision(
        at_s=snapshot.now_s,
        policy=snapshot.policy,
        generation=snapshot.generation,
        current=step.current,
        ready=snapshot.target.pods.ready,
        needed=needed,
        desired=desired,
        reasons=_once(told),
        conditions=conditions(snapshot, found, rival, drift, step.limits, needed=needed, values=values),
        demand=planned.view,
        binding=requirement.binding,
        predicted=values,
        one_fewer=requirement.one_fewer,
        write=proposed if writes else None,
        proposed=proposed,
    )
    return Outcome(decision=decision, memory=memory)


def _of_this_target(snapshot: Snapshot, memory: Memory) -> Memory:
    """Nothing is remembered of a target that was deleted, even where one of its name is there again."""
    if snapshot.target is None or snapshot.target.uid == memory.target_uid:
        return memory
    return Memory(target_uid=snapshot.target.uid, since_s=snapshot.now_s)


def _held(
    snapshot: Snapshot, memory: Memory, capacity: CapacityModel | None, found: Obstacles, rival: Rivalry
) -> Outcome:
    """Nothing may be concluded of the load: all stays as it is, but for the minimum; and the reasons say why."""
    current = desired = ready = proposed = None
    reasons: list[Reason] = []
    if snapshot.target is not None:
        current, ready = current_of(snapshot), snapshot.target.pods.ready
        desired, reasons = owed_minimum(snapshot, memory, capacity)
        proposed = write_for(snapshot, desired, None) if desired > current else wake(snapshot, None)
    writes = proposed is not None and not found.holding and snapshot.spec.mode == "Enforce"
    return Outcome(
        decision=Decision(
            at_s=snapshot.now_s,
            policy=snapshot.policy,
            generation=snapshot.generation,
            current=current,
            ready=ready,
            needed=None,
            desired=desired,
            reasons=_once((*found.reasons, *reasons, *_asleep(snapshot, None, found))),
            conditions=conditions(snapshot, found, rival, known_drift(memory), None, needed=None, values=()),
            write=proposed if writes else None,
            proposed=proposed,
        ),
        memory=memory,
    )


def _remembered(snapshot: Snapshot, memory: Memory, readings: EngineReadings) -> Memory:
    arriving = arrivals_per_s(readings)
    if arriving is None or not snapshot.observation.evidence.complete:
        return memory
    if not memory.whole_window(snapshot.now_s, readings.window_s):
        return memory
    sample = Sample(at_s=snapshot.now_s, value=arriving)
    kept = [each for each in memory.demand if snapshot.now_s - REMEMBERED_S < each.at_s < snapshot.now_s]
    return replace(memory, demand=(*kept, sample))


def _kept(samples: tuple[Sample, ...], now_s: float) -> tuple[Sample, ...]:
    return tuple(sample for sample in samples if sample.at_s > now_s - LONGEST_WINDOW_S)


def _idle(memory: Memory, readings: EngineReadings) -> bool:
    """Whether nothing has come for as long as is remembered, and nothing is inside."""
    return all(each.value == 0.0 for each in memory.demand) and not (
        readings.running or readings.waiting or arrivals_per_s(readings)
    )


def _grace(snapshot: Snapshot, capacity: CapacityModel, planned: PlannedLoad, desired: int) -> tuple[Reason, ...]:
    grace_s = snapshot.target.grace_s if snapshot.target is not None else None
    if not desired or grace_s is None:
        return ()
    longest_s = capacity.longest_s(planned.load, desired, snapshot.spec.parsed_objectives)
    if longest_s is None or longest_s <= grace_s:
        return ()
    message = (
        f"terminationGracePeriodSeconds is {grace_s:g}, and one answer in a thousand takes longer than "
        f"{format_seconds(longest_s)}: scaling down would cut it off"
    )
    return (Reason(code=Code.GRACE_TOO_SHORT, message=message),)


def _asleep(snapshot: Snapshot, needed: int | None, found: Obstacles) -> tuple[Reason, ...]:
    told = at_zero(snapshot, needed, found.holding)
    return () if told is None else (told,)


def _scaler_differs(snapshot: Snapshot, desired: int) -> tuple[Reason, ...]:
    """The scaler's own metrics ask for more: it gets more, as it is the safety net."""
    scaler = snapshot.scaler
    if scaler is None or scaler.desired is None or scaler.desired <= desired:
        return ()
    message = f"{scaler.kind} {scaler.name} asks for {scaler.desired} by its own metrics, the model for {desired}"
    return (Reason(code=Code.SCALER_DIFFERS, message=message),)


def _once(reasons: tuple[Reason, ...]) -> tuple[Reason, ...]:
    return tuple({reason.code: reason for reason in reasons}.values())
