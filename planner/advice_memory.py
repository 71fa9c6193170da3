"""Whether a model fits: the least GPUs of a replica, a node that is too small, or the memory of an edge machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from models.engine import EngineLimits
from models.errors import InvalidInput
from planner.advice_subject import LEAST_SEQUENCE, Subject, in_words
from planner.architecture import WEIGHT_BYTES
from planner.hardware import GIB, Gpu, find_gpu, precision_of
from planner.memory_budget import MemoryBudget, memory_budget

_NARROWER = ("fp8", "fp4")
_SMALL = EngineLimits(max_num_seqs=8, max_num_batched_tokens=1024)
"""Limits for a machine of little memory: fewer sequences and smaller steps leave more of it for KV."""


def room(subject: Subject) -> Iterator[str]:
    """The least GPUs of a replica at the subject's precision; or that a node is too small, and at which it is not."""
    sheet, budget = find_gpu(subject.gpu or ""), subject.on_node()
    if sheet is None or budget is None:
        return
    at = f"at {subject.precision} ({subject.basis})"
    least = _least(subject, sheet, subject.quantization)
    if least is not None:
        yield f"{subject.model} needs at least {least} × {sheet.name} a replica {at}"
        return
    narrower = [(name, _least(subject, sheet, name)) for name in _narrower(subject, sheet)]
    fits = [f"at {name} it needs {count} of them" for name, count in narrower if count is not None]
    instead = "; ".join([*fits, "GPUs with more memory, or pipeline stages over several nodes (LeaderWorkerSet)"])
    yield (
        f"{subject.model} does not fit one node of {sheet.gpus_per_node} × {sheet.name} {at}, each: "
        f"{budget.arithmetic()}; {'' if fits else 'use '}{instead}"
    )


def _narrower(subject: Subject, sheet: Gpu) -> list[str]:
    own = WEIGHT_BYTES.get(precision_of(subject.quantization), 0.0)
    return [name for name in _NARROWER if WEIGHT_BYTES[name] < own and _has_units(sheet, name)]


def _has_units(sheet: Gpu, name: str) -> bool:
    return bool(sheet.fp4_flops if name == "fp4" else sheet.fp8_flops)


def _least(subject: Subject, sheet: Gpu, quantization: str) -> int | None:
    """The least GPUs of one node that hold a sequence; None where all do not."""
    counts = [count for count in (1, 2, 4, 8, 16, 32, 64) if count < sheet.gpus_per_node] + [sheet.gpus_per_node]
    budgets = ((count, subject.on_node(quantization, count)) for count in counts)
    return next((count for count, each in budgets if each is not None and each.kv_tokens >= LEAST_SEQUENCE), None)


def small_room(subject: Subject, memory_gib: float) -> Iterator[str]:
    """What fits a machine of little memory, by precision: as asked, or as published and narrower."""
    budgets = _small_budgets(subject, memory_gib)
    for name, budget in budgets:
        has_room = budget.kv_tokens >= LEAST_SEQUENCE
        verdict = f"{budget.kv_tokens:,} tokens of KV" if has_room else f"no room for {LEAST_SEQUENCE:,} tokens of KV"
        yield f"{subject.model} at {in_words(name)} in {memory_gib:g} GiB: {verdict} ({budget.arithmetic()})"
    if budgets and widest_that_fits(subject, memory_gib) is None:
        yield f"{subject.model} is too large for {memory_gib:g} GiB: choose a smaller model"


def widest_that_fits(subject: Subject, memory_gib: float) -> str | None:
    """The widest precision, in words, of those that are looked at; None where none has room."""
    fits = (name for name, each in _small_budgets(subject, memory_gib) if each.kv_tokens >= LEAST_SEQUENCE)
    return next(map(in_words, fits), None)


def _small_budgets(subject: Subject, memory_gib: float) -> list[tuple[str, MemoryBudget]]:
    """By quantisation, the widest first."""
    sheet = replace(_any_gpu(), name=f"{memory_gib:g} GiB", memory_bytes=memory_gib * GIB)
    budgets = [
        (name, memory_budget(sheet, subject.shape, precision=precision_of(name), limits=_SMALL))
        for name in _precisions(subject)
    ]
    return [(name, each) for name, each in budgets if each is not None]


def _precisions(subject: Subject) -> list[str]:
    own = subject.quantization
    if subject.asked:
        return [own]
    bytes_of = {name: WEIGHT_BYTES.get(precision_of(name), 0.0) for name in (own, "fp8", "awq")}
    return [own, *(name for name in ("fp8", "awq") if bytes_of[name] < bytes_of[own])]


def _any_gpu() -> Gpu:
    sheet = find_gpu("L4-24GB")
    if sheet is None:
        raise InvalidInput("the table of GPUs lacks the L4", remedy="install Replicast again")
    return sheet
