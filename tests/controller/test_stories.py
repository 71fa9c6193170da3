"""What the controller does, as stories in virtual time: one decision every fifteen seconds, pods with a cold start."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from controller.capacity_model import Load
from controller.decide import decide
from controller.memory import Memory
from controller.reasons import Code
from controller.snapshot import Evidence, Observation, Scaler, Snapshot, Writer
from tests.controller.world import (
    CAPACITY,
    OUTPUT,
    PROMPT,
    START,
    World,
    codes,
    condition,
    policy,
    readings,
    without_metrics,
)

MINUTE = 60.0


def test_load_doubles_over_ten_minutes_and_replicas_are_ready_before_the_objective_breaks():
    def load(seconds: float) -> float:
        return 60.0 + 60.0 * min(1.0, max(0.0, seconds - 20 * MINUTE) / (10 * MINUTE))

    world = World(load=load, replicas=2)
    broken = 0
    for _ in range(int(45 * MINUTE / 15)):
        world.tick()
        broken += not world.meets(load(world.since_s), world.ready)
    assert broken == 0
    assert world.replicas > 2
    assert all(write.replicas > write.before for at, write in world.writes if 20 * MINUTE <= at < 30 * MINUTE)


def test_a_controller_that_begins_as_the_load_does_sees_the_trend_after_three_minutes():
    """As after a hand-over: nothing is remembered, and the load doubles over ten minutes from the second on."""

    def load(seconds: float) -> float:
        return 60.0 * (1.0 + min(1.0, max(0.0, seconds - MINUTE) / (10 * MINUTE)))

    def mean(seconds: float) -> float:
        return sum(load(seconds - 5.0 * step) for step in range(13)) / 13.0

    world = World(load=mean, replicas=2)
    broken = 0
    for _ in range(int(15 * MINUTE / 15)):
        world.tick()
        broken += not world.meets(load(world.since_s), world.ready)
    assert broken == 0


def test_load_falls_and_one_replica_goes_a_minute_after_the_window():
    world = World(load=lambda s: 160.0 if s < 10 * MINUTE else 20.0, replicas=4)
    world.run(10 * MINUTE)
    before = world.replicas
    world.run(4 * MINUTE)
    assert world.replicas == before  # within the stabilisation window
    decisions = world.run(30 * MINUTE)
    downs = [(at, write) for at, write in world.writes if write.replicas < write.before]
    assert len(downs) >= 2
    assert all(write.replicas == write.before - 1 for _, write in downs)
    times = [at for at, _ in downs]
    assert all(later - earlier >= MINUTE for earlier, later in itertools.pairwise(times))
    assert times[0] >= 10 * MINUTE + 240.0
    assert world.meets(20.0, world.replicas)
    assert any(Code.DEMAND_FELL in codes(decision) for decision in decisions)


@pytest.mark.parametrize(
    ("evidence", "code"),
    [
        (Evidence.UNREACHABLE, Code.PROMETHEUS_UNREACHABLE),
        (Evidence.ABSENT, Code.METRICS_ABSENT),
        (Evidence.STALE, Code.METRICS_STALE),
        (Evidence.CONTRADICTORY, Code.METRICS_CONTRADICTORY),
        (Evidence.SKEWED, Code.CLOCK_SKEW),
    ],
)
def test_without_metrics_to_believe_all_is_held_and_told_and_goes_on_by_itself(evidence: Evidence, code: Code):
    lost = without_metrics(evidence)
    world = World(load=lambda _: 20.0, replicas=6)
    world.run(10 * MINUTE)
    world.see = lambda _, snapshot: lost(snapshot)
    writes, replicas = len(world.writes), world.replicas
    for decision in world.run(20 * MINUTE):
        assert (decision.write, decision.needed, decision.desired) == (None, None, replicas)
        assert code in codes(decision)
        assert condition(decision, "MetricsFresh")[:2] == ("False", evidence.value)
        assert condition(decision, "ScalingActive")[0] == "False"
    assert len(world.writes) == writes
    world.see = lambda _, snapshot: snapshot
    assert condition(world.tick(), "MetricsFresh")[0] == "True"


def filling(begin_s: float, end_s: float):
    """No metrics for a while; then rates over a window of a minute that fills, of 160 requests a second."""

    def see(seconds: float, snapshot: Snapshot) -> Snapshot:
        if begin_s <= seconds < end_s:
            return without_metrics(Evidence.UNREACHABLE)(snapshot)
        filled = min(1.0, max(0.25, (seconds - end_s) / MINUTE)) if seconds >= end_s else 1.0
        seen = readings(snapshot.now_s, 160.0 * filled, 5)
        return replace(snapshot, observation=Observation(evidence=Evidence.FRESH, readings=seen))

    return see


def test_after_an_outage_rates_of_part_of_a_window_are_no_trend():
    world = World(replicas=2, see=filling(10 * MINUTE, 30 * MINUTE))
    world.run(10 * MINUTE)
    before, writes = world.replicas, len(world.writes)
    world.run(25 * MINUTE)
    assert (world.replicas, len(world.writes)) == (before, writes)
    assert {each.value for each in world.memory.demand} == {160.0}


def test_after_an_outage_rates_of_part_of_a_window_lower_nothing():
    world = World(replicas=5, see=filling(0.0, 30 * MINUTE))
    world.run(30 * MINUTE)
    for decision in world.run(MINUTE):
        assert (decision.desired, decision.write) == (5, None)
        assert Code.STABILIZING in codes(decision)


def test_a_first_request_after_an_outage_starts_a_replica_at_once():
    """Of nothing remembered it does not follow that nothing comes."""

    def see(seconds: float, snapshot: Snapshot) -> Snapshot:
        if seconds < 5 * MINUTE:
            return without_metrics(Evidence.ABSENT)(snapshot)
        seen = readings(snapshot.now_s, 5.0, 0, arrived_per_s=5.0, running=None, prompt_tokens=None, output_tokens=None)
        return replace(snapshot, observation=Observation(evidence=Evidence.FRESH, readings=seen))

    world = World(policy=policy(**ZERO), replicas=0, see=see)
    world.run(5 * MINUTE)
    assert world.tick().write is not None


def test_pods_that_do_not_report_may_raise_the_number_and_never_lower_it():
    def partly(rate: float):
        def see(_seconds: float, snapshot: Snapshot) -> Snapshot:
            seen = readings(snapshot.now_s, rate, 1)
            return replace(
                snapshot, observation=Observation(evidence=Evidence.PARTIAL, message="1 of 6 pods", readings=seen)
            )

        return see

    world = World(load=lambda _: 20.0, replicas=6, see=partly(5.0))
    world.run(30 * MINUTE)
    assert world.writes == []
    assert Code.METRICS_PARTIAL in codes(world.decisions[-1])
    world.see = partly(400.0)
    assert world.tick().write is not None


def test_a_person_who_scales_is_named_and_left_alone_for_a_while():
    world = World(load=lambda _: 160.0, replicas=2)
    world.run(10 * MINUTE)
    ours = world.replicas
    world.see = lambda _, s: replace(s, target=replace(s.target, writer=Writer(manager="kubectl-scale")))
    world.resize(1)
    writes = len(world.writes)
    first = world.tick()
    assert condition(first, "NoRivalWriter")[:2] == ("False", "RivalWriter")
    assert "kubectl-scale" in condition(first, "NoRivalWriter")[2]
    world.run(14 * MINUTE)
    assert len(world.writes) == writes
    world.see = lambda _, snapshot: snapshot
    world.run(10 * MINUTE)
    assert world.replicas == ours


def test_a_tool_that_undoes_every_write_meets_fewer_and_fewer_of_them():
    world = World(load=lambda _: 160.0, replicas=1)
    world.see = lambda _, s: replace(
        s, target=replace(s.target, writer=Writer(manager="argocd-controller"), gitops="Argo CD")
    )
    for _ in range(int(12 * 60 * MINUTE / 15)):
        world.tick()
        world.resize(1)
    assert 2 <= len(world.writes) <= 8
    assert "Argo CD" in condition(world.decisions[-1], "NoRivalWriter")[2] or world.memory.rival.startswith("Argo CD")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"other_policies": ("serving/too",)}, Code.TWO_POLICIES),
        ({"unmanaged_scaler": "HPA chat"}, Code.UNMANAGED_SCALER),
    ],
)
def test_another_owner_of_the_number_stops_all_writes(changes: dict[str, object], code: Code):
    world = World(load=lambda _: 300.0, replicas=1, see=lambda _, s: replace(s, **changes))
    decisions = world.run(5 * MINUTE)
    assert world.writes == []
    assert decisions[-1].proposed is not None
    assert condition(decisions[-1], "NoRivalWriter")[:2] == ("False", code.value)


def hpa(**fields: object) -> Scaler:
    return replace(
        Scaler(kind="HorizontalPodAutoscaler", name="chat", uid="h", min_replicas=1, max_replicas=10), **fields
    )


def test_with_an_hpa_its_bounds_move_and_an_owned_one_is_left_alone():
    world = World(load=lambda _: 160.0, replicas=1, scaler=hpa())
    world.run(10 * MINUTE)
    assert world.writes
    assert {write.lever for _, write in world.writes} == {"HorizontalPodAutoscaler"}
    assert world.scaler is not None
    assert world.scaler.min_replicas == world.replicas
    assert world.scaler.max_replicas == 40
    owned = World(load=lambda _: 160.0, replicas=1, scaler=hpa(keda_owned=True))
    owned.run(10 * MINUTE)
    assert owned.writes == []
    assert "ScaledObject" in condition(owned.decisions[-1], "NoRivalWriter")[2]


def test_pods_that_find_no_gpu_are_no_capacity_and_more_are_not_asked_for():
    world = World(load=lambda _: 300.0, replicas=3)
    world.see = lambda _, s: replace(
        s, target=replace(s.target, pods=replace(s.target.pods, ready=2, starting=0, unschedulable=1))
    )
    decisions = world.run(10 * MINUTE)
    assert world.writes == []
    assert Code.NO_PLACE in codes(decisions[-1])
    assert decisions[-1].needed > 3


def test_a_rolling_update_neither_doubles_nor_shrinks():
    world = World(load=lambda _: 60.0, replicas=4)
    world.see = lambda _, s: replace(
        s, target=replace(s.target, rolling=True, pods=replace(s.target.pods, ready=3, outdated=2, starting=2))
    )
    world.run(30 * MINUTE)
    assert world.writes == []
    assert Code.ROLLOUT in codes(world.decisions[-1])


def test_as_long_as_the_status_is_of_an_older_spec_nothing_shrinks():
    world = World(load=lambda _: 20.0, replicas=4)
    world.see = lambda _, s: replace(s, target=replace(s.target, status_behind=True))
    world.run(30 * MINUTE)
    assert world.writes == []
    assert Code.ROLLOUT in codes(world.decisions[-1])
    world.see = lambda _, snapshot: snapshot
    world.run(5 * MINUTE)
    assert world.replicas < 4


def test_pods_that_crash_again_and_again_are_no_capacity():
    world = World(load=lambda _: 20.0, replicas=4)
    world.see = lambda _, s: replace(s, target=replace(s.target, pods=replace(s.target.pods, ready=1, failing=3)))
    decisions = world.run(30 * MINUTE)
    assert world.writes == []
    assert Code.PODS_FAILING in codes(decisions[-1])


ZERO = {
    "metrics": {
        "matchLabels": {"namespace": "serving"},
        "arrivals": {"metric": "gateway_requests_total", "matchLabels": {"route": "chat"}},
    },
    "bounds": {"min": 0, "max": 10},
    "workload": {"inputTokens": 512, "outputTokens": 128},
}


def test_to_zero_and_back():
    quiet, busy = 40 * MINUTE, 50 * MINUTE

    def see(seconds: float, snapshot: Snapshot) -> Snapshot:
        rate = 0.0 if quiet > seconds >= 5 * MINUTE else 20.0
        seen = readings(
            snapshot.now_s, rate, world.ready, arrived_per_s=rate, running=rate, prompt_tokens=None, output_tokens=None
        )
        return replace(snapshot, observation=Observation(evidence=Evidence.FRESH, readings=seen))

    world = World(policy=policy(**ZERO), replicas=1, see=see)
    world.run(quiet)
    assert world.replicas == 0
    world.run(busy - quiet)
    assert world.replicas >= 1


def test_the_budget_caps_and_says_what_the_objective_becomes():
    bounds = {"min": 1, "max": 40, "budgetPerHour": 6.0, "gpuPricePerHour": 2.0}
    world = World(policy=policy(bounds=bounds), load=lambda _: 150.0, replicas=2)
    world.run(15 * MINUTE)
    assert world.replicas == 3
    status, reason, message = condition(world.decisions[-1], "WithinBudget")
    assert (status, reason) == ("False", "Budget")
    assert "becomes" in message


def timed(rate: float, *, gaps: float = 1.0, first: float = 1.0, slowdown: float = 1.0):
    """Engines whose every step takes `slowdown` as long, and whose ITL and TTFT are a factor beside the profile's."""

    def see(_seconds: float, snapshot: Snapshot) -> Snapshot:
        pods = snapshot.target.pods.ready
        load = Load(rate_per_s=rate, prompt_tokens=PROMPT, output_tokens=OUTPUT, slowdown=slowdown)
        means = CAPACITY.means(load, pods)
        seen = readings(snapshot.now_s, rate, pods, itl_s=gaps * means.itl_s, ttft_s=first * means.ttft_s)
        return replace(snapshot, observation=Observation(evidence=Evidence.FRESH, readings=seen))

    return see


