"""Targets at zero whose scaler does not start them: who does, and what is told, as stories in virtual time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from controller.decision import Decision, Lever
from controller.reasons import Code
from controller.snapshot import Evidence, Observation, Scaler, Snapshot
from tests.controller.test_stories import MINUTE, ZERO, hpa
from tests.controller.world import World, codes, condition, policy, readings


@dataclass
class Versioned(World):
    """A world whose objects have versions, as the API server counts them: one more with every write."""

    version: int = 100
    target_version: int = 100
    scaler_version: int = 99
    counted: bool = False
    """Whether a counter before the engines tells what arrives."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.see = self._seen

    def _seen(self, seconds: float, seen: Snapshot) -> Snapshot:
        writer = seen.target.writer if self.replicas else None  # as API servers keep managedFields
        target = replace(seen.target, resource_version=str(self.target_version), writer=writer)
        scaler = seen.scaler and replace(seen.scaler, resource_version=str(self.scaler_version))
        rate = self.load(seconds)
        observation = seen.observation
        if self.counted:
            read = readings(seen.now_s, rate, self.ready, arrived_per_s=rate, running=rate if self.ready else None)
            observation = Observation(evidence=Evidence.FRESH, readings=read)
        elif self.replicas == 0:
            observation = Observation(evidence=Evidence.ABSENT, message="no pod is to run")
        return replace(seen, target=target, scaler=scaler, observation=observation)

    def tick(self) -> Decision:
        decision = super().tick()
        if decision.write is not None:
            self.version += 1
            if decision.write.lever is Lever.SCALE:
                self.target_version = self.version
            else:
                self.scaler_version = self.version
            self.memory = replace(self.memory, written_version=str(self.version))
        return decision

    def switch_off(self) -> None:
        """As a person does by `kubectl scale --replicas=0`."""
        self.version += 1
        self.target_version = self.version
        self.resize(0)


def scaling_active(decision: Decision) -> tuple[str, str, str]:
    return condition(decision, "ScalingActive")


@pytest.mark.parametrize("counted", [False, True])
def test_the_target_of_a_disabled_hpa_is_started_by_scale_when_its_bounds_are_right(counted: bool):
    world = Versioned(policy=policy(bounds={"min": 3, "max": 10}), replicas=0, scaler=hpa(), counted=counted)
    first = world.tick()
    assert Code.TARGET_AT_ZERO in codes(first)
    assert scaling_active(first)[:2] == ("False", "TargetAtZero")
    assert "ScalingDisabled" in scaling_active(first)[2]
    world.run(5 * MINUTE)
    levers = [(write.lever, write.replicas) for _, write in world.writes[:2]]
    assert levers == [(Lever.HPA, 2), (Lever.SCALE, 2)]  # at the pace of scaling up
    assert [write.lever for _, write in world.writes].count(Lever.SCALE) == 1
    assert world.replicas == 3
    assert condition(world.decisions[-1], "NoRivalWriter")[0] == "True"
    assert Code.TARGET_AT_ZERO not in codes(world.decisions[-1])


def test_advice_says_what_a_person_is_to_do():
    world = Versioned(policy=policy(mode="Advise"), replicas=0, scaler=hpa(min_replicas=2, max_replicas=40))
    decision = world.run(MINUTE)[-1]
    assert world.writes == []
    assert (decision.proposed.lever, decision.proposed.replicas) == (Lever.SCALE, 2)
    assert "`kubectl scale deployment/chat --replicas=2` starts it" in scaling_active(decision)[2]


def test_a_pause_holds_the_waking_too_and_is_named():
    world = Versioned(policy=policy(paused=True), replicas=0, scaler=hpa(max_replicas=40))
    decision = world.run(MINUTE)[-1]
    assert world.writes == []
    assert "spec.paused is true; `kubectl scale" in scaling_active(decision)[2]


