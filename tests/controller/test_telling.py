"""What is told on policies: once, by whoever leads, from what is there and not from what a process remembers."""

from __future__ import annotations

import random
from typing import Any

import pytest

from controller import status_teller
from controller.kept_memory import adopted, kept, left_in
from controller.kubernetes_api import ApiError
from controller.memory import Change, Memory
from controller.notable_change import said, said_in
from controller.policy_status import status_of
from controller.rivals import _size
from controller.status_teller import without_nothing
from tests.controller.soak_world import NAMES, SPACE, SoakWorld
from tests.controller.world import START, World

PLAIN = (SPACE, "plain")


@pytest.fixture
def world() -> SoakWorld:
    """Everything is well, and has been told."""
    made = SoakWorld(0)
    made.edit("plain", bounds={"min": 1, "max": 20})  # without its schedule
    two = made.controllers.pop("two")
    ticks(made, 24)
    made.controllers["two"] = two
    return made


def ticks(world: SoakWorld, count: int) -> None:
    for _ in range(count):
        world.tick()


def restarted(world: SoakWorld, name: str = "one") -> Any:
    """The process ends, and another begins with nothing but what the API server has."""
    world.controllers[name] = world._controller(name)
    return world.controllers[name].controller


def status(world: SoakWorld, name: str = "plain") -> dict[str, Any]:
    return world.policies[SPACE, name].status


def conditions(world: SoakWorld) -> dict[str, tuple[str, str]]:
    return {each["type"]: (each["status"], each["lastTransitionTime"]) for each in status(world)["conditions"]}


def written(world: SoakWorld, name: str = "plain") -> list[tuple[int, int]]:
    return [(each.before, each.after) for each in world.writes if each.name == name]


# Status: what is there counts


def test_whoever_leads_next_writes_no_status_that_says_the_same(world):
    before, told = conditions(world), len(world.told)
    world.lease.holder = "two"
    ticks(world, 3)
    assert world.told[told:] == []
    restarted(world, "two")
    ticks(world, 1)
    assert {name for _, name, _ in world.told[told:]} <= set(NAMES)
    assert conditions(world)["Ready"] == before["Ready"]


def test_after_a_handover_only_a_condition_that_changes_has_a_new_time(world):
    before = conditions(world)
    world.lease.holder = "two"
    world.faults["prometheus down"] = world.true_s + 60.0
    ticks(world, 2)
    after = conditions(world)
    assert after["MetricsFresh"][0] == "False"
    assert after["MetricsFresh"][1] > before["MetricsFresh"][1]
    assert (after["NoRivalWriter"], after["ProfileFresh"]) == (before["NoRivalWriter"], before["ProfileFresh"])


def test_a_status_that_somebody_edited_is_put_right(world, monkeypatch):
    monkeypatch.setattr(status_teller, "WATCH_LAG_S", 0.0)
    right = status(world)
    edited = {**right, "desiredReplicas": 99, "binding": "what I like"}
    world.policies[PLAIN] = world.policies[PLAIN].model_copy(update={"status": edited})
    ticks(world, 1)
    assert {**status(world), "lastDecisionTime": ""} != {**edited, "lastDecisionTime": ""}
    assert (status(world)["desiredReplicas"], status(world)["binding"]) == (
        right["desiredReplicas"],
        right["binding"],
    )
    told = len(world.told)
    ticks(world, 2)
    assert world.told[told:] == []


def test_a_watch_that_is_late_is_no_edit(world, monkeypatch):
    monkeypatch.setattr(status_teller, "WATCH_LAG_S", 0.0)
    world.faults |= {"stale one": world.true_s + 60.0, "no series": world.true_s + 60.0}
    ticks(world, 1)
    told = len(world.told)
    world.controllers["one"].controller.tick()
    assert [name for _, name, _ in world.told[told:] if name == "plain"] == []


def test_a_policy_that_is_made_again_under_its_name_begins_anew(world):
    policy = world.policies[PLAIN]
    again = policy.metadata.model_copy(update={"uid": "another"})
    world.policies[PLAIN] = policy.model_copy(update={"metadata": again, "status": {}})
    before = world.controllers["one"].controller.memories[PLAIN]
    ticks(world, 1)
    after = world.controllers["one"].controller.memories[PLAIN]
    assert len(before.recommended) > 10
    assert (len(after.recommended), after.since_s) == (1, world.now_s - 15.0)
    assert status(world)["desiredReplicas"] == 1


