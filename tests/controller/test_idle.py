"""No request comes, or none has ended: what is planned with then, and to zero and back without stated lengths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from controller.held_load import LENGTHS_HELD_S
from controller.kept_memory import adopted, kept
from controller.memory import Memory
from controller.reasons import Code
from controller.snapshot import Evidence, Observation, Snapshot
from tests.controller.test_stories import MINUTE, ZERO, filling, hpa
from tests.controller.test_waking import keda
from tests.controller.world import PROMPT, START, World, codes, condition, policy, readings

FROM_ZERO = {name: part for name, part in ZERO.items() if name != "workload"}
UNTOLD: dict[str, Any] = {"prompt_tokens": None, "output_tokens": None, "prompt_cv": None, "output_cv": None}


def ending(load: Callable[[float], float], **fields: Any):
    """Lengths are told while requests end; with a counter before the engines where `fields` say so."""

    def see(seconds: float, snapshot: Snapshot) -> Snapshot:
        rate, pods = load(seconds), snapshot.target.pods.ready
        told = dict(fields) if rate and pods else {**fields, **UNTOLD}
        if fields.get("arrived_per_s") is not None:
            told["arrived_per_s"] = rate
        seen = readings(snapshot.now_s, rate if pods else 0.0, pods, **{"running": rate if pods else 0.0, **told})
        return replace(snapshot, observation=Observation(evidence=Evidence.FRESH, readings=seen))

    return see


def test_a_service_that_falls_idle_goes_down_to_its_minimum():
    world = World(replicas=2, see=ending(lambda s: 160.0 if s < 20 * MINUTE else 0.0))
    world.run(20 * MINUTE)
    peak = world.replicas
    assert peak > 3
    world.run(4 * MINUTE)
    assert world.replicas == peak  # within the stabilisation window
    decisions = world.run(60 * MINUTE)
    assert world.replicas == 1
    assert all(condition(each, "Ready")[0] == "True" for each in decisions)
    assert not any(Code.LENGTHS_UNKNOWN in codes(each) for each in decisions)
    settled = len(world.writes)
    world.run(30 * MINUTE)
    assert len(world.writes) == settled


def test_an_idle_service_of_which_nothing_is_remembered_goes_down_too():
    """As after the controller was started anew."""
    world = World(replicas=5, see=ending(lambda _: 0.0))
    world.run(30 * MINUTE)
    assert world.replicas == 1


def test_while_no_request_ends_lengths_are_those_of_before_and_told():
    def see(seconds: float, snapshot: Snapshot) -> Snapshot:
        told = UNTOLD if 10 * MINUTE <= seconds < 20 * MINUTE else {}
        seen = readings(snapshot.now_s, 100.0, snapshot.target.pods.ready, **told)
        return replace(snapshot, observation=Observation(evidence=Evidence.FRESH, readings=seen))

    world = World(replicas=2, see=see)
    world.run(10 * MINUTE)
    needed = world.decisions[-1].needed
    for decision in world.run(10 * MINUTE):
        (held,) = [each for each in decision.reasons if each.code is Code.LENGTHS_HELD]
        assert "of 2027-01-15T08:09:45Z" in held.message
        assert "512 tokens in and 128 out; they are held for 7 days" in held.message
        assert decision.needed == needed
        assert decision.demand.prompt_tokens == PROMPT
    assert Code.LENGTHS_HELD not in codes(world.tick())
    world.see = ending(lambda _: 100.0, **UNTOLD)
    world.now_s += LENGTHS_HELD_S
    decision = world.tick()
    assert (decision.needed, Code.LENGTHS_UNKNOWN in codes(decision)) == (None, True)


def test_looks_without_lengths_are_no_outage_of_the_rates():
    """The lengths come a look late: nothing waits for another whole window of rates that were there all along."""
    world = World(replicas=2, see=ending(lambda _: 100.0, **UNTOLD))
    world.run(10 * MINUTE)
    assert world.memory.rates_since_s is None
    world = World(replicas=2, see=filling(0.0, 5 * MINUTE))
    world.run(6 * MINUTE)
    assert world.memory.rates_since_s is not None


def test_engines_in_which_requests_stay_and_none_ends_are_not_taken_for_idle():
    """They hang, or stream for long: what arrives is nothing, and what they hold is not."""

    def see(seconds: float, snapshot: Snapshot) -> Snapshot:
        if seconds < 10 * MINUTE:
            return snapshot
        seen = readings(snapshot.now_s, 0.0, snapshot.target.pods.ready, **{**UNTOLD, "running": 200.0})
        return replace(snapshot, observation=Observation(evidence=Evidence.FRESH, readings=seen))

    world = World(replicas=4, load=lambda _: 160.0, see=see)
    world.run(10 * MINUTE)
    before = world.replicas
    decision = world.run(30 * MINUTE)[-1]
    assert world.replicas == before
    assert "none has ended" in next(each.message for each in decision.reasons if each.code is Code.LENGTHS_HELD)


def of_zero(load: Callable[[float], float], **more: Any) -> World:
    spec = {**FROM_ZERO, **more.pop("spec", {})}
    return World(**{"policy": policy(**spec), "see": ending(load, arrived_per_s=0.0), **more})


def waves(seconds: float) -> float:
    return 100.0 if seconds % (120 * MINUTE) < 20 * MINUTE else 0.0


def test_to_zero_and_back_to_what_the_lengths_of_before_need():
    world = of_zero(waves, replicas=1)
    world.run(20 * MINUTE)
    needed = world.decisions[-1].needed
    assert needed > 1
    world.run(100 * MINUTE)
    assert world.replicas == 0
    first = world.tick()
    assert (first.current, first.needed) == (0, needed)
    assert {Code.LENGTHS_HELD} <= codes(first)
    assert first.write is not None
    world.run(10 * MINUTE)
    assert world.replicas >= needed


@pytest.mark.parametrize("restarted", [False, True])
def test_from_zero_without_a_length_ever_known_one_replica_is_started_to_learn(restarted: bool):
    world = of_zero(lambda s: 0.0 if s < 5 * MINUTE else 100.0, replicas=0)
    assert {each.desired for each in world.run(5 * MINUTE)} == {0}
    assert world.writes == []
    if restarted:
        world.memory = Memory()
    first = world.tick()
    assert (first.needed, first.write.replicas) == (1, 1)
    assert Code.LENGTHS_UNKNOWN in codes(first)
    assert "one replica" in next(each.message for each in first.reasons if each.code is Code.LENGTHS_UNKNOWN)
    assert condition(first, "Ready")[0] == "True"
    starting = world.run(60.0)
    assert {each.desired for each in starting} == {1}
    world.run(10 * MINUTE)
    assert world.replicas > 1
    assert all(write.replicas > write.before for _, write in world.writes)


def test_lengths_outlive_the_process_that_saw_them():
    world = of_zero(waves, replicas=1)
    world.run(120 * MINUTE - 15.0)
    assert world.replicas == 0
    needed = world.decisions[10 * 4].needed
    world.memory = adopted(Memory(), {"memory": kept(world.memory, world.now_s)})
    world.tick()
    assert world.tick().needed == needed
    odd = replace(Memory(target_uid="one", lengths_s=START), prompt=replace(world.memory.prompt, held=-1.0))
    assert adopted(Memory(), {"memory": kept(odd, START)}).prompt is None


@pytest.mark.parametrize("scaler", [keda(max_replicas=10), hpa(max_replicas=10)])
def test_a_scaler_s_target_is_woken_without_lengths(scaler):
    spec = {"scaledObjectRef": {"name": "chat"}} if scaler.kind == "ScaledObject" else {"hpaRef": {"name": "chat"}}
    world = of_zero(lambda s: 0.0 if s < 5 * MINUTE else 20.0, replicas=0, scaler=scaler, spec=spec)
    world.run(5 * MINUTE)
    assert world.replicas == 0
    world.run(MINUTE)
    assert world.replicas == 1
