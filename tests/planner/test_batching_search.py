"""The least replicas and the highest rate of a dynamic batcher, also where those that hold lie in a window."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.errors import NoFeasiblePlan
from models.prediction import Routing
from models.workload import OpenArrivals
from planner.batching_answer import BatchingQuestion, predict_replicas
from planner.batching_fields import plan_fields
from planner.batching_sizing import _least_that_holds, highest_rate, size_batching
from planner.objective import parse_objectives
from planner.plan import no_plan
from planner.profile import parse_profile

HELD = "limits: {maxBatchSize: 8, maxQueueDelay: 0.06}, serviceTime: [{batch: 1, mean: 0.020}, {batch: 8, mean: 0.024}]"
AT_ONCE = HELD.replace(", maxQueueDelay: 0.06", "")


def question(
    rate: float, slo: str, spec: str = HELD, *, burstiness: float = 1.0, routing: str = "random"
) -> BatchingQuestion:
    text = (
        "{apiVersion: replicast.dev/v1alpha1, kind: EngineProfile, metadata: {name: m}, "
        f"spec: {{engine: triton, model: m, gpu: {{type: A10G-24GB}}, {spec}}}}}"
    )
    return BatchingQuestion(
        profile=parse_profile(text, name="m"),
        arrivals=OpenArrivals(rate_per_s=rate, burstiness=burstiness),
        objectives=parse_objectives((slo,)),
        routing=Routing(routing),
    )


def holds(asked: BatchingQuestion, count: int) -> bool:
    return all(predict_replicas(asked, count).meets(each) for each in asked.objectives)


def test_the_least_replicas_are_found_before_batches_fill_too_slowly():
    """Four break, five hold, eight break again: each gets too few to fill its batches within the objective."""
    asked = question(1310.0, "e2e:p95<=63ms")
    assert [holds(asked, count) for count in (4, 5, 8, 20)] == [False, True, False, False]
    plan = size_batching(asked, max_replicas=10_000)
    assert (plan.answer.replicas, plan.one_fewer.replicas) == (5, 4)
    warned = plan_fields(asked, plan)["warnings"]
    assert any("8 would break e2e:p95<=0.063" in note for note in warned)


def test_the_highest_rate_is_found_though_no_low_one_holds():
    asked = question(1.0, "e2e:p95<=63ms")
    assert not holds(replace(asked, arrivals=OpenArrivals(rate_per_s=1.0)), 5)
    found = highest_rate(asked, 5)
    assert holds(found, 5)
    more = replace(found, arrivals=OpenArrivals(rate_per_s=1.01 * found.arrivals.rate_per_s))
    assert not holds(more, 5)


def test_without_a_delay_more_replicas_only_help():
    plan = size_batching(question(3000.0, "e2e:p99<=40ms", AT_ONCE), max_replicas=10_000)
    assert plan.one_fewer.replicas == plan.answer.replicas - 1
    assert not holds(question(3000.0, "e2e:p99<=40ms", AT_ONCE), plan.one_fewer.replicas)


@pytest.mark.parametrize(("low", "high"), [(104, 106), (100, 100), (131, 140), (150, 151), (700, 900)])
def test_a_narrow_window_is_found_at_the_turn(low, high):
    """The worst objective falls to a valley and rises again; what holds is a few counts at its floor."""
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    counts, at = [100], 100
    while at < 3000:
        at = max(at + 1, int(1.15 * at))
        counts.append(at)
    found = _least_that_holds(lambda count: 1.0 + (abs(count - middle) - half) / 1000.0, counts)
    assert found == low


def test_without_any_plan_the_nearest_is_told():
    asked = question(300.0, "e2e:p95<=23ms")
    with pytest.raises(NoFeasiblePlan, match=r"at best, with \d+ replicas? at \d+% of capacity, e2e p95 is") as told:
        size_batching(asked, max_replicas=10_000)
    (row,) = no_plan(asked.profile, asked.objectives, told.value)["objectives"]
    assert row["met"] is False
    assert row["predicted"] > 0.023
    with pytest.raises(NoFeasiblePlan, match="1 replica "):
        highest_rate(question(1.0, "e2e:p95<=19ms", AT_ONCE), 1)


def test_a_lone_request_under_a_delay_is_never_promised_less():
    """The delay of 10 ms and a batch of one: 12 ms."""
    spec = (
        "limits: {maxBatchSize: 32, maxQueueDelay: 0.01}, serviceTime: [{batch: 1, mean: 0.002}, {batch: 32, mean: "
        "0.006}]"
    )
    with pytest.raises(NoFeasiblePlan, match=r"e2e p99 is 12\.\d ms"):
        size_batching(question(20.0, "e2e:p99<=9ms", spec), max_replicas=100)


def test_the_balancer_decides_on_the_stream_of_a_replica():
    bursty = question(1200.0, "e2e:p99<=1s", AT_ONCE, burstiness=4.0)
    in_turn = question(1200.0, "e2e:p99<=1s", AT_ONCE, burstiness=4.0, routing="round-robin")
    assert (bursty.share(4).burstiness, in_turn.share(4).burstiness) == (1.75, 1.0)
    assert bursty.share(4).rate_per_s == 300.0
    tail = predict_replicas(bursty, 4).statistic("e2e", 0.99)
    assert predict_replicas(in_turn, 4).statistic("e2e", 0.99) < 0.9 * tail


def test_bursts_beyond_what_one_replica_takes_are_shared_by_more():
    plan = size_batching(question(150.0, "e2e:p99<=1s", AT_ONCE, burstiness=20.0), max_replicas=100)
    assert plan.answer.replicas >= 1
    assert plan.answer.stable