# Status: noise is not worth a write


def test_a_load_that_only_swings_writes_no_status(world):
    chance = random.Random(1)
    del world.controllers["two"]
    for each in range(160):
        for model in world.models.values():
            model.rate_per_s = 25.0 * chance.uniform(0.95, 1.05)
        world.tick()
        if each == 40:
            told = len(world.told)
    assert world.told[told:] == []


def test_figures_that_stay_others_are_told_in_the_end(world):
    world.models["plain"].rate_per_s = 20.0
    ticks(world, 10)
    assert status(world)["demand"]["arrivingPerSecond"] == 40.0
    ticks(world, 20)
    assert status(world)["demand"]["arrivingPerSecond"] == 20.0


def test_a_decision_and_its_status_say_the_same():
    world = World(load=lambda seconds: 40.0 + seconds / 5.0)
    world.run(600.0)
    for _, memory, decision in world.seen[::4]:
        told = said(decision, memory)
        read = said_in(without_nothing(status_of(decision, None, kept(memory, world.now_s))))
        assert read is not None
        assert read.words == told.words
        assert not read.moved(told)


NOTHING = {"observedGeneration": 1, "conditions": []}
AS_OBJECTIVE = {"objective": "ttft:p99<=1s", "limit": 0, "value": 1, "met": True}
ODD = [
    {},
    {"reasons": 3},
    {"observedGeneration": 1, "conditions": [{}]},
    {**NOTHING, "predicted": [AS_OBJECTIVE]},
    {**NOTHING, "reasons": [7]},
    {**NOTHING, "conditions": ["Ready", {"type": "Ready", "status": "True", "lastTransitionTime": "9" * 99}]},
    {**NOTHING, "demand": {"arrivingPerSecond": "many", "plannedPerSecond": 1, "slowdown": {}}},
]


@pytest.mark.parametrize("odd", ODD)
def test_whatever_a_status_says_every_policy_is_decided_on_and_it_is_put_right(world, odd):
    world.policies[PLAIN] = world.policies[PLAIN].model_copy(update={"status": odd})
    one = restarted(world)
    ticks(world, 2)
    assert one._failures.now == {}
    assert {each["type"] for each in status(world)["conditions"]} >= {"Ready", "ScalingActive"}
    assert one._last[PLAIN].needed is not None


@pytest.mark.parametrize("odd", ODD[:4])
def test_a_status_that_is_not_ours_is_written_anew(odd):
    assert said_in(odd) is None


# Events


def events_of(world: SoakWorld, name: str = "plain") -> list[dict[str, Any]]:
    return [each for each in world.events.values() if each["involvedObject"]["name"] == name]


def test_what_comes_again_is_counted_on_the_event_that_is_there(world):
    world.events.clear()
    for each in range(12):
        world.faults = {} if each % 2 else {"no series": world.true_s + 1.0}
        world.tick()
    (told,) = events_of(world)
    assert (told["reason"], told["count"]) == ("MetricsAbsent", 6)
    assert (told["firstTimestamp"], told["lastTimestamp"]) == ("2027-01-15T08:06:00Z", "2027-01-15T08:08:30Z")


def test_what_flaps_is_counted_and_told_and_does_not_flood(world):
    world.events.clear()
    del world.controllers["two"]
    told, before = len(world.told), world.event_writes
    for each in range(160):  # forty minutes
        world.faults = {} if each % 2 else {"no series": world.true_s + 1.0}
        world.tick()
    (event,) = events_of(world)
    assert 70 <= event["count"] <= 80
    assert world.event_writes - before <= len(NAMES) * (25 + 8 + 1)
    statuses = [name for _, name, _ in world.told[told:] if name == "plain"]
    assert 20 < len(statuses) <= 10 + 40


def flapped(world: SoakWorld) -> None:
    """So often that its status is told once a minute: it was just now, and will not be for a while."""
    del world.controllers["two"]
    quiet = False
    for each in range(100):
        told = len(world.told)
        world.faults = {} if each % 2 else {"no series": world.true_s + 1.0}
        world.tick()
        now = "plain" in {name for _, name, _ in world.told[told:]}
        if now and quiet:
            break
        quiet = not now
    else:
        raise AssertionError("every tick was told")


