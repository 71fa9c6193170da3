"""The loop itself: what one policy's misfortune does to the others, and what is told of it."""

from __future__ import annotations

import pytest

from controller import controller as loop
from controller import snapshots, status_teller
from controller.decision_log import DecisionLog, read_entries
from controller.kubernetes_api import ApiError
from controller.refusal import with_refusal
from tests.controller.soak_world import NAMES, SPACE, SoakWorld
from tests.controller.world import World, codes, condition

ONE = (SPACE, "hpa")


def of_one(function, position: int = 0):
    """It fails for one policy, whatever of it names that policy."""

    def fails(*given, **named):
        about = given[position]
        if getattr(about, "policy", None) == "/".join(ONE) or getattr(about, "key", None) == "/".join(ONE):
            raise RecursionError("nobody thought of this")
        return function(*given, **named)

    return fails


@pytest.mark.parametrize(
    ("where", "name", "position"),
    [
        (loop, "snapshot_of", 0),
        (loop, "decide", 0),
        (loop, "with_refusal", 0),
        (loop, "events", 0),
        (status_teller, "status_of", 0),
    ],
    ids=["view", "decide", "record", "events", "status"],
)
def test_what_fails_in_one_policy_spares_the_others(monkeypatch, caplog, where, name, position):
    world = SoakWorld(0)
    world.settle()
    judged = world.controllers["one"]
    monkeypatch.setattr(where, name, of_one(getattr(where, name), position))
    for _ in range(2):
        ticked = judged.controller.tick()
    assert set(ticked.undecided) == {ONE}
    assert "RecursionError: nobody thought of this" in ticked.undecided[ONE]
    assert {told for _, told, _ in world.told} >= set(NAMES) - {"hpa"}
    page = judged.controller.telemetry.text().decode()
    assert 'replicast_policy_condition{namespace="serving",policy="hpa",type="Ready"} 0.0' in page
    assert 'replicast_policy_failures_total{namespace="serving",policy="hpa"}' in page
    assert 'policy_failures_total{namespace="serving",policy="plain"}' not in page
    assert len([each for each in caplog.records if each.exc_info]) <= 3


def test_a_failure_is_told_on_its_policy_and_taken_back_by_the_next_decision(monkeypatch):
    world = SoakWorld(0)
    world.settle()
    controller = world.controllers["one"].controller
    with monkeypatch.context() as broken:
        broken.setattr(loop, "decide", of_one(loop.decide))
        controller.tick()
    assert ready(world, "hpa") == ("False", "ControllerFailed")
    assert ready(world, "plain")[0] == "True"
    world.settle()
    controller.tick()
    assert ready(world, "hpa")[0] == "True"


def ready(world: SoakWorld, name: str) -> tuple[str, str]:
    conditions = [told for _, each, told in world.told if each == name][-1]["conditions"]
    return next((each["status"], each["reason"]) for each in conditions if each["type"] == "Ready")


def test_objects_that_cannot_be_seen_are_told_on_their_policy(monkeypatch):
    monkeypatch.setattr(snapshots, "target_view", of_one(snapshots.target_view, 1))
    world = SoakWorld(0)
    world.settle()
    ticked = world.controllers["one"].controller.tick()
    assert set(ticked.undecided) == {ONE}
    assert "cannot be understood" in ticked.undecided[ONE]


def test_a_look_that_fails_as_a_whole_is_told_on_every_policy_and_nothing_is_removed():
    world = SoakWorld(0)
    world.settle()
    controller = world.controllers["one"].controller

    def fails(_asked):
        raise OverflowError("int too large")

    controller.observe = fails
    ticked = controller.tick()
    assert len(ticked.decisions) == len(NAMES)
    assert all("OverflowError" in ticked.undecided[SPACE, name] for name in NAMES)
    assert world.writes == []


def test_a_write_that_fails_in_a_way_nobody_thought_of_may_have_been_made():
    world = SoakWorld(0)
    for model in world.models.values():
        model.ready_at, model.rate_per_s = [0.0, 0.0], 150.0
    world.settle()
    controller = world.controllers["one"].controller
    patch = controller.api.patch

    def odd(path, body, **more):
        if path.endswith("/plain/scale"):
            raise KeyError("metadata")
        return patch(path, body, **more)

    controller.api.patch = odd
    ticked = controller.tick()
    write = ticked.decisions[SPACE, "plain"].write
    assert controller.memories[SPACE, "plain"].tried == (write.replicas, None)
    assert len(world.writes) == len(NAMES) - 1


