"""Variants: measured where the catalogue has them, derived by physics where not, refused where they cannot be."""

import re
from pathlib import Path

import numpy as np
import pytest

from models.errors import InvalidInput
from models.step_time import ExpertsStepTime, LinearStepTime, RooflineStepTime, SqrtStepTime
from planner.hardware import find_gpu, find_model
from planner.profile import load_profile
from planner.variant_error import MEASURED, error_of
from planner.variant_physics import TermRatios, term_ratios
from planner.variant_profile import derive, scaled, target_of
from planner.variants import parse_variants, variants_of

BASE = load_profile("llama-3.1-8b-a100-vllm")
SHAPE = find_model("meta-llama/Llama-3.1-8B-Instruct")
A100, H100 = find_gpu("A100-SXM4-80GB"), find_gpu("H100-SXM5-80GB")


def one(base, **asked):
    (found,) = variants_of(base, {name: (value,) for name, value in asked.items()}, least_tokens=1000)
    return found


def test_the_base_itself_is_no_variant():
    assert variants_of(BASE, parse_variants(["quantization=none", "gpu=a100-sxm4-80gb"]), least_tokens=1) == []


def test_a_measured_profile_stands_for_its_variant():
    found = one(load_profile("llama-3.1-70b-fp8-h200-vllm-tp1"), tp="2")
    assert (found.name, found.estimated) == ("llama-3.1-70b-fp8-h200-vllm-tp2", False)


def test_weight_only_quantisation_reads_less_and_computes_no_faster():
    ratios = term_ratios(SHAPE, (A100, "bf16", 1), (A100, "int4", 1))
    assert ratios.base < 0.8
    assert ratios.prefill == ratios.decode == ratios.kv == 1.0


def test_eight_bits_compute_faster_where_there_are_units_for_them():
    assert term_ratios(SHAPE, (A100, "bf16", 1), (A100, "fp8", 1)).prefill == 1.0
    assert term_ratios(SHAPE, (H100, "bf16", 1), (H100, "fp8", 1)).prefill == pytest.approx(0.5)
    assert term_ratios(SHAPE, (A100, "bf16", 1), (A100, "int8", 1)).prefill == pytest.approx(0.5)


def test_more_gpus_shorten_a_step_by_less_than_their_number():
    two, eight = (term_ratios(SHAPE, (H100, "bf16", 1), (H100, "bf16", size)) for size in (2, 8))
    assert 0.5 < two.base < 1.0
    assert 1 / 8 < eight.base < two.base
    assert 0.5 < two.prefill < 1.0


def test_there_and_back_is_the_base_again():
    away = derive(BASE, target_of(load_profile("llama-3.1-8b-h100-trtllm-tp2")), name="away")
    back = derive(away, target_of(BASE), name="back")
    at = ([0.0, 512.0], [32.0, 8.0], [20_000.0, 4_000.0])
    np.testing.assert_allclose(back.fitted.step_time.seconds(*at), BASE.fitted.step_time.seconds(*at), rtol=1e-9)
    assert back.spec.limits.kv_cache_tokens == pytest.approx(BASE.spec.limits.kv_cache_tokens, rel=1e-4)


LINE = LinearStepTime(base_s=1e-2, per_prefill_token_s=1e-5, per_decode_s=1e-5, per_kv_token_s=1e-8)


@pytest.mark.parametrize(
    "step_time",
    [
        LINE,
        SqrtStepTime(linear=LINE, per_sqrt_decode_s=1e-4),
        ExpertsStepTime(linear=LINE, experts=64, experts_per_token=8, per_expert_s=1e-5),
        RooflineStepTime(overhead_s=0.0, weights_s=1e-2, per_kv_token_s=1e-8, per_token_compute_s=1e-5),
    ],
    ids=lambda step: type(step).__name__,
)
def test_halved_terms_are_a_step_half_as_long_in_every_form(step_time):
    half = scaled(step_time, TermRatios(base=0.5, prefill=0.5, decode=0.5, kv=0.5, expert=0.5))
    at = (300.0, 40.0, 30_000.0)
    assert half.seconds(*at) == pytest.approx(0.5 * step_time.seconds(*at))


def test_what_does_not_fit_says_so_with_the_arithmetic_and_what_would():
    found = one(load_profile("llama-3.1-70b-fp8-h200-vllm-tp1"), quantization="none", gpu="H100-SXM5-80GB")
    assert found.profile is None
    assert found.reason.startswith("it does not fit 1 × H100-SXM5-80GB, each: 77.3 GB usable − 141.")
    assert found.remedy == "it would fit 2 × H100-SXM5-80GB at bf16"


def test_heads_that_cannot_be_shared_are_no_variant():
    assert one(BASE, tp="3").reason == "the 32 attention heads cannot be shared by 3 GPUs"


def test_an_estimated_variant_says_so_with_its_error():
    found = one(BASE, quantization="awq", gpu="H100-SXM5-80GB")
    assert found.name == "llama-3.1-8b-a100-vllm~awq,H100-SXM5"
    assert found.estimated
    assert found.error == pytest.approx(np.hypot(MEASURED["quantization"].ninetieth, MEASURED["gpu"].ninetieth))
    assert found.basis.startswith("ESTIMATED from llama-3.1-8b-a100-vllm by data sheets, steps ± ")
    assert not found.profile.spec.measurements


def test_the_errors_are_those_that_the_benchmark_wrote():
    text = (Path(__file__).parents[2] / "docs" / "variant-accuracy.md").read_text(encoding="utf-8")
    for name, words in (("quantization", "quantisation"), ("tp", "tensor-parallel size"), ("gpu", "GPU type")):
        pairs, median, ninetieth = re.search(rf"^\| {words} \| (\d+) \| (\d+)% \| (\d+)% ", text, re.MULTILINE).groups()
        known = MEASURED[name]
        assert (known.pairs, known.median, known.ninetieth) == (int(pairs), int(median) / 100, int(ninetieth) / 100)
    assert error_of(("tp",))[0] == MEASURED["tp"].ninetieth


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("bits=4", "unknown dimension 'bits'"),
        ("quantization=fp7", "not a quantisation that is modelled"),
        ("tp=0", "not a tensor-parallel size"),
        ("tp=²", "not a tensor-parallel size"),
        ("gpu=H900", "no data sheet of that GPU"),
        ("tp", "not a tensor-parallel size"),
    ],
)
def test_what_is_no_variant_is_refused(text, problem):
    with pytest.raises(InvalidInput, match=problem):
        parse_variants([text])


def test_too_many_variants_are_refused():
    asked = {"tp": tuple(str(size) for size in range(1, 66))}
    with pytest.raises(InvalidInput, match="makes 65 of"):
        variants_of(BASE, asked, least_tokens=1)
