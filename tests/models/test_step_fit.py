"""The fit recovers what made its points, leans on priors where points say nothing, and never fails on odd ones."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.capacity import capacity
from models.continuous_batching import predict
from models.engine import Engine, EngineLimits
from models.errors import InvalidInput
from models.load_groups import by_lengths
from models.mean_step import MeanStep, relative_deviation, steady_point
from models.measurement import LatencySummary, Measurement
from models.objective import Metric
from models.simulation.replicas import simulate
from models.step_fit import fit
from models.step_prior import StepPrior
from models.step_time import ExpertsStepTime, LinearStepTime, SqrtStepTime, StepTime
from models.token_lengths import TokenLengths
from models.workload import OpenArrivals, Workload

LIMITS = EngineLimits(max_num_seqs=1024, max_num_batched_tokens=8192)
PRIOR = StepPrior(
    base_s=9e-3, per_prefill_token_s=4e-5, per_decode_s=4e-5, per_kv_token_s=5e-8, per_expert_s=5e-5, source="a guess"
)
USERS = (1, 4, 16, 64, 128)
LENGTHS = ((512, 128), (1024, 1024), (4096, 256))

# Each term within a factor of three of the prior, and all of them faster or slower together.
factor = st.floats(1 / 3, 3)
terms = st.builds(
    lambda scale, base, prefill, decode, kv: LinearStepTime(
        base_s=scale * base * PRIOR.base_s,
        per_prefill_token_s=scale * prefill * PRIOR.per_prefill_token_s,
        per_decode_s=scale * decode * PRIOR.per_decode_s,
        per_kv_token_s=scale * kv * PRIOR.per_kv_token_s,
    ),
    factor,
    factor,
    factor,
    factor,
    factor,
)
latencies = st.none() | st.builds(LatencySummary, mean_s=st.floats(1e-6, 1e3))
anything = st.builds(
    Measurement,
    concurrency=st.floats(1, 1e5),
    input_tokens=st.floats(1, 1e6),
    output_tokens=st.floats(1, 1e6),
    ttft=latencies,
    tpot=latencies,
    output_tokens_per_s=st.none() | st.floats(1e-3, 1e6),
)


def points_of(step_time: StepTime, users: tuple[int, ...] = USERS, lengths: tuple = LENGTHS) -> list[Measurement]:
    """What the fluid engine would measure."""
    points = []
    for n, (prompt, output) in itertools.product(users, lengths):
        load = Measurement(concurrency=n, input_tokens=prompt, output_tokens=output)
        seen = steady_point(step_time, load, LIMITS)
        points.append(
            Measurement(
                concurrency=n,
                input_tokens=prompt,
                output_tokens=output,
                ttft=LatencySummary(mean_s=seen.ttft_s),
                tpot=LatencySummary(mean_s=seen.tpot_s),
            )
        )
    return points


@settings(max_examples=40)
@given(terms)
def test_recovers_the_line_that_made_the_points(truth: LinearStepTime) -> None:
    result = fit(points_of(truth), limits=LIMITS, prior=PRIOR)
    assert result.worst_error < 0.002
    assert result.points == 15
    assert result.cross_validated_error is not None
    assert result.cross_validated_error < 0.002
    # A point that no fit has seen, at other lengths and another load.
    unseen = Measurement(concurrency=40, input_tokens=2048, output_tokens=512)
    assert steady_point(result.step_time, unseen, LIMITS).tpot_s == pytest.approx(
        steady_point(truth, unseen, LIMITS).tpot_s, rel=0.002
    )


def test_recovers_each_term_of_a_typical_engine() -> None:
    truth = LinearStepTime(base_s=7e-3, per_prefill_token_s=3e-5, per_decode_s=6e-5, per_kv_token_s=7e-8)
    result = fit(points_of(truth), limits=LIMITS, prior=PRIOR)
    assert result.form == "linear"
    assert isinstance(result.step_time, LinearStepTime)
    assert result.step_time.base_s == pytest.approx(7e-3, rel=0.01)
    assert result.step_time.per_prefill_token_s == pytest.approx(3e-5, rel=0.02)
    assert result.step_time.per_decode_s == pytest.approx(6e-5, rel=0.05)
    assert result.step_time.per_kv_token_s == pytest.approx(7e-8, rel=0.05)
    assert result.wait.overhead_s == pytest.approx(0.0, abs=1e-3)
    assert result.notes == ()


def test_chooses_the_square_root_for_a_concave_curve() -> None:
    line = LinearStepTime(base_s=5e-3, per_prefill_token_s=2e-5, per_decode_s=1e-5, per_kv_token_s=2e-8)
    result = fit(points_of(SqrtStepTime(linear=line, per_sqrt_decode_s=2e-3)), limits=LIMITS, prior=PRIOR)
    assert result.form == "sqrt"
    assert isinstance(result.step_time, SqrtStepTime)
    assert result.step_time.per_sqrt_decode_s == pytest.approx(2e-3, rel=0.1)


def test_chooses_distinct_experts_for_a_mixture() -> None:
    line = LinearStepTime(base_s=4e-3, per_prefill_token_s=1e-5, per_decode_s=3e-5, per_kv_token_s=2e-8)
    truth = ExpertsStepTime(linear=line, experts=256, experts_per_token=8, per_expert_s=6e-5)
    result = fit(points_of(truth), limits=LIMITS, prior=PRIOR, experts=(256, 8))
    assert result.form == "experts"
    assert isinstance(result.step_time, ExpertsStepTime)
    assert result.step_time.per_expert_s == pytest.approx(6e-5, rel=0.1)


def test_one_outlier_does_not_bend_the_fit() -> None:
    truth = LinearStepTime(base_s=7e-3, per_prefill_token_s=3e-5, per_decode_s=6e-5, per_kv_token_s=7e-8)
    points = points_of(truth)
    bad = points[6]
    assert bad.tpot_s is not None
    points[6] = Measurement(
        concurrency=bad.concurrency,
        input_tokens=bad.input_tokens,
        output_tokens=bad.output_tokens,
        ttft=bad.ttft,
        tpot=LatencySummary(mean_s=3.0 * bad.tpot_s),
    )
    result = fit(points, limits=LIMITS, prior=PRIOR)
    others = [abs(r.tpot) for r in result.residuals if r.measurement is not points[6]]
    assert max(others) < 0.05


def test_noise_of_measurements_shows_in_the_uncertainty() -> None:
    truth = LinearStepTime(base_s=7e-3, per_prefill_token_s=3e-5, per_decode_s=6e-5, per_kv_token_s=7e-8)
    rng = np.random.default_rng(4)
    noisy = [
        Measurement(
            concurrency=p.concurrency,
            input_tokens=p.input_tokens,
            output_tokens=p.output_tokens,
            ttft=p.ttft,
            tpot=LatencySummary(mean_s=float((p.tpot_s or 0.0) * rng.lognormal(0.0, 0.03))),
        )
        for p in points_of(truth)
    ]
    exact, rough = (fit(points, limits=LIMITS, prior=PRIOR) for points in (points_of(truth), noisy))
    sure, unsure = (result.uncertainty.deviations_s[0] for result in (exact, rough))
    assert unsure > 1.5 * sure
    assert isinstance(rough.step_time, LinearStepTime)
    assert abs(rough.step_time.base_s - 7e-3) < 4.0 * unsure


def test_one_point_keeps_the_proportions_of_the_prior_and_says_so() -> None:
    point = Measurement(concurrency=32, input_tokens=512, output_tokens=128, tpot=LatencySummary(mean_s=9e-3))
    result = fit([point], limits=LIMITS, prior=PRIOR)
    line = result.step_time
    assert isinstance(line, LinearStepTime)
    assert result.worst_error < 0.02
    ratio = line.per_prefill_token_s / line.base_s
    assert ratio == pytest.approx(PRIOR.per_prefill_token_s / PRIOR.base_s, rel=0.2)
    assert result.cross_validated_error is None
    assert any("a guess" in note for note in result.notes)
    assert any(note.startswith("1 point: a straight line") for note in result.notes)


def test_throughput_and_ttft_stand_in_for_tpot() -> None:
    # 32 users at 3,500 tokens/s of 128 tokens: a request takes 32 / 27.34 = 1.170 s, of which 25 ms to the first token.
    point = Measurement(
        concurrency=32,
        input_tokens=512,
        output_tokens=128,
        output_tokens_per_s=3500.0,
        ttft=LatencySummary(mean_s=0.025),
    )
    assert point.tpot_s == pytest.approx((32 / (3500 / 128) - 0.025) / 127)
    result = fit([point], limits=LIMITS, prior=PRIOR)
    assert result.residuals[0].predicted.tpot_s == pytest.approx(point.tpot_s, rel=0.01)


def test_collinear_points_without_a_prior() -> None:
    truth = LinearStepTime(base_s=7e-3, per_prefill_token_s=3e-5, per_decode_s=6e-5, per_kv_token_s=7e-8)
    result = fit(points_of(truth, lengths=((1024, 1024),)), limits=LIMITS)
    assert result.worst_error < 0.02
    assert any(note.startswith("one pair of lengths") for note in result.notes)


def simulated(truth: StepTime, rate: float, requests: int) -> Measurement:
    """What a benchmark of an open stream would report, by the step simulator; clients add 4 ms before a first token."""
    workload = Workload(arrivals=OpenArrivals(rate_per_s=rate), lengths=TokenLengths.of(512, 128, output_cv=0.5))
    laws = simulate(Engine(step_time=truth, limits=LIMITS), workload, replicas=1, requests=requests).prediction.laws

    def summary(metric: Metric, late: float = 0.0) -> LatencySummary:
        law = laws[metric]
        at = {f"p{percent}_s": law.quantile(percent / 100) + late for percent in (50, 90, 95, 99)}
        return LatencySummary(mean_s=law.mean_s + late, **at)

    return Measurement(
        arrival_rate_per_s=rate,
        input_tokens=512,
        output_tokens=128,
        output_tokens_cv=0.5,
        ttft=summary("ttft", 4e-3),
        tpot=summary("tpot"),
        itl=summary("itl"),
    )


def test_open_loads_are_met_by_the_queueing_model() -> None:
    truth = LinearStepTime(base_s=1.2e-2, per_prefill_token_s=1e-4, per_decode_s=1.5e-4, per_kv_token_s=1e-7)
    top = capacity(Engine(step_time=truth, limits=LIMITS), TokenLengths.of(512, 128, output_cv=0.5)).requests_per_s
    seen = [simulated(truth, share * top, 2_000) for share in (0.2, 0.5, 0.75)]
    result = fit(seen, limits=LIMITS, prior=PRIOR)
    # A load and a percentile that the fit has not seen.
    workload = Workload(arrivals=OpenArrivals(rate_per_s=0.6 * top), lengths=TokenLengths.of(512, 128, output_cv=0.5))
    told = predict(Engine(step_time=result.step_time, limits=LIMITS), workload, replicas=1).laws
    true = simulate(Engine(step_time=truth, limits=LIMITS), workload, replicas=1, requests=20_000).prediction.laws
    assert told["ttft"].quantile(0.99) == pytest.approx(true["ttft"].quantile(0.99), rel=0.12)
    assert told["itl"].quantile(0.95) == pytest.approx(true["itl"].quantile(0.95), rel=0.08)
    assert result.wait.overhead_s == pytest.approx(4e-3, abs=4e-3)


def test_median_gaps_tell_prompts_and_decodes_apart_at_one_pair_of_lengths() -> None:
    truth = LinearStepTime(base_s=2.5e-2, per_prefill_token_s=1e-4, per_decode_s=1.5e-3, per_kv_token_s=1e-7)
    points = []
    for users in (1, 2, 4, 8, 16):
        load = Measurement(concurrency=users, input_tokens=64, output_tokens=64)
        at = steady_point(truth, load, LIMITS)
        mean = MeanStep.at(at.requests_per_s, at.tpot_s, load, LIMITS)
        bare = float(truth.seconds(0.0, mean.decodes, mean.kv_tokens))
        points.append(
            replace(load, ttft=LatencySummary(mean_s=at.ttft_s), itl=LatencySummary(mean_s=at.tpot_s, p50_s=bare))
        )
    told = fit(points, limits=LIMITS).step_time
    assert isinstance(told, LinearStepTime)
    # At one pair of lengths a sequence and its KV are one: 64 prompt tokens and half of 64 more.
    assert told.per_decode_s + 96.0 * told.per_kv_token_s == pytest.approx(1.5e-3 + 96.0 * 1e-7, rel=0.12)
    assert told.per_prefill_token_s == pytest.approx(1e-4, rel=0.3)


def test_a_point_is_met_from_its_load_alone_even_where_its_own_figures_disagree() -> None:
    # 32 users at 0.9 requests/s would need 35 s a request, but TPOT and TTFT say 3: the rate is of another count.
    odd = Measurement(
        concurrency=32,
        input_tokens=10_240,
        output_tokens=128,
        requests_per_s=0.9,
        ttft=LatencySummary(mean_s=1.5),
        tpot=LatencySummary(mean_s=1.2e-2),
    )
    result = fit([odd], limits=LIMITS, prior=PRIOR)
    assert abs(result.residuals[0].tpot) < 0.15 or any("missed by more" in note for note in result.notes)


def test_lengths_that_differ_by_counting_are_one_pair_and_one_load() -> None:
    truth = LinearStepTime(base_s=7e-3, per_prefill_token_s=3e-5, per_decode_s=6e-5, per_kv_token_s=7e-8)
    counted = [
        replace(p, input_tokens=p.input_tokens + 0.07 * n) for n, p in enumerate(points_of(truth, lengths=((64, 32),)))
    ]
    assert [len(group) for group in by_lengths(counted)] == [5]
    assert any(note.startswith("one pair of lengths") for note in fit(counted, limits=LIMITS, prior=PRIOR).notes)


def test_collinear_points_say_which_load_to_measure_next() -> None:
    truth = LinearStepTime(base_s=7e-3, per_prefill_token_s=3e-5, per_decode_s=6e-5, per_kv_token_s=7e-8)
    known = points_of(truth, users=(1, 4, 16), lengths=((512, 128),))
    (note,) = [note for note in fit(known, limits=LIMITS, prior=PRIOR).notes if note.startswith("measure next")]
    prompt = int(note.partition(", ")[2].partition(" in")[0])
    assert prompt != 512


@pytest.mark.parametrize("seed", range(3))
def test_the_stated_deviation_holds_what_is_predicted_elsewhere(seed: int) -> None:
    """Errors of 40 noisy fits at an unseen load, in their own deviations, are spread about as a normal law is."""
    rng = np.random.default_rng(seed)
    spread = []
    for _ in range(40):
        truth = LinearStepTime(
            **{
                name: getattr(PRIOR, name) * float(rng.lognormal(0.0, 0.4))
                for name in ("base_s", "per_prefill_token_s", "per_decode_s", "per_kv_token_s")
            }
        )
        noisy = [
            replace(p, tpot=LatencySummary(mean_s=float((p.tpot_s or 0.0) * rng.lognormal(0.0, 0.02))))
            for p in points_of(truth, users=(1, 8, 64), lengths=((512, 128), (2048, 512)))
        ]
        result = fit(noisy, limits=LIMITS, prior=PRIOR)
        unseen = Measurement(concurrency=100, input_tokens=1024, output_tokens=256)
        at, true = (steady_point(step, unseen, LIMITS) for step in (result.step_time, truth))
        deviation = relative_deviation(result.uncertainty, result.step_time, unseen, at, LIMITS)
        spread.append((at.tpot_s / true.tpot_s - 1.0) / deviation)
    assert 0.4 < float(np.sqrt(np.mean(np.square(spread)))) < 1.5


def test_repeated_points_count_once() -> None:
    truth = LinearStepTime(base_s=7e-3, per_prefill_token_s=3e-5, per_decode_s=6e-5, per_kv_token_s=7e-8)
    points = points_of(truth)
    assert fit(points + points, limits=LIMITS, prior=PRIOR).points == len(points)


@given(st.lists(anything, max_size=8))
def test_any_measurements_give_a_valid_step_time_or_a_clear_refusal(points: list[Measurement]) -> None:
    try:
        result = fit(points, limits=LIMITS, experts=(64, 4))
    except InvalidInput as refusal:
        gaps = [point.tpot_s for point in points if point.tpot_s is not None]
        assert not gaps or max(gaps) > 1e3
        assert refusal.remedy  # noqa: PT017 -- both outcomes are right
        return
    grid = result.step_time.seconds([0.0, 100.0, 8192.0], [1.0, 10.0, 100.0], [0.0, 1e4, 1e6])
    assert np.all(np.isfinite(grid))
    assert np.all(np.diff(grid) >= 0.0)
    assert np.all(grid >= 0.0)
    assert math.isfinite(result.worst_error)


def test_no_points_is_refused_with_a_remedy() -> None:
    with pytest.raises(InvalidInput, match="no measurement tells how long a token takes") as refusal:
        fit([], limits=LIMITS)
    assert "tpot or itl" in refusal.value.remedy


@pytest.mark.parametrize(
    "changes",
    [
        {"concurrency": None},
        {"arrival_rate_per_s": 1.0},
        {"concurrency": math.nan},
        {"concurrency": 0.0},
        {"input_tokens": -1.0},
        {"output_tokens": math.inf},
        {"output_tokens_per_s": 0.0},
    ],
)
def test_nonsense_is_refused(changes: dict[str, float | None]) -> None:
    fields: dict[str, float | None] = {"concurrency": 8.0, "input_tokens": 512.0, "output_tokens": 128.0}
    with pytest.raises(InvalidInput):
        Measurement(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, 1e9])
def test_nonsense_latencies_are_refused(value: float) -> None:
    with pytest.raises(InvalidInput):
        LatencySummary(mean_s=value)
