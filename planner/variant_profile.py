"""The profile of a variant that was not measured, derived from its base: scaled terms, and what KV memory is left."""

from __future__ import annotations

from dataclasses import dataclass, replace

from models.errors import InvalidInput
from models.step_terms import terms_of
from models.step_time import ExpertsStepTime, LinearStepTime, RooflineStepTime, SqrtStepTime, StepTime
from planner.architecture import ModelShape
from planner.hardware import Gpu, find_gpu, find_model, precision_of
from planner.memory_budget import memory_budget, ways_to_fit
from planner.profile import EngineProfile, StepTimeTerms
from planner.variant_physics import Constants, TermRatios, term_ratios

_LEAST_SEQUENCE = 4096
"""Tokens of KV that a replica must hold to be of use, where no workload is given."""


@dataclass(frozen=True, kw_only=True, order=True)
class Target:
    """What a variant is to be."""

    quantization: str
    tensor_parallel: int
    gpu: str


def target_of(profile: EngineProfile) -> Target:
    """What a profile is, in the terms of a target."""
    spec = profile.spec
    return Target(
        quantization=spec.quantization.lower() or "none",
        tensor_parallel=spec.gpu.tensor_parallel,
        gpu=spec.gpu.type,
    )


def derive(
    base: EngineProfile,
    target: Target,
    *,
    name: str,
    least_tokens: int = _LEAST_SEQUENCE,
    constants: Constants | None = None,
) -> EngineProfile:
    """The base's profile as the target. Raises InvalidInput where the tables lack it or it does not fit, with why."""
    shape = find_model(base.spec.model)
    before, after = find_gpu(base.spec.gpu.type), find_gpu(target.gpu)
    if shape is None:
        raise InvalidInput(f"the shape of {base.spec.model} is not known", remedy="measure it, and give the profile")
    if before is None or after is None:
        unknown = base.spec.gpu.type if before is None else target.gpu
        raise InvalidInput(f"there is no data sheet of {unknown}", remedy="measure it, and give the profile")
    if base.spec.gpu.pipeline_parallel > 1:
        raise InvalidInput(f"{base.name} has pipeline stages", remedy="variants are derived of one stage alone")
    if shape.heads % target.tensor_parallel:
        raise InvalidInput(
            f"the {shape.heads} attention heads cannot be shared by {target.tensor_parallel} GPUs",
            remedy="use a size that divides them",
        )
    kv_tokens = _kv_tokens(base, shape, before, target, after, least_tokens)
    ratios = term_ratios(
        shape,
        (before, precision_of(base.spec.quantization), base.spec.gpu.tensor_parallel),
        (after, precision_of(target.quantization), target.tensor_parallel),
        constants=constants,
    )
    if ratios is None:
        raise InvalidInput(
            f"the shape of {shape.name} does not say what a step of {target.quantization} takes",
            remedy="measure it, and give the profile",
        )
    return _profile(base, target, name, scaled(base.fitted.step_time, ratios), kv_tokens, after)


def _kv_tokens(
    base: EngineProfile, shape: ModelShape, before: Gpu, target: Target, after: Gpu, least_tokens: int
) -> int:
    """KV of the target: its memory budget, corrected by how the base's own compares with what its profile says."""
    limits = base.spec.limits.to_limits()
    own = memory_budget(
        before, shape, precision=precision_of(base.spec.quantization), limits=limits,
        gpus=base.spec.gpu.tensor_parallel,
    )  # fmt: skip
    precision = precision_of(target.quantization)
    budget = memory_budget(after, shape, precision=precision, limits=limits, gpus=target.tensor_parallel)
    if budget is None or own is None:
        raise InvalidInput(
            f"the shape of {shape.name} does not say how much memory it takes at {target.quantization}",
            remedy="measure it, and give the profile",
        )
    known = base.spec.limits.kv_cache_tokens
    correction = 1.0 if known is None or own.kv_tokens == 0 else min(max(known / own.kv_tokens, 0.25), 4.0)
    tokens = int(budget.kv_tokens * correction)
    if tokens < least_tokens:
        fits = ways_to_fit(
            after, shape, precision=precision, limits=limits, gpus=target.tensor_parallel, sequence_tokens=least_tokens
        )
        ways = " or ".join(f"{fit.gpus} × {after.name} at {fit.precision}" for fit in fits)
        raise InvalidInput(
            f"it does not fit {target.tensor_parallel} × {after.name}, each: {budget.arithmetic()}, and a request "
            f"needs {least_tokens:,} tokens",
            remedy=f"it would fit {ways}" if ways else "use GPUs with more memory, or fewer bits",
        )
    return tokens