@pytest.mark.parametrize(
    ("seen", "planned"), [(timed(100.0, slowdown=1.3), 1.3), (timed(100.0, gaps=4.0, first=4.0), 1.5)]
)
def test_a_slower_model_is_planned_with_within_limits_and_told(seen, planned: float):
    world = World(load=lambda _: 100.0, replicas=6, see=seen)
    world.run(20 * MINUTE)
    last = world.decisions[-1]
    assert last.demand.slowdown == pytest.approx(planned, abs=0.04)
    assert condition(last, "ProfileFresh")[:2] == ("False", "ProfileStale")
    assert Code.RECALIBRATED in codes(last)
    if planned == 1.5:
        assert not any(write.replicas < write.before for _, write in world.writes)


def test_first_tokens_that_take_longer_are_planned_with_though_gaps_do_not():
    """As after a rollout that caches no prompts."""
    world = World(load=lambda _: 60.0, replicas=6, see=timed(60.0, first=2.0), policy=policy(paused=True))
    last = world.run(20 * MINUTE)[-1]
    assert 1.2 < last.demand.slowdown <= 1.5
    status, _, message = condition(last, "ProfileFresh")
    assert status == "False"
    assert "TTFT 1." in message


def test_gaps_that_are_shorter_speed_nothing_up_while_first_tokens_are_not():
    world = World(load=lambda _: 60.0, replicas=6, see=timed(60.0, gaps=0.6), policy=policy(paused=True))
    last = world.run(20 * MINUTE)[-1]
    assert last.demand.slowdown == 1.0
    status, _, message = condition(last, "ProfileFresh")
    assert status == "False"
    assert "ITL is 0." in message


