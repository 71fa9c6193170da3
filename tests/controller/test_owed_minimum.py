"""The minimum does not wait for metrics: raised to it, never lowered, and within all that limits a raise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.reasons import Code
from controller.snapshot import Evidence, Scaler, Snapshot, Writer
from tests.controller.world import World, codes, policy, without_metrics

MINUTE = 60.0
MORNING = {"name": "morning", "days": ["Fri"], "start": "08:05", "end": "08:30", "min": 8}
"""Five minutes after the beginning of the world, a Friday at 08:00 UTC."""


def blind(_seconds: float, snapshot: Snapshot) -> Snapshot:
    return without_metrics(Evidence.UNREACHABLE)(snapshot)


def world(*, bounds: dict[str, object] | None = None, **fields: object) -> World:
    spec = fields.pop("spec", {})
    made = policy(bounds={"min": 1, "max": 40, "schedules": [MORNING], **(bounds or {})}, **spec)
    return World(policy=made, see=fields.pop("see", blind), **fields)


def test_a_schedule_for_the_morning_does_not_depend_on_prometheus():
    found = world(replicas=2)
    found.run(5 * MINUTE)
    assert found.writes == []
    first = found.tick()
    assert (first.needed, first.desired, found.replicas) == (None, 4, 4)  # at the pace of scaling up
    assert {Code.SCHEDULE, Code.PACED, Code.PROMETHEUS_UNREACHABLE} <= codes(first)
    found.run(5 * MINUTE)
    assert found.replicas == 8
    writes = len(found.writes)
    found.run(40 * MINUTE)  # the schedule ends, and still nothing is known
    assert (found.replicas, len(found.writes)) == (8, writes)


def test_below_its_minimum_a_target_is_raised_to_it_even_from_none():
    found = world(bounds={"min": 3}, replicas=0)
    found.run(3 * MINUTE)
    assert found.replicas == 3
    assert Code.AT_MINIMUM in codes(found.decisions[0])


def test_with_a_scaler_its_minimum_is_raised_and_its_maximum_stays():
    scaler = Scaler(kind="HorizontalPodAutoscaler", name="chat", uid="h", min_replicas=1, max_replicas=60, desired=1)
    found = world(bounds={"min": 2}, replicas=1, scaler=scaler)
    found.run(3 * MINUTE)
    assert (found.scaler.min_replicas, found.scaler.max_replicas) == (2, 60)


def test_money_and_gpus_limit_it():
    money = {"min": 8, "budgetPerHour": 6.0, "gpuPricePerHour": 2.0}
    found = world(bounds=money, replicas=1)
    found.run(10 * MINUTE)
    assert found.replicas == 3
    quota = world(bounds={"min": 8}, replicas=1, see=lambda at, s: replace(blind(at, s), gpus_free=0))
    quota.run(10 * MINUTE)
    assert quota.replicas == 1


def test_without_a_profile_what_a_replica_costs_is_not_known_and_only_where_it_counts_all_is_held():
    lost = {"replicas": 1, "capacity": None}
    assert world(bounds={"min": 2}, **lost).tick().desired == 2
    assert world(bounds={"min": 2, "maxGPUs": 30}, **lost).tick().desired == 1


@pytest.mark.parametrize(
    ("spec", "changes"),
    [
        ({"mode": "Advise"}, {}),
        ({"paused": True}, {}),
        ({}, {"killed": True}),
        ({}, {"other_policies": ("serving/too",)}),
        ({}, {"unmanaged_scaler": "HPA chat"}),
    ],
)
def test_who_may_not_write_says_what_would_be(spec, changes):
    found = world(spec=spec, bounds={"min": 4}, replicas=1, see=lambda at, s: replace(blind(at, s), **changes))
    decision = found.run(MINUTE)[-1]
    assert found.writes == []
    assert decision.proposed.replicas == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"scaler_problem": "HorizontalPodAutoscaler serving/chat is not there"},
        {"target": None, "target_problem": "LIST pods: 403"},
    ],
)
def test_with_no_lever_nothing_is_done(changes):
    found = world(bounds={"min": 4}, replicas=1, see=lambda at, s: replace(blind(at, s), **changes))
    assert found.run(MINUTE)[-1].proposed is None


def test_where_pods_find_no_place_more_are_not_asked_for():
    def full(seconds: float, snapshot: Snapshot) -> Snapshot:
        seen = blind(seconds, snapshot)
        return replace(seen, target=replace(seen.target, pods=replace(seen.target.pods, ready=0, unschedulable=1)))

    found = world(bounds={"min": 4}, replicas=1, see=full)
    assert Code.NO_PLACE in codes(found.run(MINUTE)[-1])
    assert found.writes == []


def test_a_person_who_goes_below_it_after_us_is_left_alone_for_a_while():
    found = world(bounds={"min": 4}, replicas=1)
    found.run(3 * MINUTE)
    person = Writer(manager="kubectl")
    found.see = lambda at, s: replace(blind(at, s), target=replace(s.target, writer=person))
    found.resize(2)
    writes = len(found.writes)
    found.run(10 * MINUTE)
    assert (found.replicas, len(found.writes)) == (2, writes)
    assert Code.RIVAL_WRITER in codes(found.decisions[-1])