def test_a_decision_that_fails_is_told_in_status_event_and_metrics_and_recovers(monkeypatch):
    world = SoakWorld(0)
    for _ in range(3):
        world.tick()
    controller = world.controllers["one"].controller
    failing, works = [True], loop.decide

    def fails(snapshot, memory, capacity):
        if snapshot.policy == f"{SPACE}/plain" and failing[0]:
            raise OverflowError("cannot convert float infinity to integer")
        return works(snapshot, memory, capacity)

    monkeypatch.setattr(loop, "decide", fails)
    events = told_events(controller)
    world.told.clear()
    world.settle()
    for _ in range(3):
        ticked = controller.tick()
    assert "OverflowError" in ticked.undecided[SPACE, "plain"]
    assert [each["reason"] for each in events].count("ControllerFailed") == 1
    page = controller.telemetry.text().decode()
    of = 'namespace="serving",policy="plain"'
    assert f"replicast_policy_failures_total{{{of}}} 3.0" in page
    assert f"replicast_needed_replicas{{{of}}} NaN" in page
    assert f'replicast_policy_condition{{{of},type="Ready"}} 0.0' in page
    (status,) = [told for _, name, told in world.told if name == "plain"]  # once, not at every tick
    found = {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}
    assert found["Ready"] == found["ScalingActive"] == ("False", "ControllerFailed")
    assert found["MetricsFresh"] == ("Unknown", "ControllerFailed")
    failing[0] = False
    world.tick()
    (*_, last) = [told for _, name, told in world.told if name == "plain"]
    assert {each["type"]: each["status"] for each in last["conditions"]}["Ready"] == "True"


def test_a_status_that_cannot_be_told_spares_the_others():
    world = SoakWorld(0)
    world.settle()
    controller = world.controllers["one"].controller
    tell = controller._statuses.tell

    def fails_once(policy, *rest, **more):
        if policy.metadata.name == "capped":
            raise ValueError("no status")
        return tell(policy, *rest, **more)

    controller._statuses.tell = fails_once
    controller.tick()
    assert {name for _, name, _ in world.told} == set(NAMES) - {"capped"}
    assert (
        'replicast_policy_failures_total{namespace="serving",policy="capped"} 2.0'
        in controller.telemetry.text().decode()
    )


def test_what_the_api_server_refused_is_told_in_its_own_words():
    decision = World(load=lambda _: 160.0, replicas=1).tick()
    error = ApiError(status=403, reason="Forbidden", verb="PATCH", path="/apis/x", message='cannot patch "x"')
    told = with_refusal(decision, str(error))
    assert condition(told, "ScalingActive")[1] == "WriteRefused"
    assert 'PATCH /apis/x: 403 Forbidden: cannot patch "x"' in condition(told, "ScalingActive")[2]
    assert codes(told) > codes(decision)


def test_scaling_comes_before_telling_and_what_is_not_told_in_time_is_told_later():
    world = SoakWorld(0)
    for model in world.models.values():
        model.ready_at, model.rate_per_s = [0.0, 0.0], 150.0
    controller = world.controllers["one"].controller
    controller.telling_s = 0.0
    told = []
    api = controller.api
    patch = api.patch
    api.patch = lambda path, body, **more: (told.append(path), patch(path, body, **more))[1]
    world.tick()
    scaled = [path for path in told if not path.endswith("/status")]
    assert told[: len(scaled)] == scaled
    assert len(scaled) == len(NAMES)
    for _ in range(10):
        world.tick()
    assert {path.split("/")[-2] for path in told if path.endswith("/status")} == set(NAMES)


def test_metrics_of_a_policy_that_is_gone_are_gone():
    world = SoakWorld(0)
    world.settle()
    judged = world.controllers["one"]
    judged.controller.tick()
    page = judged.controller.telemetry.text().decode()
    assert 'replicast_desired_replicas{namespace="serving",policy="hpa"} 2.0' in page
    assert 'replicast_policy_condition{namespace="serving",policy="hpa",type="Ready"} 1.0' in page
    judged.caches.policies.objects().pop((SPACE, "hpa"))
    judged.controller.tick()
    assert 'policy="hpa"' not in judged.controller.telemetry.text().decode()


