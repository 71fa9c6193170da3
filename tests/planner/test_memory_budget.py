"""Memory arithmetic: 405 billion parameters on one node, KV a token with grouped and latent attention, the reserve."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from models.engine import EngineLimits
from models.measurement import LatencySummary, Measurement
from planner.checks.finding import Finding, Provenance, Severity, Subject
from planner.hardware import GIB, find_gpu, find_model
from planner.memory_budget import activation_bytes, memory_budget, ways_to_fit
from planner.profile_check import check

LIMITS = EngineLimits(max_num_seqs=256, max_num_batched_tokens=2048)
LLAMA_405B = "meta-llama/Llama-3.1-405B-Instruct"


def budget(model: str, gpu_name: str, gpus: int, precision: str, **options):
    gpu, shape = find_gpu(gpu_name), find_model(model)
    assert gpu is not None
    assert shape is not None
    made = memory_budget(gpu, shape, precision=precision, limits=LIMITS, gpus=gpus, **options)
    assert made is not None
    return made


def test_405b_in_8_bits_fits_on_a_node_of_h100() -> None:
    """Weights (406 − 4.2) + 4.2·2 = 410 GB, 51.3 a GPU; a KV token is 2 · 126 layers · 1 head · 128 · 2 bytes."""
    made = budget(LLAMA_405B, "H100-SXM5-80GB", 8, "fp8")
    assert made.usable == 0.9 * 80 * GIB
    assert made.weights / 1e9 == pytest.approx(51.3, abs=0.1)
    assert made.kv_per_token == 2 * 126 * 1 * 128 * 2
    assert made.activations == (2048 * (4 * 16384 + 3 * 53248 / 8) * 2) + 256 * 128256 * 16
    assert made.runtime == pytest.approx(1.8 * GIB)
    assert made.kv_tokens == int((made.usable - made.weights - made.activations - made.runtime) / 64512)
    assert 340_000 < made.kv_tokens < 380_000


def test_405b_in_16_bits_does_not_fit_on_a_node_of_h100_and_does_on_h200() -> None:
    assert budget(LLAMA_405B, "H100-SXM5-80GB", 8, "bf16").kv_tokens == 0
    assert budget(LLAMA_405B, "H100-SXM5-80GB", 8, "bf16").free < 0.0
    assert budget(LLAMA_405B, "H200-SXM5-141GB", 8, "bf16").kv_tokens > 400_000


def test_8b_on_one_gpu_is_as_vllm_reports() -> None:
    """Llama-3.1-8B, bf16, one H100: vLLM's start-up log tells of about 440,000 tokens."""
    made = budget("meta-llama/Llama-3.1-8B-Instruct", "H100-SXM5-80GB", 1, "bf16")
    assert made.kv_tokens == pytest.approx(440_000, rel=0.05)


def test_activations_of_8b_at_a_budget_of_8192_tokens() -> None:
    shape = find_model("meta-llama/Llama-3.1-8B-Instruct")
    assert shape is not None
    made = activation_bytes(shape, replace(LIMITS, max_num_batched_tokens=8192), tensor_parallel=1)
    assert made / GIB == pytest.approx(1.2, rel=0.25)


def test_latent_attention_keeps_its_kv_on_every_gpu() -> None:
    made = budget("deepseek-ai/DeepSeek-R1", "H200-SXM5-141GB", 8, "fp8")
    assert made.kv_per_token == 61 * (512 + 64) * 2
    assert 400_000 < made.kv_tokens < 800_000


def test_pipeline_stages_hold_the_kv_of_their_layers() -> None:
    """16 GPUs as 8 × 2 stages: as many KV heads a GPU as on 8, half the layers of each token."""
    flat = budget(LLAMA_405B, "H100-SXM5-80GB", 16, "bf16", pipeline_parallel=2)
    assert flat.kv_per_token == 64512
    assert flat.kv_tokens == int(flat.free * 2 / 64512)


def test_ways_to_fit_name_more_gpus_and_fewer_bits() -> None:
    gpu, shape = find_gpu("H100-SXM5-80GB"), find_model(LLAMA_405B)
    assert gpu is not None
    assert shape is not None
    ways = ways_to_fit(gpu, shape, precision="bf16", limits=LIMITS, gpus=8, sequence_tokens=1000)
    assert [(way.gpus, way.precision) for way in ways] == [(16, "bf16"), (8, "fp8")]
    assert ways[1].kv_tokens == budget(LLAMA_405B, "H100-SXM5-80GB", 8, "fp8").kv_tokens