def test_a_person_who_switches_off_again_and_again_is_named_and_met_ever_less_often():
    world = Versioned(policy=policy(bounds={"min": 2, "max": 10}), replicas=2, scaler=hpa(), load=lambda _: 20.0)
    world.run(5 * MINUTE)
    writes = len(world.writes)
    world.switch_off()
    decision = world.tick()
    assert condition(decision, "NoRivalWriter")[:2] == ("False", "RivalWriter")
    world.run(14 * MINUTE)
    assert (world.replicas, len(world.writes)) == (0, writes)
    for _ in range(int(12 * 60 * MINUTE / 15)):
        if world.replicas:
            world.switch_off()
        world.tick()
    woken = [write for _, write in world.writes[writes:] if write.lever is Lever.SCALE]
    assert 2 <= len(woken) <= 8


def test_a_policy_that_allows_none_lets_a_target_without_load_sleep_and_wakes_it_for_the_first_request():
    world = Versioned(
        policy=policy(**ZERO), replicas=0, scaler=hpa(), counted=True, load=lambda s: 0.0 if s < 30 * MINUTE else 20.0
    )
    world.run(30 * MINUTE)
    assert [write.lever for _, write in world.writes if write.lever is Lever.SCALE] == []
    assert Code.TARGET_AT_ZERO not in codes(world.decisions[-1])
    world.run(MINUTE)
    assert world.replicas >= 1


def test_an_hpa_that_may_itself_go_to_zero_is_not_disabled():
    world = Versioned(policy=policy(**ZERO), replicas=0, scaler=hpa(min_replicas=0), counted=True, load=lambda _: 0.0)
    decisions = world.run(5 * MINUTE)
    assert not any(Code.TARGET_AT_ZERO in codes(each) for each in decisions)


def keda(**fields: Any) -> Scaler:
    named = Scaler(kind="ScaledObject", name="chat", uid="k", min_replicas=0, max_replicas=10)
    return replace(named, **fields)


def test_keda_starts_its_targets_itself():
    world = Versioned(policy=policy(bounds={"min": 2, "max": 10}), replicas=0, scaler=keda())
    world.run(MINUTE)
    assert {write.lever for _, write in world.writes} == {Lever.SCALED_OBJECT}
    assert (world.scaler.min_replicas, world.replicas) == (2, 2)


def test_an_idle_count_below_the_policy_s_minimum_is_named_with_what_to_do():
    world = Versioned(replicas=0, scaler=keda(min_replicas=1, max_replicas=40, idle=0))
    world.follow = lambda: None  # the triggers are inactive
    status, reason, message = scaling_active(world.run(MINUTE)[-1])
    assert (status, reason) == ("False", "TargetAtZero")
    assert "remove idleReplicaCount" in message
    assert [write for _, write in world.writes if write.lever is Lever.SCALE] == []


def test_the_minimum_stays_above_the_idle_count():
    """KEDA refuses another one; it takes the target to the idle count by itself."""
    scaler = keda(min_replicas=2, max_replicas=10, idle=0)
    world = Versioned(policy=policy(**ZERO), replicas=2, scaler=scaler, counted=True, load=lambda _: 0.0)
    world.run(30 * MINUTE)
    assert world.scaler.min_replicas == 1
    settled = len(world.writes)
    world.run(10 * MINUTE)
    assert len(world.writes) == settled
    assert Code.TARGET_AT_ZERO not in codes(world.decisions[-1])


@pytest.mark.parametrize("load", [300.0, 0.0])
@pytest.mark.parametrize("replicas", [0, 3])
def test_while_a_scaled_object_is_paused_nothing_is_written_and_it_is_named(load: float, replicas: int):
    paused = keda(min_replicas=replicas, paused="autoscaling.keda.sh/paused-replicas: 0", idle=0)
    world = Versioned(policy=policy(**ZERO), replicas=replicas, scaler=paused, counted=True, load=lambda _: load)
    decision = world.run(40 * MINUTE)[-1]
    assert world.writes == []
    status, reason, message = scaling_active(decision)
    assert (status, reason) == ("False", "ScalerPaused")
    assert "ScaledObject chat is paused by its annotation autoscaling.keda.sh/paused-replicas: 0" in message
    world.scaler = replace(world.scaler, paused="", idle=None)
    world.run(3 * MINUTE)
    assert bool(world.writes) == (load > 0.0 or replicas > 0)