@pytest.mark.parametrize(("rate", "replicas"), [(75.0, 2), (0.5, 2)])
def test_first_tokens_that_wait_or_are_few_say_nothing_of_the_engine(rate: float, replicas: int):
    world = World(load=lambda _: rate, replicas=replicas, see=timed(rate, first=3.0), policy=policy(paused=True))
    last = world.run(20 * MINUTE)[-1]
    assert last.demand.slowdown == 1.0
    assert condition(last, "ProfileFresh")[0] == "True"


def test_times_of_too_few_pods_are_not_held_against_more():
    """The means of a window in which requests waited are no drift when the pods that were missing have come."""

    def see(seconds: float, snapshot: Snapshot) -> Snapshot:
        late = 20.0 if 10 * MINUTE <= seconds < 13 * MINUTE else 1.0
        return timed(60.0, first=late, gaps=1.0 + 0.1 * late)(seconds, snapshot)

    world = World(load=lambda _: 60.0, replicas=2, see=see, policy=policy(paused=True))
    world.run(10 * MINUTE)
    world.see = lambda s, snapshot: replace(
        see(s, snapshot), target=replace(snapshot.target, pods=replace(snapshot.target.pods, ready=6 + int(s / 15) % 2))
    )
    assert all(decision.demand.slowdown == 1.0 for decision in world.run(3 * MINUTE))


