"""A step time written to a profile and read again is the same step time."""

from __future__ import annotations

import pytest

from models.engine import EngineLimits
from models.errors import InvalidInput
from models.measurement import LatencySummary, Measurement
from models.step_time import ExpertsStepTime, LinearStepTime, RooflineStepTime, SqrtStepTime, StepTime
from planner.profile import parse_profile
from planner.profile_document import measurement_row, profile_document, text_of

LINE = LinearStepTime(base_s=7e-3, per_prefill_token_s=3e-5, per_decode_s=0.0, per_kv_token_s=7e-8)
POINTS = (
    Measurement(
        concurrency=8, input_tokens=512, output_tokens=128, tpot=LatencySummary(mean_s=0.008), output_tokens_per_s=900.0
    ),
    Measurement(
        arrival_rate_per_s=2.5,
        input_tokens=511.5,
        output_tokens=128,
        requests_per_s=2.4,
        ttft=LatencySummary(p50_s=0.1, p90_s=0.2),
        itl=LatencySummary(mean_s=0.01, p99_s=0.03),
        e2e=LatencySummary(p95_s=3.0),
        queue=LatencySummary(mean_s=0.001),
    ),
)


def document_of(step_time: StepTime, limits: EngineLimits) -> str:
    return text_of(
        profile_document(
            "mine",
            engine="vllm",
            version="0.10.0",
            model="a/model",
            quantization="none",
            gpu={"type": "H100-SXM5-80GB"},
            limits=limits,
            step_time=step_time,
            measurements=[measurement_row(point) for point in POINTS],
            provenance={"source": "a test", "points": 1},
        ),
        "# a comment\n",
    )


@pytest.mark.parametrize(
    "step_time",
    [
        LINE,
        SqrtStepTime(linear=LINE, per_sqrt_decode_s=1e-3),
        ExpertsStepTime(linear=LINE, experts=64, experts_per_token=4, per_expert_s=2e-5),
    ],
)
@pytest.mark.parametrize("limits", [EngineLimits(), EngineLimits(kv_cache_tokens=1000, chunked_prefill=False)])
def test_a_profile_reads_as_it_was_written(step_time: StepTime, limits: EngineLimits) -> None:
    profile = parse_profile(document_of(step_time, limits), name="mine")
    assert profile.to_engine().step_time == step_time
    assert profile.to_engine().limits == limits
    assert profile.measurements == POINTS


def test_a_form_without_written_terms_is_refused() -> None:
    roofline = RooflineStepTime(overhead_s=1e-3, weights_s=5e-3, per_kv_token_s=1e-8, per_token_compute_s=1e-5)
    with pytest.raises(InvalidInput, match="no written form for RooflineStepTime"):
        document_of(roofline, EngineLimits())
