"""Each contradiction planted and found by its name; a clean profile has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import pytest

from models.engine import EngineLimits
from models.mean_step import steady_point
from models.measurement import LatencySummary, Measurement
from models.step_time import LinearStepTime
from planner.checks.finding import Counted, Finding, Provenance, Severity, Subject
from planner.hardware import find_gpu, find_model
from planner.profile import parse_profile
from planner.profile_check import check, is_fit, subject_of

TODAY = date(2026, 6, 1)
LIMITS = EngineLimits(max_num_seqs=256, max_num_batched_tokens=8192, kv_cache_tokens=400_000)
STEP = LinearStepTime(base_s=8e-3, per_prefill_token_s=3e-5, per_decode_s=2e-5, per_kv_token_s=6e-8)


def a_point(users: float = 32, prompt: float = 512, output: float = 128, **changes: object) -> Measurement:
    """A point that the step time above explains exactly, with throughput and e2e to match."""
    load = Measurement(concurrency=users, input_tokens=prompt, output_tokens=output)
    steady = steady_point(STEP, load, LIMITS)
    rate = users / (steady.ttft_s + (output - 1) * steady.tpot_s)
    point = replace(
        load,
        ttft=LatencySummary(mean_s=steady.ttft_s),
        tpot=LatencySummary(mean_s=steady.tpot_s),
        e2e=LatencySummary(mean_s=users / rate),
        requests_per_s=rate,
        output_tokens_per_s=rate * output,
    )
    return replace(point, **changes)  # type: ignore[arg-type]


def a_profile(points: Sequence[Measurement] | None = None, **changes: object) -> Subject:
    subject = Subject(
        measurements=tuple(points or (a_point(1), a_point(8), a_point(32), a_point(64), a_point(8, 4096))),
        limits=LIMITS,
        step_time=STEP,
        overhead_s=0.0,
        gpu=find_gpu("H100-SXM5-80GB"),
        gpus=1,
        tensor_parallel=1,
        shape=find_model("meta-llama/Llama-3.1-8B-Instruct"),
        precision="bf16",
        provenance=(Provenance(source="our own benchmark", measured=date(2026, 3, 1)),),
    )
    return replace(subject, **changes)  # type: ignore[arg-type]


def expect_only(subject: Subject, code: str, severity: Severity) -> Finding:
    found = check(subject, TODAY)
    assert [(f.code, f.severity) for f in found] == [(code, severity)], found
    assert found[0].what
    assert found[0].meaning
    assert found[0].remedy
    assert is_fit(found) is (severity is not Severity.CONTRADICTION)
    return found[0]


def test_a_clean_profile_has_no_finding() -> None:
    assert check(a_profile(), TODAY) == ()


def with_changed(index: int = 2, **changes: object) -> Subject:
    """The clean profile with one point changed."""
    points = list(a_profile().measurements)
    points[index] = replace(points[index], **changes)  # type: ignore[arg-type]
    return a_profile(points)


def test_e2e_mean_against_throughput() -> None:
    finding = expect_only(
        with_changed(e2e=LatencySummary(mean_s=4.0), tpot=None, ttft=None), "littles-law", Severity.CONTRADICTION
    )
    assert "by Little's law" in finding.what
    assert finding.where == "measurement 3 (32 users, 512 in / 128 out)"


def test_e2e_percentiles_against_throughput() -> None:
    percentiles = LatencySummary(p50_s=0.6, p99_s=1.1)
    slow = a_point(32, requests_per_s=10.0, output_tokens_per_s=1280.0, e2e=percentiles, tpot=None, ttft=None)
    found = check(a_profile([slow]), TODAY)
    assert "littles-law" in {f.code for f in found if f.severity is Severity.CONTRADICTION}


def test_users_that_idle_are_a_note() -> None:
    point = a_point(32)
    assert point.e2e is not None
    assert point.e2e.mean_s is not None
    expect_only(with_changed(e2e=LatencySummary(mean_s=0.9 * point.e2e.mean_s)), "idle-users", Severity.NOTE)


def test_token_rate_against_request_rate() -> None:
    point = a_point(32)
    assert point.requests_per_s is not None
    expect_only(with_changed(output_tokens_per_s=point.requests_per_s * 640.0), "token-rate", Severity.CONTRADICTION)


def test_e2e_below_its_parts() -> None:
    point = with_changed(requests_per_s=None, output_tokens_per_s=None, e2e=LatencySummary(mean_s=0.95))
    expect_only(point, "e2e-parts", Severity.CONTRADICTION)


def test_percentiles_out_of_order() -> None:
    expect_only(with_changed(itl=LatencySummary(p50_s=0.02, p99_s=0.01)), "percentile-order", Severity.CONTRADICTION)


def test_mean_below_what_markov_allows() -> None:
    expect_only(with_changed(itl=LatencySummary(mean_s=0.009, p50_s=9.0)), "mean-too-low", Severity.CONTRADICTION)


def test_mean_above_p99() -> None:
    expect_only(with_changed(itl=LatencySummary(mean_s=9.0, p99_s=0.01)), "mean-above-p99", Severity.WARNING)


def test_throughput_that_falls() -> None:
    points = [*a_profile().measurements, a_point(128, requests_per_s=5.0, output_tokens_per_s=640.0)]
    codes = {f.code for f in check(a_profile(points), TODAY)}
    assert "throughput-falls" in codes


def test_tpot_that_falls() -> None:
    slow = LatencySummary(mean_s=1.2 * float(a_point(64).tpot_s or 0.0))
    subject = with_changed(tpot=slow, e2e=None, requests_per_s=None, output_tokens_per_s=None)
    found = {f.code: f for f in check(subject, TODAY)}
    assert found.keys() == {"tpot-falls", "step-time-misses-point"}
    assert found["tpot-falls"].where == "measurement 4 (64 users, 512 in / 128 out)"
    assert "32 users" in found["tpot-falls"].what


def test_ttft_that_falls() -> None:
    expect_only(with_changed(0, ttft=LatencySummary(p50_s=0.5)), "ttft-falls", Severity.NOTE)


@pytest.mark.parametrize(
    ("changes", "code", "severity"),
    [
        ({"tpot": LatencySummary(mean_s=2e-3)}, "faster-than-memory", Severity.CONTRADICTION),
        ({"ttft": LatencySummary(mean_s=1e-3)}, "prefill-above-peak", Severity.CONTRADICTION),
        ({"ttft": LatencySummary(mean_s=8.5e-3)}, "prefill-above-peak", Severity.WARNING),
        ({"e2e": LatencySummary(p50_s=0.05, p99_s=0.12)}, "e2e-faster-than-memory", Severity.CONTRADICTION),
        ({"requests_per_s": 150.0}, "throughput-above-peak", Severity.CONTRADICTION),
    ],
)
def test_faster_than_the_hardware(changes: dict[str, object], code: str, severity: Severity) -> None:
    bare = {"e2e": None, "requests_per_s": None, "output_tokens_per_s": None}
    found = check(with_changed(**{**bare, **changes}), TODAY)
    assert (code, severity) in {(f.code, f.severity) for f in found}


def test_weights_that_do_not_fit() -> None:
    subject = a_profile([a_point(32)], shape=find_model("meta-llama/Meta-Llama-3.1-405B"))
    found = {f.code: f for f in check(subject, TODAY)}
    assert found["weights-do-not-fit"].what == (
        "meta-llama/Meta-Llama-3.1-405B at bf16 weighs 812 GB; 1 × H100-SXM5-80GB hold 86 GB"
    )


def test_kv_memory_that_is_too_small() -> None:
    subject = a_profile(limits=replace(LIMITS, kv_cache_tokens=20_000))
    found = [f for f in check(subject, TODAY) if f.code == "kv-above-capacity"]
    assert [f.where for f in found] == [
        "measurement 4 (64 users, 512 in / 128 out)",
        "measurement 5 (8 users, 4096 in / 128 out)",
    ]


def test_step_time_that_misses_its_points() -> None:
    codes = {f.code for f in check(a_profile(step_time=replace(STEP, base_s=20e-3)), TODAY)}
    assert codes == {"step-time-misses-points", "step-time-misses-point"}


def test_step_time_below_the_floors() -> None:
    fast = LinearStepTime(base_s=1e-3, per_prefill_token_s=1e-6, per_decode_s=2e-5, per_kv_token_s=6e-8)
    codes = {f.code for f in check(a_profile(step_time=fast), TODAY)}
    assert {"step-below-floor", "prefill-term-below-floor"} <= codes


def test_one_point_is_few() -> None:
    expect_only(a_profile([a_point(32)]), "few-points", Severity.WARNING)


@pytest.mark.parametrize(
    ("provenance", "code", "severity"),
    [
        ((), "no-provenance", Severity.WARNING),
        ((Provenance(source=None, measured=None),), "no-provenance", Severity.WARNING),
        ((Provenance(source="ours", measured=None),), "undated", Severity.NOTE),
        ((Provenance(source="ours", measured=date(2025, 5, 31)),), "stale", Severity.NOTE),
        ((Provenance(source="ours", measured=date(2026, 6, 2)),), "date-in-future", Severity.WARNING),
    ],
)
def test_provenance(provenance: tuple[Provenance, ...], code: str, severity: Severity) -> None:
    expect_only(a_profile(provenance=provenance), code, severity)


def test_unknown_hardware_is_not_guessed_about() -> None:
    impossible = with_changed(tpot=LatencySummary(mean_s=2e-3), e2e=None, requests_per_s=None, output_tokens_per_s=None)
    codes = {f.code for f in check(replace(impossible, gpu=None), TODAY)}
    assert "faster-than-memory" not in codes


def test_requests_that_failed_in_a_profile_s_measurement() -> None:
    clean = a_profile()
    counted = tuple(Counted(requests=500, failed=40 if index == 2 else 0) for index in range(len(clean.measurements)))
    finding = expect_only(replace(clean, counted=counted), "failed-requests", Severity.WARNING)
    assert finding.where == "measurement 3 (32 users, 512 in / 128 out)"
    assert finding.what == "40 of 540 requests failed (7.4%)"


def test_an_open_measurement_that_was_not_served() -> None:
    load = {"concurrency": None, "arrival_rate_per_s": 40.0, "requests_per_s": 30.0, "output_tokens_per_s": 3840.0}
    found = [f for f in check(with_changed(2, **load), TODAY) if f.code == "rate-not-reached"]
    assert [f.what for f in found] == ["40 requests/s were asked for and 30 were answered"]


def test_a_profile_file_carries_its_counts_to_the_checks() -> None:
    text = """
apiVersion: replicast.dev/v1alpha1
kind: EngineProfile
metadata: {name: counted}
spec:
  engine: vllm
  model: m
  gpu: {type: H100-SXM5-80GB}
  stepTime: {base: 0.01}
  measurements:
    - {concurrency: 8, inputTokens: 512, outputTokens: 128, requests: 90, failed: 10, tpot: {mean: 0.01}}
"""
    subject = subject_of(parse_profile(text, name="counted.yaml"))
    assert subject.counted == (Counted(requests=90, failed=10, capacity_only=False),)
    assert "failed-requests" in {finding.code for finding in check(subject, TODAY)}
