"""Variants of a profile: another quantisation, tensor-parallel size or GPU type; measured where the catalogue has it.

What is not measured is derived by physics and labelled ESTIMATED: each term of the base's step time is scaled by the
ratio of what data sheets say of the variant and of the base (`planner.variant_physics`), KV memory by the ratio of
the memory budgets (`planner.memory_budget`). How far that is off is measured: `planner.variant_error`.
The loss of quality by quantisation is not modelled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from models.errors import InvalidInput
from planner.hardware import find_gpu, find_model, gpus, precision_of
from planner.profile import EngineProfile, catalogue_names, load_profile
from planner.variant_error import error_of
from planner.variant_profile import Target, derive, target_of

DIMENSIONS = ("quantization", "tp", "gpu")
QUANTIZATIONS = ("none", "fp8", "int8", "awq", "gptq", "gguf", "fp4")
MOST_VARIANTS = 64


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
    basis = f"ESTIMATED from {base.name} by data sheets, steps ± {error:.0%} ({told}{_unlike(own, target)})"
    return Variant(name=name, target=target, profile=profile, estimated=True, error=error, basis=basis)


def _unlike(own: Target, target: Target) -> str:
    """A word of caution where the measured pairs are of another kind: all of them are of FP8 against FP4."""
    one, other = precision_of(own.quantization), precision_of(target.quantization)
    like = one == other or {one, other} <= {"fp8", "fp4"}
    return "" if like else f"; those are of fp8 and fp4, no pair of {one} and {other} was measured"


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