def mid_tick(world: SoakWorld, happens):
    """A controller in whose tick something happens between the look and the writes."""
    for model in world.models.values():
        model.ready_at, model.rate_per_s = [0.0, 0.0], 150.0
    world.settle()
    judged = world.controllers["one"]
    observe = judged.controller.observe

    def interrupted(asked):
        happens(judged)
        return observe(asked)

    judged.controller.observe = interrupted
    return judged.controller


def scaling_active(world: SoakWorld, controller, name: str = "plain") -> str:
    ticked = controller.tick()
    assert ticked.decisions[SPACE, name].write is not None
    assert world.writes == []
    status = [told for _, each, told in world.told if each == name][-1]["conditions"]
    return next(each["message"] for each in status if each["type"] == "ScalingActive")


def told_events(controller) -> list[str]:
    made = []
    controller.api.create = lambda _path, body, **_more: made.append(body) or body
    return made


def test_a_write_that_an_edit_has_overtaken_is_told_as_not_made():
    world = SoakWorld(0)

    def edited(judged):
        world.edit("plain", paused=True)
        for name in set(NAMES) - {"plain"}:
            world.edit(name, mode="Advise")
        judged.policies.update(world.policies)

    controller = mid_tick(world, edited)
    events = told_events(controller)
    assert "the policy was changed since the tick began" in scaling_active(world, controller)
    assert not [each for each in events if each["reason"] == "Scaled"]
    assert "WriteRefused" in {each["reason"] for each in events}


def going(world: SoakWorld, name: str, **metadata: str) -> None:
    known = world.policies[SPACE, name]
    changed = known.metadata.model_copy(update=metadata or {"deletion_timestamp": "2027-01-15T08:00:00Z"})
    world.policies[SPACE, name] = known.model_copy(update={"metadata": changed})


def test_a_policy_that_is_being_deleted_writes_no_replicas():
    world = SoakWorld(0)
    controller = crowded(world)
    going(world, "plain")
    world.controllers["one"].policies.update(world.policies)
    told = controller.tick().decisions[SPACE, "plain"]
    assert {each.name for each in world.writes} == set(NAMES) - {"plain"}
    assert condition(told, "ScalingActive")[:2] == ("False", "BeingDeleted")


@pytest.mark.parametrize(
    ("metadata", "why"), [({}, "is being deleted"), ({"uid": "another"}, "was changed since the tick began")]
)
def test_a_policy_that_is_deleted_within_the_tick_writes_no_replicas(metadata, why):
    world = SoakWorld(0)

    def deleted(judged):
        going(world, "plain", **metadata)
        for name in set(NAMES) - {"plain"}:
            world.edit(name, mode="Advise")
        judged.policies.update(world.policies)

    assert why in scaling_active(world, mid_tick(world, deleted))


def test_a_write_is_not_made_by_a_leader_who_leads_no_more():
    world = SoakWorld(0)
    controller = mid_tick(world, lambda _judged: setattr(world.lease, "holder", "two"))
    events = told_events(controller)
    controller.tick()
    assert world.writes == []
    assert events == []


def test_every_write_is_given_no_more_time_than_the_lease_has_left():
    world = SoakWorld(0)
    controller = mid_tick(world, lambda _judged: None)
    controller.leader.left_s = lambda: 3.0
    patch, given = controller.api.patch, []

    def timed(where, body, within_s=None, **more):
        given.append(within_s)
        return patch(where, body, **more)

    controller.api.patch = controller.api.create = timed
    controller.tick()
    assert len(given) > len(NAMES)
    assert set(given) == {3.0}


# What was done is told, whatever comes after it


def crowded(world: SoakWorld):
    """A controller that has a write to make for every policy."""
    return mid_tick(world, lambda _judged: None)


def kept_in(path) -> dict[str, bool]:
    return {entry.snapshot.policy.partition("/")[2]: entry.written for entry, _ in read_entries(path)}


