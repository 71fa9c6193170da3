"""A policy that cannot be understood: what is wrong, where, and what to do."""

from __future__ import annotations

from typing import Any

import pytest

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
