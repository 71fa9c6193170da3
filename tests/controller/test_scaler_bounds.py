"""Bounds of a scaler, as stories in virtual time: what a lowered maximum takes away, and who else writes them."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from controller.reasons import Code
from controller.snapshot import Evidence, Observation, Scaler, Snapshot, Writer
from controller.writes import perhaps_written
from tests.controller.world import START, TICK_S, World, codes, condition, policy, readings

MINUTE = 60.0
OURS = Writer(manager="replicast", ours=True)


def scaler(**fields: object) -> Scaler:
    made = Scaler(kind="HorizontalPodAutoscaler", name="chat", uid="h", min_replicas=1, max_replicas=20, desired=12)
    return replace(made, **{"writer": OURS, "max_writer": OURS, **fields})


def running_twelve(**spec: object) -> World:
    """An HPA whose own metrics ask for twelve, where the load needs one; all of it well known."""
    world = World(policy=policy(**spec), load=lambda _: 20.0, replicas=12, scaler=scaler())
    world.run(10 * MINUTE)
    assert (world.replicas, world.scaler.min_replicas, world.scaler.max_replicas) == (12, 1, 40)
    return world


def ran(world: World, seconds: float) -> list[int]:
    """Replicas after each tick."""
    return [(world.tick(), world.follow(), world.replicas)[-1] for _ in range(round(seconds / TICK_S))]


BUDGET = {"min": 1, "max": 40, "budgetPerHour": 12.0, "gpuPricePerHour": 2.0}


@pytest.mark.parametrize(("bounds", "code"), [({"min": 1, "max": 6}, Code.AT_MAXIMUM), (BUDGET, Code.BUDGET)])
@pytest.mark.parametrize("kind", ["HorizontalPodAutoscaler", "ScaledObject"])
def test_a_lowered_maximum_takes_one_replica_a_minute_of_those_that_run(bounds, code, kind):
    world = running_twelve()
    world.scaler = replace(world.scaler, kind=kind)
    world.policy = policy(bounds=bounds)
    seen = [12, *ran(world, 10 * MINUTE)]
    assert seen[-1] == 6
    falls = [at for at, (before, after) in enumerate(itertools.pairwise(seen)) if after < before]
    assert all(before - after in (0, 1) for before, after in itertools.pairwise(seen))
    assert all(later - earlier >= MINUTE / TICK_S for earlier, later in itertools.pairwise(falls))
    assert {code, Code.PACED} <= codes(world.decisions[-40])


def partly(_seconds: float, snapshot: Snapshot) -> Snapshot:
    seen = readings(snapshot.now_s, 5.0, 1)
    return replace(snapshot, observation=Observation(evidence=Evidence.PARTIAL, message="1 of 12", readings=seen))


def rolling(_seconds: float, snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, target=replace(snapshot.target, rolling=True))


@pytest.mark.parametrize(("see", "code"), [(partly, Code.METRICS_PARTIAL), (rolling, Code.ROLLOUT)])
def test_while_nothing_may_be_scaled_down_a_maximum_is_never_below_what_runs(see, code):
    world = running_twelve()
    world.policy, world.see = policy(bounds={"min": 1, "max": 6}), see
    assert ran(world, 20 * MINUTE) == [12] * 80
    assert world.scaler.max_replicas == 12  # room to grow beyond the ceiling is gone at once
    assert {code, Code.AT_MAXIMUM} <= codes(world.decisions[-1])


def test_a_controller_that_has_just_begun_lowers_no_maximum_below_what_runs():
    world = World(policy=policy(bounds={"min": 1, "max": 6}), load=lambda _: 20.0, replicas=12, scaler=scaler())
    assert set(ran(world, 4 * MINUTE)) == {12}
    assert Code.STABILIZING in codes(world.decisions[-1])


def test_what_the_scaler_itself_takes_away_counts_for_the_pace_of_its_maximum():
    world = running_twelve()
    world.scaler = replace(world.scaler, desired=9)
    world.follow()
    world.policy = policy(bounds={"min": 1, "max": 6})
    assert set(ran(world, MINUTE)) == {9}
    assert ran(world, 3 * MINUTE)[-1] == 6


def test_a_quota_whose_free_gpus_come_and_go_moves_no_maximum():
    world = World(load=lambda _: 60.0, replicas=2, scaler=scaler(desired=2))
    world.see = lambda seconds, s: replace(s, gpus_free=3 + int(seconds / TICK_S) % 5)
    world.run(20 * MINUTE)
    settled = len(world.writes)
    world.run(60 * MINUTE)
    assert len(world.writes) == settled
    assert world.scaler.max_replicas == 40


def test_a_quota_limits_the_minimum_of_a_scaler():
    world = World(load=lambda _: 300.0, replicas=2, scaler=scaler(desired=2), see=lambda _, s: replace(s, gpus_free=1))
    world.tick()
    assert (world.scaler.min_replicas, world.scaler.max_replicas) == (3, 40)


@pytest.mark.parametrize("kind", ["HorizontalPodAutoscaler", "ScaledObject"])
def test_a_tool_that_resets_the_maximum_each_minute_meets_fewer_and_fewer_writes(kind):
    world = World(load=lambda _: 60.0, replicas=2, scaler=scaler(kind=kind, desired=2))
    undone = Writer(manager="argocd-controller", at_s=START)
    world.see = lambda seconds, s: replace(
        s, scaler=replace(s.scaler, max_writer=replace(undone, at_s=START + seconds))
    )
    for _ in range(12 * 60):
        world.run(MINUTE)
        world.scaler = replace(world.scaler, max_replicas=4)
    assert 2 <= len(world.writes) <= 8
    assert world.memory.rival == "argocd-controller"
    told = [condition(decision, "NoRivalWriter") for decision in world.decisions]
    assert any("minimum or maximum" in message for status, _, message in told if status == "False")


def version(number: int):
    return lambda _, s: replace(
        s, scaler=replace(s.scaler, resource_version=str(number), writer=Writer(manager="kubectl-edit"))
    )


def test_by_the_objects_version_it_is_known_whether_our_write_is_seen_yet():
    world = World(load=lambda _: 160.0, replicas=1, scaler=scaler(desired=None, max_replicas=40))
    world.tick()
    world.memory = replace(world.memory, written_version="205")
    ours, world.scaler = world.scaler, replace(world.scaler, min_replicas=1)
    world.see = version(204)
    assert condition(world.tick(), "NoRivalWriter")[0] == "True"
    world.scaler, world.memory = ours, replace(world.memory, written_version="205")
    world.scaler = replace(world.scaler, min_replicas=1)
    world.see = version(206)
    assert "kubectl-edit" in condition(world.tick(), "NoRivalWriter")[2]


def test_a_write_whose_answer_was_lost_makes_nobody_a_rival_and_its_undoing_does():
    nobody = Writer(manager="unknown")
    world = World(load=lambda _: 20.0, replicas=2, see=lambda _, s: replace(s, target=replace(s.target, writer=nobody)))
    world.run(MINUTE)
    world.load = lambda _: 160.0
    (before, memory), write = (world.replicas, world.memory), world.tick().write
    world.memory = perhaps_written(replace(memory, written=before), write)
    assert condition(world.tick(), "NoRivalWriter")[0] == "True"
    world.resize(before)
    assert condition(world.tick(), "NoRivalWriter")[:2] == ("False", "RivalWriter")


def test_a_minimum_goes_no_further_ahead_of_a_scaler_that_does_not_follow_than_one_step():
    """Its metrics are broken, say: what it catches up with later is removed at once, and by us."""
    world = World(load=lambda s: 320.0 if s < 10 * MINUTE else 20.0, replicas=1, scaler=scaler(desired=0))
    world.run(15 * MINUTE)
    grown = world.scaler.min_replicas
    assert grown > 3
    world.scaler = replace(world.scaler, desired=grown)
    assert set(ran(world, 30 * MINUTE)) == {grown}
    assert world.scaler.min_replicas >= grown - 1
    world.scaler = replace(world.scaler, desired=0)
    seen = [grown, *ran(world, 20 * MINUTE)]
    assert seen[-1] < grown - 2
    assert all(before - after in (0, 1) for before, after in itertools.pairwise(seen))


def test_a_policy_that_comes_to_name_an_hpa_makes_nobody_a_rival():
    world = World(load=lambda _: 160.0, replicas=1)
    world.run(10 * MINUTE)
    assert world.memory.written == world.replicas
    world.scaler = scaler(desired=None, writer=Writer(manager="kubectl-create"), max_writer=None)
    for decision in world.run(MINUTE):
        assert condition(decision, "NoRivalWriter")[0] == "True"
    assert world.scaler.min_replicas > 1
