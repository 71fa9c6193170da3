"""What shipped profiles and data sheets say beside an advice: capacity by engine, and whether the model fits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from models.capacity import capacity
from models.engine import EngineLimits
from models.errors import InvalidInput
from models.token_lengths import TokenLengths
from planner.hardware import GIB, Gpu, find_gpu, find_model, named_quantization, precision_of
from planner.memory_budget import MemoryBudget, memory_budget
from planner.profile import EngineProfile, catalogue_names, load_profile

_PROMPT, _OUTPUT = 1024, 256
_LEAST_SEQUENCE = 4096
_SMALL = EngineLimits(max_num_seqs=8, max_num_batched_tokens=1024)
"""Limits for a machine of little memory: fewer sequences and smaller steps leave more of it for KV."""


def numbers(model: str, gpu: str | None, quantization: str | None, *, memory_gib: float | None = None) -> Iterator[str]:
    """Lines for people; none where nothing is known."""
    precision = quantization or named_quantization(model)
    if memory_gib is not None:
        yield from _small_room(model, memory_gib, precision if quantization else None)
        return
    yield from _room(model, gpu, precision)
    yield from map(_capacity, _best(model, gpu))
    yield from _gains(_best(model, gpu, by_size=True))


def exceeds_node(model: str, gpu: str | None, quantization: str | None) -> bool:
    """Whether data sheets say that the model does not fit one node of that GPU."""
    budget = _of_node(model, gpu, quantization or named_quantization(model))
    return budget is not None and budget.kv_tokens < _LEAST_SEQUENCE


def _of_node(model: str, gpu: str | None, quantization: str, count: int | None = None) -> MemoryBudget | None:
    """Memory of a replica on `count` GPUs, or on all of a node; None where a table lacks the GPU or the model."""
    sheet, shape = find_gpu(gpu or ""), find_model(model)
    if sheet is None or shape is None:
        return None
    gpus = count or sheet.gpus_per_node
    return memory_budget(sheet, shape, precision=precision_of(quantization), limits=EngineLimits(), gpus=gpus)


def _room(model: str, gpu: str | None, quantization: str) -> Iterator[str]:
    sheet, budget = find_gpu(gpu or ""), _of_node(model, gpu, quantization)
    if sheet is None or budget is None:
        return
    node = sheet.gpus_per_node
    if budget.kv_tokens < _LEAST_SEQUENCE:
        yield (
            f"{model} does not fit one node of {node} × {sheet.name}, each: {budget.arithmetic()}; use fewer bits "
            "(fp8), GPUs with more memory, or pipeline stages over several nodes (LeaderWorkerSet)"
        )
        return
    counts = [count for count in (1, 2, 4, 8, 16, 32, 64) if count < node] + [node]
    budgets = ((count, _of_node(model, gpu, quantization, count)) for count in counts)
    least = next(count for count, found in budgets if found is not None and found.kv_tokens >= _LEAST_SEQUENCE)
    yield f"{model} needs at least {least} × {sheet.name} a replica"


def _small_room(model: str, memory_gib: float, quantization: str | None) -> Iterator[str]:
    """What fits a machine of little memory, by precision."""
    shape = find_model(model)
    if shape is None:
        return
    sheet = replace(_any_gpu(), name=f"{memory_gib:g} GiB", memory_bytes=memory_gib * GIB)
    fits = False
    for name in [quantization] if quantization else ["none", "fp8", "awq"]:
        budget = memory_budget(sheet, shape, precision=precision_of(name), limits=_SMALL)
        if budget is None:
            continue
        words = "16 bits" if name == "none" else name
        room = budget.kv_tokens >= _LEAST_SEQUENCE
        fits = fits or room
        verdict = f"{budget.kv_tokens:,} tokens of KV" if room else f"no room for {_LEAST_SEQUENCE:,} tokens of KV"
        yield f"{model} at {words} in {memory_gib:g} GiB: {verdict} ({budget.arithmetic()})"
    if not fits:
        yield f"{model} is too large for {memory_gib:g} GiB: choose a smaller model"


def _any_gpu() -> Gpu:
    sheet = find_gpu("L4-24GB")
    if sheet is None:
        raise InvalidInput("the table of GPUs lacks the L4", remedy="install Replicast again")
    return sheet


@dataclass(frozen=True, kw_only=True)
class _Best:
    """The profile of the highest capacity of a GPU, a precision and an engine."""

    gpu: str
    quantization: str
    engine: str
    rate_per_gpu: float
    profile: EngineProfile

    @property
    def precision(self) -> str:
        return "16 bits" if self.quantization == "none" else self.quantization


def _best(model: str, gpu: str | None, *, by_size: bool = False) -> list[_Best]:
    """By requests per second and GPU of 1,024 prompt and 256 output tokens, in the order of their names.

    `by_size` tells replicas of different numbers of GPUs apart.
    """
    shape = find_model(model)
    best: dict[tuple[str, str, int, str], _Best] = {}
    for profile in map(load_profile, catalogue_names()):
        spec = profile.spec
        if shape is None or find_model(spec.model) != shape or (gpu and gpu.lower() != spec.gpu.type.lower()):
            continue
        rate = capacity(profile.to_engine(), TokenLengths.of(_PROMPT, _OUTPUT), 0.0).requests_per_s
        key = spec.gpu.type, spec.quantization, spec.gpu.per_replica if by_size else 0, spec.engine
        per_gpu = rate / spec.gpu.per_replica
        if key not in best or per_gpu > best[key].rate_per_gpu:
            best[key] = _Best(gpu=key[0], quantization=key[1], engine=key[3], rate_per_gpu=per_gpu, profile=profile)
    return [best[key] for key in sorted(best)]


def _capacity(best: _Best) -> str:
    return (
        f"measured: {best.rate_per_gpu:.3g} requests/s and GPU at capacity on {best.gpu} at {best.precision} with "
        f"{best.engine} ({_PROMPT:,} + {_OUTPUT} tokens, profile {best.profile.name})"
    )


def measured_gain(model: str, gpu: str | None) -> float | None:
    """What TensorRT-LLM carries more than vLLM at best, as a share, where both were measured alike; else None."""
    return max((gain for gain, _, _ in _measured_gains(_best(model, gpu, by_size=True))), default=None)


def _measured_gains(best: list[_Best]) -> Iterator[tuple[float, _Best, _Best]]:
    """Of each GPU type, precision and size of replica with both engines: the gain, vLLM, TensorRT-LLM."""

    def kind(each: _Best) -> tuple[str, str, int]:
        return each.gpu, each.quantization, each.profile.spec.gpu.per_replica

    compiled = {kind(each): each for each in best if each.engine == "triton-trtllm"}
    for each in best:
        other = compiled.get(kind(each))
        if each.engine == "vllm" and other is not None:
            yield other.rate_per_gpu / each.rate_per_gpu - 1.0, each, other


def _gains(best: list[_Best]) -> Iterator[str]:
    for gain, vllm, compiled in _measured_gains(best):
        size = vllm.profile.spec.gpu.per_replica
        yield (
            f"TensorRT-LLM carries {abs(gain):.0%} {'more' if gain >= 0.0 else 'less'} than vLLM on {vllm.gpu} at "
            f"{vllm.precision}, {size} GPU{'' if size == 1 else 's'} a replica; `planner compare --profile "
            f"{vllm.profile.name} --profile {compiled.profile.name}` says from which load building engines pays"
        )
