"""How the terms of a step time change with weights, GPU and tensor parallelism, as data sheets and counts say."""

from __future__ import annotations

from dataclasses import dataclass

from planner.architecture import ModelShape
from planner.hardware import Gpu, step_prior

Place = tuple[Gpu, str, int]
"""A GPU, the precision of the weights, and GPUs that share each layer."""

ALL_REDUCE_S = 1.0e-5
"""Assumed latency of one all-reduce within a node, while decoding."""
LINK_EFFICIENCY = 0.5
"""Assumed share of the data sheet's link bandwidth that a large all-reduce reaches."""


@dataclass(frozen=True, kw_only=True)
class TermRatios:
    """What each term of the base is multiplied by; and what is added, seconds (negative where less is exchanged)."""

    base: float
    prefill: float
    decode: float
    kv: float
    expert: float
    added_base_s: float = 0.0
    added_token_s: float = 0.0


def term_ratios(shape: ModelShape, before: Place, after: Place) -> TermRatios | None:
    """Ratios of the priors of two places; None where the shape does not say enough.

    Weight-only quantisation (AWQ, GPTQ, GGUF: `int4` here) moves fewer bytes but computes in 16 bits after
    dequantising, so that `base` falls and `prefill` does not: MARLIN reaches nearly the ratio of the bytes for small
    batches and nothing beyond where compute binds (Frantar et al. 2024, arXiv 2408.11743, §5). Launches do not scale.
    """
    priors = [step_prior(gpu, shape, precision=bits, gpus_per_replica=size) for gpu, bits, size in (before, after)]
    if priors[0] is None or priors[1] is None:
        return None
    old, new = priors[0], priors[1]
    return TermRatios(
        base=new.base_s / old.base_s,
        prefill=new.per_prefill_token_s / old.per_prefill_token_s,
        decode=new.per_decode_s / old.per_decode_s,
        kv=new.per_kv_token_s / old.per_kv_token_s,
        expert=new.per_expert_s / old.per_expert_s if old.per_expert_s > 0.0 else 1.0,
    )