def scaled(step_time: StepTime, ratios: TermRatios) -> StepTime:
    """A step time whose terms are multiplied by the ratios."""
    if isinstance(step_time, LinearStepTime):
        return LinearStepTime(
            base_s=step_time.base_s * ratios.base,
            per_prefill_token_s=step_time.per_prefill_token_s * ratios.prefill,
            per_decode_s=step_time.per_decode_s * ratios.decode,
            per_kv_token_s=step_time.per_kv_token_s * ratios.kv,
        )
    if isinstance(step_time, SqrtStepTime):
        # The concave part stands for weights and graphs that ever larger batches touch.
        return SqrtStepTime(
            linear=_linear(step_time.linear, ratios), per_sqrt_decode_s=step_time.per_sqrt_decode_s * ratios.base
        )
    if isinstance(step_time, ExpertsStepTime):
        return replace(
            step_time,
            linear=_linear(step_time.linear, ratios),
            per_expert_s=step_time.per_expert_s * ratios.expert,
        )
    if isinstance(step_time, RooflineStepTime):
        return replace(
            step_time,
            weights_s=step_time.weights_s * ratios.base,
            per_kv_token_s=step_time.per_kv_token_s * ratios.kv,
            per_token_compute_s=step_time.per_token_compute_s * ratios.prefill,
        )
    raise InvalidInput(f"no variant of a {type(step_time).__name__}", remedy="measure it, and give the profile")


def _linear(linear: LinearStepTime, ratios: TermRatios) -> LinearStepTime:
    found = scaled(linear, ratios)
    assert isinstance(found, LinearStepTime)
    return found


def _profile(
    base: EngineProfile, target: Target, name: str, step_time: StepTime, kv_tokens: int, gpu: Gpu
) -> EngineProfile:
    spec = base.spec
    nodes = -(-target.tensor_parallel // gpu.gpus_per_node)
    changed = spec.model_copy(
        update={
            "quantization": target.quantization,
            "gpu": spec.gpu.model_copy(
                update={
                    "type": gpu.name,
                    "per_replica": target.tensor_parallel,
                    "tensor_parallel": target.tensor_parallel,
                    "nodes_per_replica": nodes,
                }
            ),
            "limits": spec.limits.model_copy(update={"kv_cache_tokens": kv_tokens}),
        }
    )
    return with_step_time(base.model_copy(update={"spec": changed}), step_time, name=name)


def with_step_time(profile: EngineProfile, step_time: StepTime, *, name: str) -> EngineProfile:
    """The profile under another name with another step time, and without what was measured of its own."""
    spec = profile.spec.model_copy(
        update={
            "step_time": _written(step_time),
            "step_time_uncertainty": None,
            "measurements": (),
            "provenance": (),
            "cold_start": None,
        }
    )
    # Made anew, not copied: a profile keeps what it once computed of its terms.
    return EngineProfile.model_construct(
        api_version=profile.api_version,
        kind=profile.kind,
        metadata=profile.metadata.model_copy(update={"name": name}),
        spec=spec,
    )


def _written(step_time: StepTime) -> StepTimeTerms:
    if isinstance(step_time, RooflineStepTime):
        return StepTimeTerms.model_construct(
            base=step_time.overhead_s, per_kv_token=step_time.per_kv_token_s, weights=step_time.weights_s,
            per_token_compute=step_time.per_token_compute_s, graph_sizes=step_time.graph_sizes,
        )  # fmt: skip
    terms = terms_of(step_time)
    experts = step_time if isinstance(step_time, ExpertsStepTime) else None
    return StepTimeTerms.model_construct(
        base=terms["base_s"],
        per_prefill_token=terms["per_prefill_token_s"],
        per_decode_sequence=terms["per_decode_s"],
        per_kv_token=terms["per_kv_token_s"],
        per_sqrt_decode=terms.get("per_sqrt_decode_s"),
        experts=None if experts is None else experts.experts,
        experts_per_token=None if experts is None else experts.experts_per_token,
        per_expert=terms.get("per_expert_s"),
    )
