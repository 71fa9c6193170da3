"""Variants of a profile: another quantisation, tensor-parallel size or GPU type; measured where the catalogue has it.

What is not measured is derived by physics and labelled ESTIMATED: each term of the base's step time is scaled by the
ratio of what data sheets say of the variant and of the base (`planner.variant_physics`), KV memory by the ratio of
the memory budgets (`planner.memory_budget`). How far that is off is measured: `planner.variant_error`.
The loss of quality by quantisation is not modelled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from models.errors import InvalidInput
from models.step_terms import terms_of
from models.step_time import ExpertsStepTime, LinearStepTime, RooflineStepTime, SqrtStepTime, StepTime
from planner.architecture import ModelShape
from planner.hardware import Gpu, find_gpu, find_model, gpus, precision_of
from planner.memory_budget import memory_budget, ways_to_fit
from planner.profile import EngineProfile, StepTimeTerms, catalogue_names, load_profile
from planner.variant_error import error_of
from planner.variant_physics import Constants, TermRatios, term_ratios

DIMENSIONS = ("quantization", "tp", "gpu")
QUANTIZATIONS = ("none", "fp8", "int8", "awq", "gptq", "gguf", "fp4")
MOST_VARIANTS = 64
_LEAST_SEQUENCE = 4096
"""Tokens of KV that a replica must hold to be of use, where no workload is given."""


@dataclass(frozen=True, kw_only=True, order=True)
class Target:
    """What a variant is to be."""

    quantization: str
    tensor_parallel: int
    gpu: str


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A variant of a base profile: a profile, measured or estimated; or why there is none."""

    name: str
    target: Target
    profile: EngineProfile | None
    estimated: bool
    error: float = 0.0
    """Of an estimated one: relative error of the step time that nine in ten measured pairs stay within."""
    basis: str = ""
    """Where the step time comes from, in words."""
    reason: str = ""
    remedy: str = ""


def parse_variants(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """`quantization=fp8,awq`, `tp=1,2`, `gpu=H200-SXM5-141GB`: values by dimension. Raises InvalidInput."""
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, _, values = text.partition("=")
        key = {"quantisation": "quantization"}.get(name.strip().lower(), name.strip().lower())
        if key not in DIMENSIONS:
            raise InvalidInput(
                f"--variants {text[:60]!r}: unknown dimension {name.strip()[:40]!r}",
                remedy="write quantization=fp8,awq or tp=1,2,4 or gpu=H200-SXM5-141GB",
            )
        if key in found:
            raise InvalidInput(f"--variants names {key} twice", remedy=f"write {key}=one,another")
        asked = [value.strip() for value in values.split(",")]
        found[key] = tuple(dict.fromkeys(_checked(key, value) for value in asked))
    return found


def _checked(key: str, value: str) -> str:
    if key == "tp":
        if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= 1024:
            raise InvalidInput(f"--variants tp={value[:40]}: not a tensor-parallel size", remedy="write tp=1,2,4,8")
        return str(int(value))
    if key == "gpu":
        sheet = find_gpu(value)
        if sheet is None:
            raise InvalidInput(
                f"--variants gpu={value[:40]}: no data sheet of that GPU", remedy=f"known: {', '.join(sorted(gpus()))}"
            )
        return sheet.name
    if value.lower() not in QUANTIZATIONS:
        raise InvalidInput(
            f"--variants quantization={value[:40]}: not a quantisation that is modelled",
            remedy=f"use one of {', '.join(QUANTIZATIONS)}",
        )
    return value.lower()


def variants_of(base: EngineProfile, asked: dict[str, tuple[str, ...]], *, least_tokens: int) -> list[Variant]:
    """Every combination of the asked values, without the base itself; `least_tokens` of KV must fit."""
    if not asked:
        return []
    if base.spec.engine == "triton":
        raise InvalidInput(
            f"--variants: profile {base.name} is of a dynamic batcher, of which nothing can be derived",
            remedy="measure each variant, and give the profiles",
        )
    own = target_of(base)
    targets = [
        Target(quantization=quantization, tensor_parallel=int(size), gpu=gpu)
        for quantization, size, gpu in product(
            asked.get("quantization", (own.quantization,)),
            asked.get("tp", (str(own.tensor_parallel),)),
            asked.get("gpu", (own.gpu,)),
        )
    ]
    if len(targets) > MOST_VARIANTS:
        raise InvalidInput(
            f"--variants makes {len(targets)} of {base.name}", remedy=f"ask for at most {MOST_VARIANTS} at a time"
        )
    return [_variant(base, own, target, least_tokens) for target in targets if not _alike(own, target)]


def target_of(profile: EngineProfile) -> Target:
    """What a profile is, in the terms of a target."""
    spec = profile.spec
    return Target(
        quantization=spec.quantization.lower() or "none",
        tensor_parallel=spec.gpu.tensor_parallel,
        gpu=spec.gpu.type,
    )


def _alike(one: Target, other: Target) -> bool:
    return (
        precision_of(one.quantization) == precision_of(other.quantization)
        and one.tensor_parallel == other.tensor_parallel
        and one.gpu.lower() == other.gpu.lower()
    )


def _variant(base: EngineProfile, own: Target, target: Target, least_tokens: int) -> Variant:
    measured = measured_like(base, target)
    if measured is not None:
        basis = f"measured: profile {measured.name}"
        return Variant(name=measured.name, target=target, profile=measured, estimated=False, basis=basis)
    changes = _changes(own, target)
    name = f"{base.name}~{','.join(changes.values())}"
    try:
        profile = derive(base, target, name=name, least_tokens=least_tokens)
    except InvalidInput as wrong:
        return Variant(name=name, target=target, profile=None, estimated=True, reason=str(wrong), remedy=wrong.remedy)
    error, told = error_of(tuple(changes))
    basis = f"ESTIMATED from {base.name} by data sheets, steps ± {error:.0%} ({told})"
    return Variant(name=name, target=target, profile=profile, estimated=True, error=error, basis=basis)


def _changes(own: Target, target: Target) -> dict[str, str]:
    """What differs, by dimension, in short words for a name."""
    changes = {}
    if precision_of(own.quantization) != precision_of(target.quantization):
        changes["quantization"] = target.quantization if target.quantization != "none" else "16bit"
    if own.tensor_parallel != target.tensor_parallel:
        changes["tp"] = f"tp{target.tensor_parallel}"
    if own.gpu.lower() != target.gpu.lower():
        changes["gpu"] = target.gpu.rpartition("-")[0] or target.gpu
    return changes


def measured_like(base: EngineProfile, target: Target) -> EngineProfile | None:
    """The shipped profile of the base's model and engine that is measured as the target; that of the most points."""
    found = [profile for profile in _shipped_of(base) if _alike(target_of(profile), target)]
    return max(found, key=lambda profile: (len(profile.measurements), profile.name), default=None)


def _shipped_of(base: EngineProfile) -> Iterator[EngineProfile]:
    shape = find_model(base.spec.model)
    for name in catalogue_names():
        if "-ep" in name:
            continue
        profile = load_profile(name)
        spec = profile.spec
        same_model = spec.model == base.spec.model or (shape is not None and find_model(spec.model) == shape)
        if same_model and spec.engine == base.spec.engine and spec.gpu.pipeline_parallel == 1:
            yield profile


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
