"""How the terms of a step time change with weights, GPU and tensor parallelism, as data sheets and counts say."""

from __future__ import annotations

from dataclasses import dataclass

from models.step_prior import StepPrior
from planner.architecture import ModelShape
from planner.hardware import LAUNCH_S, Gpu, step_prior

Place = tuple[Gpu, str, int]
"""A GPU, the precision of the weights, and GPUs that share each layer."""

_LINK_EFFICIENCY = 0.5
"""Assumed share of the data sheet's link bandwidth that a large all-reduce reaches."""
_HOST_S = 1e-6
"""Assumed for each sequence of a step on the host, which no GPU shortens."""
_VALUE_BYTES = 2.0


@dataclass(frozen=True, kw_only=True)
class Constants:
    """What no data sheet says; chosen on measured pairs (docs/variant-accuracy.md, with each model left out too)."""

    fixed_s: float = 6e-3
    """Of a step that weights, GPU and parallelism leave alone, beside the time to read weights at the assumed share
    of bandwidth: launches, scheduling, kernels too small to fill a GPU. Only its share of the step matters."""
    all_reduce_s: float = 4e-6
    """Latency of one all-reduce within a node."""


@dataclass(frozen=True, kw_only=True)
class TermRatios:
    """What each term of a step time is multiplied by."""

    base: float
    prefill: float
    decode: float
    kv: float
    expert: float


def term_ratios(
    shape: ModelShape, before: Place, after: Place, *, constants: Constants | None = None
) -> TermRatios | None:
    """Ratios of what is expected of two places; None where the shape does not say enough.

    Weight-only quantisation (AWQ, GPTQ, GGUF) moves fewer bytes but computes in 16 bits after dequantising, so that
    `base` falls and `prefill` does not: MARLIN comes near the ratio of the bytes for batches up to 16 to 32, and
    gains less and less beyond (Frantar et al. 2024, arXiv 2408.11743, abstract).
    """
    one, other = (_expected(shape, place, constants or Constants()) for place in (before, after))
    if one is None or other is None:
        return None
    return TermRatios(
        base=other.base_s / one.base_s,
        prefill=other.per_prefill_token_s / one.per_prefill_token_s,
        decode=other.per_decode_s / one.per_decode_s,
        kv=other.per_kv_token_s / one.per_kv_token_s,
        expert=other.per_expert_s / one.per_expert_s if one.per_expert_s > 0.0 else 1.0,
    )


def _expected(shape: ModelShape, place: Place, constants: Constants) -> StepPrior | None:
    """The data sheets' step with a fixed part, and with the two all-reduces of each layer where GPUs share it.

    All-reduces: Shoeybi et al. 2019 (Megatron-LM), §3; each GPU sends 2·(n−1)/n of the bytes (Patarasuk, Yuan 2009).
    """
    gpu, precision, size = place
    prior = step_prior(gpu, shape, precision=precision, gpus_per_replica=size)
    if prior is None or shape.layers is None:
        return None
    reduces = 2.0 * shape.layers if size > 1 else 0.0
    sent = reduces * shape.hidden * _VALUE_BYTES * 2.0 * (size - 1) / size
    exchange_s = sent / (gpu.inside_bytes_per_s * _LINK_EFFICIENCY)
    slower = _without_units(gpu, precision)
    return StepPrior(
        base_s=prior.base_s - LAUNCH_S + constants.fixed_s + reduces * constants.all_reduce_s,
        per_prefill_token_s=prior.per_prefill_token_s * slower + exchange_s,
        per_decode_s=prior.per_decode_s * slower + exchange_s + _HOST_S,
        per_kv_token_s=prior.per_kv_token_s,
        per_expert_s=prior.per_expert_s + _HOST_S if prior.per_expert_s > 0.0 else 0.0,
        source=prior.source,
    )


def _without_units(gpu: Gpu, precision: str) -> float:
    """FP4 on a GPU without units for it is weight-only: it computes in 16 bits, not in FP8 as the prior has it."""
    if precision == "fp4" and not gpu.fp4_flops:
        return gpu.peak_flops(precision) / gpu.bf16_flops
    return 1.0