@pytest.mark.parametrize(
    ("order", "reason"),
    [("paused", "Paused"), ("mode", "AdviseOnly"), ("killed", "KillSwitch"), ("going", "BeingDeleted")],
)
def test_what_a_person_orders_is_told_at_once_whatever_has_flapped(world, order, reason):
    flapped(world)
    world.faults = {}
    if order == "going":
        policy = world.policies[PLAIN]
        changed = policy.metadata.model_copy(update={"deletion_timestamp": "2027-01-15T08:00:00Z"})
        world.policies[PLAIN] = policy.model_copy(update={"metadata": changed})
    elif order == "killed":
        world.killed = True
    else:
        world.edit("plain", **{order: True if order == "paused" else "Advise"})
    ticks(world, 1)
    found = {each["type"]: each["reason"] for each in status(world)["conditions"]}
    assert found["ScalingActive"] == reason
    assert status(world)["observedGeneration"] == world.policies[PLAIN].metadata.generation
    if order == "killed":
        world.killed = False
        ticks(world, 1)
        assert "KillSwitch" not in {each["code"] for each in status(world)["reasons"]}


def test_an_event_that_has_expired_is_made_again(world):
    world.faults["no series"] = world.true_s + 1.0
    ticks(world, 2)
    world.events.clear()
    world.faults["no series"] = world.true_s + 1.0
    ticks(world, 2)
    (told,) = events_of(world)
    assert told["reason"] == "MetricsAbsent"


def test_whoever_leads_next_does_not_tell_again_what_stands(world):
    world.faults["no series"] = world.true_s + 3600.0
    ticks(world, 2)
    world.events.clear()
    world.lease.holder = "two"
    ticks(world, 2)
    restarted(world, "two")
    ticks(world, 2)
    assert events_of(world) == []


# What the next leader must know


def test_a_pause_for_a_rival_outlives_the_process(world):
    world.models["plain"].rate_per_s = 150.0
    ticks(world, 2)
    world.rival("plain", 1, "kubectl-scale")
    ticks(world, 2)
    steps = written(world)
    one = restarted(world)
    ticks(world, 4)
    assert written(world) == steps
    assert one.memories[PLAIN].rival_writes == 1
    assert "kubectl-scale changed the number of replicas" in str(status(world)["conditions"])
    world.lease.holder = "two"
    ticks(world, 4)
    assert written(world) == steps


def test_a_rival_that_wrote_while_nobody_led_is_found(world):
    world.models["plain"].rate_per_s = 150.0
    ticks(world, 2)
    steps = written(world)
    world.rival("plain", 1, "kubectl-scale")
    restarted(world)
    ticks(world, 1)
    assert written(world) == steps
    assert "kubectl-scale" in str(status(world)["conditions"])


SLOW = {
    "scaleDown": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 600}]}
}


@pytest.mark.parametrize("last_words", [True, False], ids=["told", "killed before the status"])
def test_a_leader_killed_after_it_removed_one_lets_the_next_remove_no_second(world, last_words, monkeypatch):
    world.edit("quick", behavior=SLOW)
    world.models["quick"].rate_per_s = 100.0
    ticks(world, 50)
    world.models["quick"].rate_per_s = 5.0
    before = len(world.writes)
    if not last_words:
        monkeypatch.setattr(status_teller.StatusTeller, "tell", speechless)
    while not any(each.after < each.before for each in world.writes[before:]):
        world.tick()
    (gone,) = [each for each in world.writes[before:] if each.name == "quick" and each.after < each.before]
    monkeypatch.undo()
    for name in ("one", "two"):
        restarted(world, name)
    ticks(world, 39)
    assert world.writes[-1] == gone
    ticks(world, 5)
    assert world.writes[-1].after == gone.after - 1


def speechless(*_arguments: object, **_named: object) -> bool:
    raise ApiError(status=0, reason="killed", verb="PATCH", path="/", message="")


def test_the_pace_of_growth_outlives_the_process(world):
    world.models["quick"].rate_per_s = 150.0
    ticks(world, 1)
    steps = written(world, "quick")
    assert steps[-1] == (1, 2)
    restarted(world)
    ticks(world, 1)
    assert written(world, "quick") == steps  # twice as many in a minute, and that was just now


MEMORY = Memory(
    target_uid="one", current=3, written=3, writer="replicast@5", rival="kubectl", rival_since_s=START, rival_writes=2,
    changes=(Change(at_s=START, before=2, after=3),), slowdown=1.2, drifted=1.2, since_s=START, looked_s=START,
)  # fmt: skip