@pytest.mark.parametrize("name", ["snapshot_of", "decide"])
def test_a_later_policy_that_fails_leaves_every_write_told(monkeypatch, tmp_path, name):
    world = SoakWorld(0)
    controller, works = crowded(world), getattr(loop, name)
    controller.log, made = DecisionLog(tmp_path / "log"), told_events(controller)

    def fails_for_one(about, *more, **named):
        if "plain" in str(getattr(about, "key", None) or about.policy):
            raise ZeroDivisionError
        return works(about, *more, **named)

    monkeypatch.setattr(loop, name, fails_for_one)
    ticked = controller.tick()
    others = set(NAMES) - {"plain"}
    assert set(ticked.undecided) == {(SPACE, "plain")}
    assert {each.name for each in world.writes} == others
    assert kept_in(tmp_path / "log") == dict.fromkeys(others, True)
    assert {each["involvedObject"]["name"] for each in made if each["reason"] == "Scaled"} == others


def test_a_write_is_in_the_log_even_where_the_process_ends_before_the_next(monkeypatch, tmp_path):
    world = SoakWorld(0)
    controller, decide_on = crowded(world), loop.decide
    controller.log = DecisionLog(tmp_path / "log")

    def ends_at_the_third(snapshot, *more):
        if len(world.writes) == 2:
            raise SystemExit
        return decide_on(snapshot, *more)

    monkeypatch.setattr(loop, "decide", ends_at_the_third)
    with pytest.raises(SystemExit):
        controller.tick()
    assert kept_in(tmp_path / "log") == {each.name: True for each in world.writes}


def test_a_policy_whose_recording_or_telling_fails_spares_the_others(monkeypatch, tmp_path):
    world = SoakWorld(0)
    controller = crowded(world)
    controller.log = DecisionLog(tmp_path / "log")
    works, tell = loop.events, controller._statuses.tell

    def fails_for_one(decision, known):
        if decision.policy.endswith("capped"):
            raise ZeroDivisionError
        return works(decision, known)

    def status_fails_for_one(policy, *more, **named):
        if policy.metadata.name == "hpa":
            raise ZeroDivisionError
        return tell(policy, *more, **named)

    monkeypatch.setattr(loop, "events", fails_for_one)
    controller._statuses.tell = status_fails_for_one
    controller.tick()
    assert kept_in(tmp_path / "log") == dict.fromkeys(NAMES, True)
    assert {name for _, name, _ in world.told} == set(NAMES) - {"hpa"}


def test_what_a_policy_sees_of_the_cluster_fails_for_it_alone(monkeypatch):
    world = SoakWorld(0)
    controller, works = crowded(world), snapshots.target_view

    def fails_for_one(view, policy):
        if policy.metadata.name == "plain":
            raise ZeroDivisionError
        return works(view, policy)

    monkeypatch.setattr(snapshots, "target_view", fails_for_one)
    assert set(controller.tick().undecided) == {(SPACE, "plain")}
    assert {each.name for each in world.writes} == set(NAMES) - {"plain"}


def test_a_write_that_fails_in_a_way_nobody_thought_of_is_told_and_perhaps_made(monkeypatch):
    world = SoakWorld(0)
    controller, works = crowded(world), loop.apply

    def answers_nonsense(api, policy, write, **more):
        made = works(api, policy, write, **more)
        if policy.metadata.name == "plain":
            raise KeyError("metadata")
        return made

    monkeypatch.setattr(loop, "apply", answers_nonsense)
    controller.tick()
    assert {each.name for each in world.writes} == set(NAMES)
    assert controller.memories[SPACE, "plain"].tried is not None
    (status,) = [told for _, name, told in world.told if name == "plain"]
    assert any("the write was not made: KeyError" in each["message"] for each in status["reasons"])


def test_a_policy_without_a_target_takes_no_place_among_the_questions():
    world = SoakWorld(0)
    del world.objects["Deployment", "plain"]
    world.settle()
    judged = world.controllers["one"]
    world._look(judged)
    asked, observe = [], judged.controller.observe
    judged.controller.observe = lambda each: (asked.extend(each), observe(each))[1]
    decision = judged.controller.tick().decisions[SPACE, "plain"]
    assert {name for _, name in asked} == set(NAMES) - {"plain"}
    assert "its metrics are not asked for: Deployment serving/plain is not there" in str(decision.conditions)
