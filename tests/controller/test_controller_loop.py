"""The loop itself: what one policy's misfortune does to the others, and what is told of it."""

from __future__ import annotations

from controller import controller as loop
from controller.decide import decide
from controller.kubernetes_api import ApiError
from controller.refusal import with_refusal
from tests.controller.soak_world import NAMES, SPACE, SoakWorld
from tests.controller.world import World, codes, condition


def test_a_decision_that_fails_spares_the_other_policies(monkeypatch):
    def fails_once(snapshot, memory, capacity):
        if snapshot.policy == f"{SPACE}/hpa":
            raise ZeroDivisionError
        return decide(snapshot, memory, capacity)

    monkeypatch.setattr(loop, "decide", fails_once)
    world = SoakWorld(0)
    world.settle()
    ticked = world.controllers["one"].controller.tick()
    assert set(ticked.undecided) == {(SPACE, "hpa")}
    assert len(ticked.decisions) == 4


def test_a_decision_that_fails_is_told_in_status_event_and_metrics_and_recovers(monkeypatch):
    world = SoakWorld(0)
    for _ in range(3):
        world.tick()
    controller = world.controllers["one"].controller
    failing = [True]

    def fails(snapshot, memory, capacity):
        if snapshot.policy == f"{SPACE}/plain" and failing[0]:
            raise OverflowError("cannot convert float infinity to integer")
        return decide(snapshot, memory, capacity)

    monkeypatch.setattr(loop, "decide", fails)
    events = told_events(controller)
    world.told.clear()
    world.settle()
    for _ in range(3):
        ticked = controller.tick()
    assert "OverflowError" in ticked.undecided[SPACE, "plain"]
    assert [each["reason"] for each in events].count("DecisionFailed") == 1
    page = controller.telemetry.text().decode()
    of = 'namespace="serving",policy="plain"'
    assert f"replicast_decisions_failed_total{{{of}}} 3.0" in page
    assert f"replicast_needed_replicas{{{of}}} NaN" in page
    assert f'replicast_policy_condition{{{of},type="Ready"}} 0.0' in page
    (status,) = [told for _, name, told in world.told if name == "plain"]  # once, not at every tick
    found = {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}
    assert found["Ready"] == found["ScalingActive"] == ("False", "DecisionFailed")
    assert found["MetricsFresh"] == ("Unknown", "DecisionFailed")
    assert status["desiredReplicas"] == status["currentReplicas"]
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
        'replicast_decisions_failed_total{namespace="serving",policy="capped"} 1.0'
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