def test_what_is_kept_is_small_and_is_what_matters():
    text = kept(MEMORY, START + 60.0)
    left = left_in({"memory": text})
    assert len(text) < 300
    assert (left.rival, left.rival_writes, left.rival_since_s, left.written) == ("kubectl", 2, START, 3)
    assert left.changes == MEMORY.changes
    assert (left.since_s, left.looked_s) == (0.0, None)  # that is looked at again


def test_many_changes_are_kept_short_and_no_step_is_lost():
    steps = tuple(Change(at_s=START + each, before=each, after=each + 1) for each in range(100))
    left = left_in({"memory": kept(Memory(target_uid="one", changes=steps), START + 100.0)})
    assert len(left.changes) <= 20
    assert sum(each.after - each.before for each in left.changes) == 100


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "3", '{"rival_writes": "many"}', '{"changes": 7}'])
def test_what_somebody_else_put_there_is_no_memory(text):
    assert left_in({"memory": text}) == Memory()


@pytest.mark.parametrize(
    "text",
    [
        '{"rival_writes": 1000000000, "rival": "me", "rival_since_s": 1800000000.0}',
        '{"rival_writes": -5, "rival_since_s": 1e300}',
        '{"rival_since_s": NaN, "drifted": Infinity, "slowdown": 1e9}',
        '{"written_version": "' + "9" * 5000 + '", "written": 3, "current": 1}',
        '{"written": ' + "9" * 4000 + "}",
        '{"rival_since_s": 99999999999.0, "rival_writes": 1, "rival": "me"}',
        '{"changes": [{"at_s": 99999999999.0, "before": 0, "after": 2000000000}]}',
        '{"written": -7, "current": -1, "changes": [{"at_s": 1e300, "before": 0, "after": 1000000000}]}',
    ],
)
def test_whatever_somebody_put_there_the_next_leader_decides(world, text):
    uid = world.objects["Deployment", "quick"]["metadata"]["uid"]
    edited = {**status(world, "quick"), "memory": text.replace("{", f'{{"target_uid": "{uid}", ', 1)}
    world.policies[SPACE, "quick"] = world.policies[SPACE, "quick"].model_copy(update={"status": edited})
    one = restarted(world)
    ticks(world, 3)
    assert one._last[SPACE, "quick"].needed == 1


DEEP, ENDLESS = "[" * 3000, "9" * 5000
POISON = [DEEP, '{"target_uid":' * 1000, ENDLESS, f'{{"written": {ENDLESS}}}', " " * 9000 + "{}", 3, ["x"], {"a": 1}]


@pytest.mark.parametrize("poison", POISON, ids=lambda each: str(each)[:12])
def test_a_poisoned_memory_stops_nobody_and_is_told_once_and_written_anew(world, poison, caplog):
    edited = {**status(world), "memory": poison}
    world.policies[PLAIN] = world.policies[PLAIN].model_copy(update={"status": edited})
    one = restarted(world)
    ticks(world, 3)
    assert one.pulse.problem([]) == ""
    assert set(one._last) == {(SPACE, name) for name in NAMES}
    assert left_in(status(world)).target_uid == world.objects["Deployment", "plain"]["metadata"]["uid"]
    assert len([each for each in caplog.records if "status.memory" in each.getMessage()]) == 1


def test_versions_are_compared_as_numbers_however_long_they_are():
    assert _size("9") < _size("10") < _size("1" + "0" * 5000)
    assert _size("007") == _size("7")


def test_nothing_is_taken_over_of_another_target():
    mine = Memory(target_uid="two", current=5)
    assert adopted(mine, {"memory": kept(MEMORY, START)}) == mine


def test_a_change_of_mind_is_one_line_of_the_structured_log_by_the_leader_alone(world, caplog):
    caplog.set_level("INFO", logger="replicast.decision")
    world.models["quick"].rate_per_s = 150.0
    ticks(world, 1)
    said_of_quick = [each.fields["decision"] for each in caplog.records if hasattr(each, "fields")]
    (told,) = [each for each in said_of_quick if each["policy"] == "serving/quick"]
    assert (told["current"], told["desired"], told["written"]) == (1, 2, "Scale quick: 1 to 2")
    assert "Paced" in {each["code"] for each in told["reasons"]}