def test_noise_about_the_notable_difference_changes_the_factor_once():
    noise = itertools.cycle((0.93, 1.07, 1.02, 0.98, 0.91))

    def see(seconds: float, snapshot: Snapshot) -> Snapshot:
        return timed(60.0, slowdown=1.16, gaps=next(noise))(seconds, snapshot)

    world = World(load=lambda _: 60.0, replicas=6, policy=policy(paused=True), see=see)
    told = [decision.demand.slowdown for decision in world.run(60 * MINUTE)]
    assert sum(earlier != later for earlier, later in itertools.pairwise(told)) <= 2


def test_a_grace_period_shorter_than_the_longest_stream_is_told():
    world = World(see=lambda _, s: replace(s, target=replace(s.target, grace_s=1.0)))
    assert Code.GRACE_TOO_SHORT in codes(world.run(MINUTE)[-1])
    world = World(see=lambda _, s: replace(s, target=replace(s.target, grace_s=0.0)))
    told = [each.message for each in world.tick().reasons if each.code is Code.GRACE_TOO_SHORT]
    assert "terminationGracePeriodSeconds is 0, and one answer" in told[0]
    world = World(see=lambda _, s: replace(s, target=replace(s.target, grace_s=600.0)))
    assert Code.GRACE_TOO_SHORT not in codes(world.run(MINUTE)[-1])