def test_a_gpu_without_8_bit_units_is_not_told_to_use_them() -> None:
    gpu, shape = find_gpu("A100-SXM4-80GB"), find_model(LLAMA_405B)
    assert gpu is not None
    assert shape is not None
    ways = ways_to_fit(gpu, shape, precision="bf16", limits=LIMITS, gpus=8, sequence_tokens=1000)
    assert [(way.gpus, way.precision) for way in ways] == [(16, "bf16")]


def a_subject(model: str = LLAMA_405B, *, gpus: int = 8, precision: str = "bf16", **changes) -> Subject:
    subject = Subject(
        measurements=(),
        limits=LIMITS,
        step_time=None,
        overhead_s=0.0,
        gpu=find_gpu("H100-SXM5-80GB"),
        gpus=gpus,
        tensor_parallel=gpus,
        shape=find_model(model),
        precision=precision,
        provenance=(Provenance(source="ours", measured=date(2026, 3, 1)),),
    )
    return replace(subject, **changes)


def findings(subject: Subject) -> list[Finding]:
    return list(check(subject, date(2026, 6, 1)))


def test_a_profile_of_405b_in_16_bits_on_a_node_of_h100_is_impossible() -> None:
    (finding,) = findings(a_subject())
    assert (finding.code, finding.severity) == ("weights-do-not-fit", Severity.CONTRADICTION)
    assert finding.what == "meta-llama/Meta-Llama-3.1-405B at bf16 weighs 812 GB; 8 × H100-SXM5-80GB hold 687 GB"
    assert finding.meaning == "a replica of this size cannot start"
    assert "16 GPUs on 2 nodes at bf16 would leave" in finding.remedy
    assert "8 GPUs at fp8 would leave 360,314 tokens of KV" in finding.remedy


def test_a_profile_of_405b_in_8_bits_on_a_node_of_h100_is_possible() -> None:
    assert findings(a_subject(precision="fp8")) == []


def test_weights_that_leave_no_room_for_kv_are_shown_with_the_arithmetic() -> None:
    """70 billion parameters in 16 bits on two GPUs of 80 GB: 70.6 of 77.3 GB, and a long context beside it."""
    long = Measurement(concurrency=1, input_tokens=120_000, output_tokens=1000, tpot=LatencySummary(mean_s=0.05))
    subject = a_subject("meta-llama/Meta-Llama-3.1-70B", gpus=2, measurements=(long,), limits=LIMITS)
    (finding,) = [found for found in findings(subject) if found.where == "gpu"]
    assert (finding.code, finding.severity) == ("no-room-for-kv", Severity.WARNING)
    assert "each: 85.9 GB usable − 70.6 GB weights − 0.8 GB activations − 1.9 GB runtime and graphs" in finding.what
    assert "where one sequence needs 121,000" in finding.what
    assert "4 GPUs at bf16 would leave" in finding.remedy


@pytest.mark.parametrize(
    ("precision", "reported", "expected"),
    [
        ("bf16", 440_000, []),
        ("bf16", 520_000, []),
        ("bf16", 560_000, [("kv-beyond-memory", Severity.WARNING)]),
        ("bf16", 1_100_000, [("kv-beyond-memory", Severity.CONTRADICTION)]),
        ("fp8", 1_000_000, []),
        ("fp8", 1_300_000, [("kv-beyond-memory", Severity.CONTRADICTION)]),
        ("bf16", 170_000, [("kv-below-memory", Severity.NOTE)]),
    ],
)
def test_what_the_engine_reports_against_what_memory_holds(precision, reported, expected) -> None:
    """Llama-3.1-8B on one H100: 85.9 − 16.1 GB hold 532,855 tokens of 16-bit KV; 90 % less the reserve 450,000."""
    subject = a_subject("meta-llama/Llama-3.1-8B-Instruct", gpus=1, precision=precision)
    found = findings(replace(subject, limits=replace(LIMITS, kv_cache_tokens=reported)))
    assert [(finding.code, finding.severity) for finding in found] == expected


def test_an_unknown_gpu_or_model_is_not_guessed_about() -> None:
    assert findings(a_subject(gpu=None)) == []
    assert findings(a_subject(shape=None)) == []
    assert findings(a_subject(precision="w3a5")) == []
