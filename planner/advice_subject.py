"""What an advice is asked about: a model, a GPU type and a precision that are known, or an error with near names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from models.engine import EngineLimits
from models.errors import InvalidInput
from planner.architecture import WEIGHT_BYTES, ModelShape
from planner.hardware import find_gpu, find_model, gpus, models, named_quantization, precision_of
from planner.memory_budget import MemoryBudget, memory_budget
from planner.profile import EngineProfile, catalogue_names, load_profile

LEAST_SEQUENCE = 4096
"""Tokens of KV that a replica must hold."""
_MOST_NAMES = 3
_QUANTIZATIONS = ("none", "fp8", "int8", "awq", "gptq", "gguf", "fp4", "int4")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A language model on a GPU type (None: not said) at a quantisation, and how that one is known."""

    model: str
    shape: ModelShape
    gpu: str | None
    quantization: str
    basis: str
    """`as asked`, `by its name`, `as the shipped profiles have it`, or that it is assumed."""
    asked: bool
    """Whether the user named the quantisation."""

    @property
    def precision(self) -> str:
        """In words: `16 bits`, `fp8`."""
        return in_words(self.quantization)

    def on_node(self, quantization: str | None = None, count: int | None = None) -> MemoryBudget | None:
        """Memory of a replica on `count` GPUs, or on all of a node; None where a table lacks what it takes."""
        return _on_node(self.shape, self.gpu, quantization or self.quantization, count)

    @property
    def exceeds_node(self) -> bool:
        """Whether data sheets say that the model does not fit one node of that GPU."""
        budget = self.on_node()
        return budget is not None and budget.kv_tokens < LEAST_SEQUENCE


def in_words(quantization: str) -> str:
    """`16 bits` for what is not quantised."""
    return "16 bits" if precision_of(quantization) in ("bf16", "fp16") else quantization


def subject(model: str, gpu: str | None, quantization: str | None) -> Subject:
    """What the options name. Raises InvalidInput for a model, GPU or quantisation that is not known."""
    shape = find_model(model)
    if shape is None:
        names = [shape.name.rpartition("/")[2] for shape in models().values()]
        raise InvalidInput(
            f"--model {model[:100]!r} is not known: no shipped profile and no published shape of it",
            remedy=f"{_nearest(model.rpartition('/')[2], names)}the rules alone need no --model",
        )
    if quantization is not None and (not quantization.strip() or precision_of(quantization) not in WEIGHT_BYTES):
        raise InvalidInput(
            f"--quantization {quantization[:40]!r} is not a quantisation that is known",
            remedy=f"use one of {', '.join(_QUANTIZATIONS)}",
        )
    known = None if gpu is None else _gpu_type(gpu)
    name, basis = (quantization.strip(), "as asked") if quantization else _published(model, shape, known)
    return Subject(
        model=model, shape=shape, gpu=known, quantization=name, basis=basis, asked=quantization is not None
    )  # fmt: skip


def _gpu_type(name: str) -> str:
    sheet = find_gpu(name)
    if sheet is None:
        raise InvalidInput(
            f"--gpu {name[:60]!r}: no data sheet of that GPU",
            remedy=f"{_nearest(name, gpus())}known: {', '.join(sorted(gpus()))}",
        )
    return sheet.name


def _nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean …? `, by how names begin before how they are spelt; nothing where none is near."""
    wanted, by_lower = name.strip().lower(), {each.lower(): each for each in known}
    begins = sorted(each for each in by_lower if wanted and each.startswith(wanted))
    close = begins[:_MOST_NAMES] or difflib.get_close_matches(wanted, by_lower, n=1, cutoff=0.5)
    return f"did you mean {' or '.join(by_lower[each] for each in close)}? " if close else ""


def _published(model: str, shape: ModelShape, gpu: str | None) -> tuple[str, str]:
    """The quantisation of the published checkpoint, as far as it is known, and how.

    By the model's name; by the shipped profiles under that name, where all of them are of one; else 16 bits, unless
    that fits no node of the GPU and profiles have it narrower. (The table's `dtype` is no help: it is bfloat16 of
    checkpoints in FP8 too.)
    """
    named = named_quantization(model)
    if named != "none":
        return named, "by its name"
    own = [each for each in profiles_of(shape) if named_quantization(each.spec.model) == "none"]
    kinds = {precision_of(each.spec.quantization): each.spec.quantization for each in own}
    if len(kinds) == 1 and "bf16" not in kinds:
        return next(iter(kinds.values())), "as every shipped profile of it"
    budget = _on_node(shape, gpu, "none")
    if kinds and "bf16" not in kinds and budget is not None and budget.kv_tokens < LEAST_SEQUENCE:
        here = {precision_of(each.spec.quantization) for each in own if each.spec.gpu.type == gpu} or set(kinds)
        widest = max(sorted(here), key=lambda kind: WEIGHT_BYTES.get(kind, 0.0))
        return kinds[widest], "as shipped profiles of it; 16 bits fit no node"
    return "none", "assumed; --quantization says otherwise"


def _on_node(shape: ModelShape, gpu: str | None, quantization: str, count: int | None = None) -> MemoryBudget | None:
    sheet = find_gpu(gpu or "")
    if sheet is None:
        return None
    on = count or sheet.gpus_per_node
    return memory_budget(sheet, shape, precision=precision_of(quantization), limits=EngineLimits(), gpus=on)


@cache
def _shipped() -> tuple[EngineProfile, ...]:
    return tuple(map(load_profile, catalogue_names()))


def profiles_of(shape: ModelShape) -> list[EngineProfile]:
    """Shipped profiles of a model; one that is published under several names has those of all."""
    return [profile for profile in _shipped() if _same_model(find_model(profile.spec.model), shape)]


def _same_model(one: ModelShape | None, other: ModelShape) -> bool:
    return one is not None and _bare(one.name) == _bare(other.name)


def _bare(name: str) -> str:
    """A published name without publisher and precision."""
    last = name.lower().rpartition("/")[2].removeprefix("meta-")
    for suffix in ("-fp8", "-nvfp4", "-instruct"):
        last = last.removesuffix(suffix)
    return last