@pytest.mark.parametrize(
    ("spec", "killed", "code"), [({"paused": True}, False, Code.PAUSED), ({}, True, Code.KILL_SWITCH)]
)
def test_paused_or_killed_nothing_is_written_and_what_would_be_is_shown(spec, killed, code):
    world = World(policy=policy(**spec), load=lambda _: 300.0, replicas=1, see=lambda _, s: replace(s, killed=killed))
    decision = world.run(5 * MINUTE)[-1]
    assert world.writes == []
    assert decision.proposed is not None
    assert code in codes(decision)


def test_nothing_is_written_while_policy_target_or_scaler_is_being_deleted():
    world = World(load=lambda _: 300.0, replicas=1, see=lambda _, s: replace(s, being_deleted="the policy"))
    decision = world.run(5 * MINUTE)[-1]
    assert world.writes == []
    assert decision.proposed is not None
    assert condition(decision, "ScalingActive") == (
        "False", "BeingDeleted", "the policy is being deleted; nothing is written"
    )  # fmt: skip


def test_advice_alone_writes_nothing():
    world = World(policy=policy(mode="Advise"), load=lambda _: 300.0, replicas=1)
    decision = world.run(5 * MINUTE)[-1]
    assert world.writes == []
    assert decision.proposed is not None
    assert condition(decision, "ScalingActive")[:2] == ("False", "AdviseOnly")


def test_a_target_that_was_made_again_starts_with_an_empty_memory():
    world = World(load=lambda _: 20.0, replicas=6)
    world.run(10 * MINUTE)
    world.see = lambda _, s: replace(s, target=None, target_problem="Deployment serving/chat is not there")
    decision = world.tick()
    assert (decision.desired, Code.TARGET_MISSING in codes(decision)) == (None, True)
    world.see = lambda _, s: replace(s, target=replace(s.target, uid="two"))
    world.tick()
    assert world.memory.target_uid == "two"
    assert len(world.memory.demand) == 1


def test_without_its_profile_a_policy_holds_and_says_so():
    world = World(replicas=3)
    world.capacity = None
    world.see = lambda _, s: replace(s, profile=None, profile_problem="EngineProfile serving/x is not there")
    decision = world.tick()
    assert (decision.write, decision.desired) == (None, 3)
    assert condition(decision, "ProfileFresh")[1] == "ProfileMissing"


def test_a_schedule_holds_its_minimum_in_its_own_time_zone():
    schedule = {"name": "day", "start": "09:00", "end": "17:00", "timeZone": "Europe/Berlin", "min": 8}
    world = World(policy=policy(bounds={"min": 1, "max": 40, "schedules": [schedule]}), load=lambda _: 20.0)
    world.run(5 * MINUTE)
    assert START % 86400 == 8 * 3600  # 08:00 UTC is 09:00 in Berlin in winter
    assert world.replicas == 8
    assert Code.SCHEDULE in codes(world.decisions[0])


