"""The search for the least replicas, against brute force, with predictors that are plain functions."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.engine import Engine, EngineLimits
from models.errors import InvalidInput, NoFeasiblePlan
from models.latency_law import LatencyLaw
from models.objective import Objective
from models.prediction import Bottleneck, Capacity, Prediction
from models.step_time import LinearStepTime
from models.token_lengths import TokenLengths
from models.workload import ClosedArrivals, OpenArrivals, Workload
from planner.sizing import binding, least_replicas, max_rate, size

OBJECTIVE = Objective(metric="ttft", quantile=0.99, limit_s=0.5)
ENGINE = Engine(
    step_time=LinearStepTime(base_s=9e-3, per_prefill_token_s=8.5e-5, per_decode_s=5e-5, per_kv_token_s=6.5e-8),
    limits=EngineLimits(kv_cache_tokens=400_000),
)
LENGTHS = TokenLengths.of(512, 128)


def predicted(ttft_s: float) -> Prediction:
    capacity = Capacity(
        requests_per_s=1.0,
        bottleneck=Bottleneck.COMPUTE,
        running=1.0,
        seats=1.0,
        memory_bound=False,
        preemptions_per_request=0.0,
    )
    return Prediction(
        stable=True, utilization=0.5, requests_per_s=1.0, output_tokens_per_s=1.0, capacity=capacity, running=1.0,
        kv_occupancy=0.0, preemptions_per_request=0.0, laws={"ttft": LatencyLaw.from_atoms([ttft_s], [1.0])},
    )  # fmt: skip


@given(least=st.integers(1, 5000), lowest=st.integers(1, 300))
def test_the_search_finds_the_least_count_that_holds(least: int, lowest: int) -> None:
    asked: list[int] = []

    def predictor(replicas: int) -> Prediction:
        asked.append(replicas)
        return predicted(0.1 if replicas >= least else 1.0)

    found = least_replicas(predictor, [OBJECTIVE], lowest=lowest, highest=10_000)
    assert found.replicas == max(least, lowest)
    assert len(set(asked)) <= 40
    if found.replicas > 1:
        assert found.one_fewer is not None


def test_a_lower_count_that_holds_again_is_taken_at_the_cost_of_two_more() -> None:
    asked: list[int] = []

    def rippling(replicas: int) -> Prediction:
        asked.append(replicas)
        return predicted(0.1 if replicas >= 898 or replicas in (890, 891, 892) else 1.0)

    found = least_replicas(rippling, [OBJECTIVE], lowest=880, highest=10_000)
    assert found.replicas == 890
    assert found.one_fewer is not None
    assert not found.one_fewer.meets(OBJECTIVE)
    below = [count for count in asked if 881 <= count < 890]
    assert below == [889], "what lies under the answer is not scanned"


def test_no_count_holds() -> None:
    with pytest.raises(NoFeasiblePlan, match=r"nothing meets ttft:p99<=0\.5") as error:
        least_replicas(lambda _: predicted(1.0), [OBJECTIVE], lowest=1, highest=100)
    assert "raise that limit above 1.02 s" in error.value.remedy


@pytest.mark.parametrize("rate", [3.0, 40.0, 1000.0, 100_000.0])
def test_an_open_plan_is_the_boundary(rate: float) -> None:
    workload = Workload(arrivals=OpenArrivals(rate_per_s=rate), lengths=LENGTHS)
    found = size(ENGINE, workload, [OBJECTIVE])
    assert found.prediction.meets(OBJECTIVE)
    if found.replicas > 1:
        assert found.one_fewer is not None
        assert not found.one_fewer.meets(OBJECTIVE)


def test_a_closed_plan_is_the_boundary() -> None:
    lengths = TokenLengths.of(512, 128, output_cv=0.8)
    workload = Workload(arrivals=ClosedArrivals(users=300, think_time_s=2.0), lengths=lengths)
    objective = Objective(metric="itl", quantile=0.5, limit_s=0.0125)
    found = size(ENGINE, workload, [objective])
    assert 1 < found.replicas < 300
    assert found.prediction.meets(objective)
    assert found.one_fewer is not None
    assert not found.one_fewer.meets(objective)


def test_the_highest_rate_is_what_size_needs_the_replicas_for() -> None:
    workload = Workload(arrivals=OpenArrivals(rate_per_s=1.0), lengths=LENGTHS)
    rate, prediction = max_rate(ENGINE, workload, [OBJECTIVE], replicas=4)
    assert prediction.meets(OBJECTIVE)
    assert size(ENGINE, workload.at_rate(rate), [OBJECTIVE]).replicas == 4
    assert size(ENGINE, workload.at_rate(rate * 1.02), [OBJECTIVE]).replicas == 5


def test_the_most_allowed_being_too_few_says_how_many_are_needed() -> None:
    workload = Workload(arrivals=OpenArrivals(rate_per_s=300.0), lengths=LENGTHS)
    needed = size(ENGINE, workload, [OBJECTIVE]).replicas
    with pytest.raises(NoFeasiblePlan, match=f"is too few: {needed} replicas meet every objective"):
        size(ENGINE, workload, [OBJECTIVE], max_replicas=needed - 1)
    assert size(ENGINE, workload, [OBJECTIVE], max_replicas=needed).replicas == needed


def test_gaps_of_answers_of_one_token_are_no_objective() -> None:
    workload = Workload(arrivals=OpenArrivals(rate_per_s=3.0), lengths=TokenLengths.of(512, 1))
    objective = Objective(metric="itl", quantile=0.99, limit_s=1.0)
    with pytest.raises(InvalidInput, match="have no gaps between tokens"):
        size(ENGINE, workload, [OBJECTIVE, objective])
    with pytest.raises(InvalidInput, match="have no gaps between tokens"):
        max_rate(ENGINE, workload, [objective], replicas=1)
    assert size(ENGINE, workload, [OBJECTIVE]).replicas == 1


def test_a_wait_of_nothing_is_the_furthest_from_its_limit():
    laws = {"queue": LatencyLaw.from_atoms([0.0], [1.0]), "ttft": LatencyLaw.from_atoms([0.1], [1.0])}
    found = replace(predicted(0.1), laws=laws)
    asked = [Objective(metric=metric, quantile=0.5, limit_s=0.5) for metric in ("queue", "ttft")]
    assert binding(found, asked).metric == "ttft"
