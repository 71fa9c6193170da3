"""Policies of different targets whose labels select the same series: each would scale for the load of all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.reasons import Code
from controller.snapshots import shared_series
from tests.controller.soak_world import AS_MEASURED, NAMES, SPACE, SoakWorld
from tests.controller.world import PROFILE, World, codes, condition, policy

MINUTE = 60.0
PROFILES = {("serving", PROFILE): AS_MEASURED}


def of(target: str, labels: dict[str, str]):
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    return policy(targetRef=ref, metrics={"matchLabels": labels})


@pytest.mark.parametrize(
    ("mine", "theirs", "target", "held"),
    [
        ({"model": "a"}, {"model": "a"}, "b", (True, True)),
        ({"model": "a"}, {"model": "a", "pool": "x"}, "b", (True, False)),  # all of theirs are mine
        ({"model": "a"}, {"model": "b"}, "b", (False, False)),
        ({"model": "a", "pool": "y"}, {"model": "a", "pool": "x"}, "b", (False, False)),
        ({"model": "a"}, {"model": "a"}, "chat", (False, False)),  # of one target: that is told by itself
    ],
)
def test_whose_series_are_counted_twice(mine, theirs, target, held):
    policies = {("serving", "mine"): of("chat", mine), ("serving", "theirs"): of(target, theirs)}
    found = shared_series(policies, PROFILES)
    assert tuple(bool(found[key]) for key in policies) == held
    assert found["serving", "mine"] == (("serving/theirs",) if held[0] else ())


@pytest.mark.parametrize("load", [300.0, 5.0])
def test_nothing_moves_on_a_load_that_is_another_s_too(load: float):
    world = World(load=lambda _: load, replicas=4)
    world.see = lambda _, seen: replace(seen, sharing_policies=("serving/other",))
    decision = world.run(20 * MINUTE)[-1]
    assert world.writes == []
    assert (decision.needed, decision.desired) == (None, 4)
    assert Code.SHARED_SERIES in codes(decision)
    for kind in ("Ready", "MetricsFresh", "ScalingActive"):
        status, reason, message = condition(decision, kind)
        assert (status, reason) == ("False", "SeriesOfTwoTargets")
        assert "serving/other" in message


def test_four_policies_with_the_same_labels_are_all_held_and_name_each_other():
    world = SoakWorld(0)
    same = {"matchLabels": {"model_name": "same"}}
    for name in NAMES[:4]:
        world.edit(name, metrics={**world.policies[SPACE, name].spec.metrics.model_dump(by_alias=True), **same})
        world.models[name].rate_per_s = 300.0
    world.tick()
    world.tick()
    assert {write.name for write in world.writes} <= {NAMES[4]}
    decision = world.controllers["one"].controller.tick().decisions[SPACE, NAMES[0]]
    message = condition(decision, "MetricsFresh")[2]
    assert all(f"{SPACE}/{name}" in message for name in NAMES[1:4])