def test_at_a_steady_load_nothing_is_written():
    world = World(load=lambda _: 60.0, replicas=2)
    world.run(20 * MINUTE)
    settled = len(world.writes)
    world.run(60 * MINUTE)
    assert len(world.writes) == settled


def test_the_same_snapshot_and_memory_make_the_same_decision():
    world = World(load=lambda s: 60.0 + s / 30.0)
    world.run(10 * MINUTE)
    snapshot = world.snapshot()
    assert decide(snapshot, world.memory, world.capacity) == decide(snapshot, world.memory, world.capacity)


@pytest.mark.parametrize("clock_s", [0.0, 20 * MINUTE])
def test_after_a_gap_or_a_leap_of_the_clock_a_whole_window_is_watched_before_anything_goes(clock_s: float):
    """What was needed meanwhile is not known: the last look before the gap is no evidence."""
    world = World(load=lambda s: 160.0 if s < 10 * MINUTE else 20.0, replicas=4)
    world.run(10 * MINUTE)
    if clock_s:
        world.now_s += clock_s
    else:
        world.see = lambda _, snapshot: without_metrics(Evidence.UNREACHABLE)(snapshot)
        world.run(20 * MINUTE)
        world.see = lambda _, snapshot: snapshot
    before = world.replicas
    decisions = world.run(4.75 * MINUTE)
    assert world.replicas == before
    assert any(Code.STABILIZING in codes(decision) for decision in decisions)
    world.run(2 * MINUTE)
    assert world.replicas < before


def test_a_clock_that_is_put_back_neither_hurries_nor_stops_anything():
    world = World(load=lambda s: 20.0 if s < 0.0 or s > 55 * MINUTE else 60.0, replicas=2)
    world.run(60 * MINUTE)
    world.load = lambda _: 160.0
    world.now_s -= 50 * MINUTE
    before = world.replicas
    world.run(3 * MINUTE)
    assert world.replicas > before
    world.load = lambda _: 20.0
    world.now_s -= 50 * MINUTE
    grown = world.replicas
    world.run(4 * MINUTE)
    assert world.replicas >= grown
    world.run(10 * MINUTE)
    assert world.replicas < grown


def test_a_watch_that_is_behind_makes_nobody_a_rival():
    """Our own write is not seen yet: what is seen is as old as the write before it."""
    old = Writer(manager="kubectl-create", at_s=START - 100.0)
    world = World(load=lambda _: 160.0, replicas=1)
    world.see = lambda _, s: replace(s, target=replace(s.target, replicas=1, writer=old))
    assert world.tick().write is not None
    for decision in world.run(2 * MINUTE):
        assert condition(decision, "NoRivalWriter")[0] == "True"
    undone = Writer(manager="argocd-controller", at_s=START + 200.0)
    world.see = lambda _, s: replace(s, target=replace(s.target, replicas=1, writer=undone))
    assert "argocd-controller" in condition(world.tick(), "NoRivalWriter")[2]


def test_a_maximum_that_is_lowered_is_gone_to_step_by_step_even_where_the_load_needs_more():
    world = World(load=lambda _: 160.0, replicas=4)
    world.run(15 * MINUTE)
    grown = world.replicas
    world.policy = policy(bounds={"min": 1, "max": grown - 2})
    world.run(10 * MINUTE)
    assert world.replicas == grown - 2
    assert [write.replicas for _, write in world.writes][-2:] == [grown - 1, grown - 2]
    assert Code.AT_MAXIMUM in codes(world.decisions[-1])


def test_with_an_hpa_its_maximum_is_never_above_that_of_the_policy():
    world = World(load=lambda _: 160.0, replicas=1, scaler=hpa())
    world.run(15 * MINUTE)
    world.policy = policy(bounds={"min": 1, "max": 2})
    world.run(20 * MINUTE)
    assert (world.scaler.min_replicas, world.scaler.max_replicas) == (2, 2)


