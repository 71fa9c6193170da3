"""The range of replicas around a plan, and the error of the profile that it follows from."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from scipy.stats import t

from models.continuous_batching import predict
from models.engine import Engine, EngineLimits
from models.objective import Objective
from models.step_time import LinearStepTime
from models.token_lengths import TokenLengths
from models.workload import ClosedArrivals, OpenArrivals, Workload
from planner.cli.main import run
from planner.profile import EngineProfile, load_profile
from planner.sizing import size
from planner.uncertainty import replica_range, slowdown_at, step_time_error

OBJECTIVES = [Objective(metric="ttft", quantile=0.99, limit_s=0.2), Objective(metric="e2e", quantile=0.5, limit_s=4.0)]
TERMS = {"base_s": 9e-3, "per_prefill_token_s": 8.5e-5, "per_decode_s": 5e-5, "per_kv_token_s": 6.5e-8}
LENGTHS = TokenLengths.of(512, 128, output_cv=0.5)
OPEN = Workload(arrivals=OpenArrivals(rate_per_s=100.0), lengths=LENGTHS)
CLOSED = Workload(arrivals=ClosedArrivals(users=400, think_time_s=3.0), lengths=LENGTHS)


def engine(slower: float = 1.0) -> Engine:
    step_time = LinearStepTime(**{name: slower * term for name, term in TERMS.items()})
    return Engine(step_time=step_time, limits=EngineLimits(kv_cache_tokens=400_000))


@pytest.mark.parametrize("workload", [OPEN, CLOSED], ids=["open", "closed"])
def test_another_clock_is_the_same_as_steps_that_much_longer(workload: Workload) -> None:
    found = replica_range(engine(), workload, OBJECTIVES, error=0.2)
    assert found.low == size(engine(0.8), workload, OBJECTIVES).replicas
    assert found.high == size(engine(1.2), workload, OBJECTIVES).replicas
    assert found.low < found.high


def test_no_number_of_replicas_if_a_slower_step_alone_breaks_an_objective() -> None:
    tight = [Objective(metric="ttft", quantile=0.5, limit_s=0.065)]
    assert size(engine(), OPEN, tight).replicas > 1
    assert replica_range(engine(), OPEN, tight, error=0.3).high is None


def error_of(profile: EngineProfile, *, prompt: float, output: float) -> float | None:
    workload = replace(OPEN, arrivals=OpenArrivals(rate_per_s=1.0), lengths=TokenLengths.of(prompt, output))
    return step_time_error(profile, workload, predict(profile.to_engine(), workload, replicas=1))


def test_one_point_allows_for_more_than_it_says_and_for_still_more_where_it_is_in_doubt() -> None:
    profile = load_profile("llama-3.1-8b-a100-vllm")
    assert "throughput-above-peak" in {finding.code for finding in profile.doubts}
    near, far = error_of(profile, prompt=512, output=128), error_of(profile, prompt=1024, output=64)
    assert near is not None
    assert far is not None
    assert near >= 0.15 + 0.10
    assert far >= near + 0.05


def test_many_points_allow_for_their_own_error() -> None:
    profile = load_profile("llama-3.1-8b-h100-trtllm-tp1")
    point = profile.spec.measurements[0]
    assert error_of(profile, prompt=point.input_tokens, output=point.output_tokens) == pytest.approx(0.03, rel=0.05)


def test_a_profile_that_says_nothing_of_its_error_has_no_range() -> None:
    profile = load_profile("llama-3.1-8b-a100-vllm")
    bare = profile.model_copy(update={"spec": profile.spec.model_copy(update={"measurements": (), "provenance": ()})})
    assert error_of(bare, prompt=512, output=128) is None


def test_confidence_sizes_for_slower_steps_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["size", "--profile", "qwen3-32b-h100-vllm-tp2", "--qps", "60", "--input-tokens", "1024"]
    asked += ["--output-tokens", "256", "--slo", "e2e:p95<=12s", "-o", "json"]
    counts = []
    for confidence in ("0.5", "0.9", "0.99"):
        assert run([*asked, "--confidence", confidence]) == 0
        plan = json.loads(capsys.readouterr().out)
        assert any("--confidence" in note for note in plan["assumptions"])
        counts.append(plan["replicas"])
    assert run(asked) == 0
    assert json.loads(capsys.readouterr().out)["replicas"] == counts[0]
    assert counts[0] <= counts[1] <= counts[2]
    assert counts[0] < counts[2]


def test_the_slowdown_of_a_confidence_has_the_tails_of_measured_errors() -> None:
    # Half of all deviations are below the median one.
    assert slowdown_at(0.5, 0.05) == 0.0
    assert slowdown_at(0.75, 0.05) == pytest.approx(0.05, rel=1e-6)
    assert slowdown_at(0.9, 0.05) == pytest.approx(0.05 * t.ppf(0.9, 2.5) / t.ppf(0.75, 2.5), rel=1e-6)
    assert slowdown_at(0.99, 0.05) > 4.0 * slowdown_at(0.75, 0.05)
