"""A policy that cannot be understood: what is wrong, where, and what to do."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from controller import invalid_policies
from controller.invalid_policies import Within
from controller.invalid_policy import InvalidPolicy, policy_or_why_not
from tests.controller.soak_world import SPACE, SoakWorld
from tests.controller.world import policy


def document(name: str = "chat", **spec: Any) -> dict[str, Any]:
    found = policy().model_dump(mode="json", by_alias=True, exclude_none=True)
    found["metadata"] |= {"name": name, "generation": 7}
    return {**found, "spec": {**found["spec"], **spec}}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"bounds": {"min": 3, "max": 2}}, "spec.bounds: min 3 is more than max 2"),
        ({"bounds": None}, "spec.bounds: Input should be"),
        ({"speed": 3}, "spec.speed: this version of the controller does not know the field: remove it, or update"),
        ({"objectives": ["ttft"]}, "spec.objectives: "),
        ({"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}, "; and 2 more; nothing is decided"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(wrong: dict[str, Any], told: str):
    found = policy_or_why_not(document(**wrong))
    assert isinstance(found, InvalidPolicy)
    assert told in found.problem
    assert (found.key, found.metadata.generation) == ("serving/chat", 7)


def test_it_is_seen_in_the_metrics_as_long_as_it_is_there():
    world = SoakWorld(0)
    world.settle()
    judged = world.controllers["one"]
    held = judged.caches.policies.objects()
    odd = policy_or_why_not(document("hpa", bounds={"min": 3, "max": 2}))
    held[SPACE, "hpa"] = odd
    ticked = judged.controller.tick()
    assert ticked.unreadable == {(SPACE, "hpa"): odd.problem}
    assert (SPACE, "hpa") not in ticked.decisions
    metric = 'replicast_policy_condition{namespace="serving",policy="hpa",type="Ready"} 0.0'
    assert metric in judged.controller.telemetry.text().decode()
    del held[SPACE, "hpa"]
    judged.controller.tick()
    assert 'policy="hpa"' not in judged.controller.telemetry.text().decode()


def two_invalid(world: SoakWorld):
    world.settle()
    judged = world.controllers["one"]
    for name in ("hpa", "plain"):
        judged.caches.policies.objects()[SPACE, name] = policy_or_why_not(document(name, bounds={"min": 3, "max": 2}))
    return judged.controller


def told_of_invalid(world: SoakWorld) -> list[str]:
    return [name for _, name, _ in world.told if name in ("hpa", "plain")]


def test_no_status_is_written_once_this_process_leads_no_more():
    world = SoakWorld(0)
    controller = two_invalid(world)
    patch = controller.api.patch

    def overtaken(where, body, **more):
        if "/hpa/status" in where:
            world.lease.holder = "two"
        return patch(where, body, **more)

    controller.api.patch = overtaken
    controller.tick()
    assert told_of_invalid(world) == ["hpa"]


def test_what_is_not_told_in_time_is_told_later_and_each_has_the_time_that_the_lease_has_left(monkeypatch):
    world = SoakWorld(0)
    controller = two_invalid(world)
    left, given = iter((8.0, 5.0)), []
    within = Within(may_write=lambda: True, left_s=lambda: next(left), end_s=10.0)
    soon = Within(may_write=lambda: True, left_s=lambda: next(left), end_s=5.0)
    teller, invalid = controller._invalid, controller._policies()[1]
    patch = controller.api.patch
    controller.api.patch = lambda *about, within_s=None, **more: (given.append(within_s), patch(*about, **more))[1]
    teller.seen(invalid)
    monkeypatch.setattr(invalid_policies, "time", SimpleNamespace(monotonic=lambda: 6.0 * len(given)))
    assert teller.tell(invalid, world.now_s, soon) == 1
    assert teller.tell(invalid, world.now_s, within) == 1
    assert told_of_invalid(world) == ["hpa", "plain"]
    assert given == [8.0, 5.0]