def test_money_for_none_never_takes_the_last_one_away():
    bounds = {"min": 1, "max": 40, "budgetPerHour": 1.0, "gpuPricePerHour": 2.0}
    world = World(policy=policy(bounds=bounds), load=lambda _: 60.0, replicas=3)
    world.run(30 * MINUTE)
    assert world.replicas == 1
    assert condition(world.decisions[-1], "WithinBudget")[:2] == ("False", "Budget")


def test_prompts_that_no_memory_holds_are_told_and_hold_everything():
    world = World(load=lambda _: 20.0, replicas=4)
    world.run(10 * MINUTE)
    world.see = lambda _, s: replace(
        s, observation=replace(s.observation, readings=readings(s.now_s, 20.0, 4, prompt_tokens=3e6))
    )
    writes = len(world.writes)
    decision = world.run(20 * MINUTE)[-1]
    assert len(world.writes) == writes
    assert Code.BEYOND_MODEL in codes(decision)
    assert condition(decision, "Ready")[0] == "False"


@pytest.mark.parametrize(
    "odd",
    [
        {"prompt_tokens": 0.0},
        {"output_tokens": 0.0},
        {"output_tokens": -3.0},
        {"prompt_tokens": float("inf")},
        {"output_tokens": float("nan")},
        {"succeeded_per_s": float("inf")},
        {"arrived_per_s": float("nan")},
        {"waiting": 1e300},
        {"running": -5.0, "kv_usage": -1.0, "itl_s": 0.0, "ttft_s": -1.0},
        {"prompt_tokens": 1e-12},
    ],
)
def test_no_reading_stops_the_decision(odd: dict[str, float]):
    """Whatever it is: nothing raises, nothing is removed, and the next look that makes sense is decided on."""
    world = World(load=lambda _: 20.0, replicas=6)
    world.run(3 * MINUTE)
    world.see = lambda _, s: replace(s, observation=replace(s.observation, readings=readings(s.now_s, 20.0, 6, **odd)))
    for decision in world.run(3 * MINUTE):
        assert (decision.write, decision.desired) == (None, 6)
        assert Code.METRICS_CONTRADICTORY in codes(decision)
    world.see = lambda _, snapshot: snapshot
    assert world.tick().needed == 1


def test_a_schedule_may_allow_none_at_night():
    night = {"name": "night", "start": "07:00", "end": "09:00", "min": 0}
    world = World(
        policy=policy(**{**ZERO, "bounds": {"min": 1, "max": 10, "schedules": [night]}}),
        replicas=1,
        see=lambda _, s: replace(
            s, observation=replace(s.observation, readings=readings(s.now_s, 0.0, 1, arrived_per_s=0.0, running=0.0))
        ),
    )
    world.run(10 * MINUTE)
    assert world.replicas == 0


def test_two_gaps_with_one_look_between_them_are_two_gaps():
    world = World(load=lambda s: 160.0 if s < 10 * MINUTE else 20.0, replicas=4)
    world.run(10 * MINUTE)
    world.now_s += 20 * MINUTE
    world.tick()
    world.now_s += 15 * MINUTE
    before = world.replicas
    decision = world.tick()
    assert (world.replicas, Code.STABILIZING in codes(decision)) == (before, True)


def test_a_target_that_was_made_again_is_watched_from_when_its_load_is_known():
    world = World(load=lambda _: 20.0, replicas=5, memory=Memory(target_uid="two"))
    world.see = lambda _, snapshot: without_metrics(Evidence.ABSENT)(snapshot)
    world.run(10 * MINUTE)
    world.see = lambda _, snapshot: snapshot
    world.run(4.75 * MINUTE)
    assert world.writes == []
    world.run(MINUTE)
    assert world.replicas < 5


def test_a_leader_that_has_just_begun_takes_no_step_down_within_the_period_of_the_one_before():
    """With no window to watch, the pace alone is between two steps."""
    down = {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 120}]}
    world = World(policy=policy(behavior={"scaleDown": down}), load=lambda _: 20.0, replicas=6)
    world.run(3 * MINUTE)
    assert [write.replicas for _, write in world.writes] == [5]
    world.memory = Memory()
    world.run(1.75 * MINUTE)
    assert world.replicas == 5
    world.run(MINUTE)
    assert world.replicas == 4
