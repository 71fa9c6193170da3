"""What shipped profiles and data sheets say beside an advice: capacity by engine, and whether the model fits a node."""

from __future__ import annotations

from collections.abc import Iterator

from models.capacity import capacity
from models.engine import EngineLimits
from models.token_lengths import TokenLengths
from planner.hardware import find_gpu, find_model, named_quantization, precision_of
from planner.memory_budget import memory_budget
from planner.profile import EngineProfile, catalogue_names, load_profile

_PROMPT, _OUTPUT = 1024, 256
_LEAST_SEQUENCE = 4096


def numbers(model: str, gpu: str | None, quantization: str | None) -> Iterator[str]:
    """Lines for people; none where nothing is known."""
    precision = quantization or named_quantization(model)
    yield from _room(model, gpu, precision)
    yield from _capacities(model, gpu)


def _room(model: str, gpu: str | None, quantization: str) -> Iterator[str]:
    sheet, shape = find_gpu(gpu or ""), find_model(model)
    if sheet is None or shape is None:
        return
    node = sheet.gpus_per_node
    budget = memory_budget(sheet, shape, precision=precision_of(quantization), limits=EngineLimits(), gpus=node)
    if budget is None:
        return
    if budget.kv_tokens < _LEAST_SEQUENCE:
        yield (
            f"{model} does not fit one node of {node} × {sheet.name}, each: {budget.arithmetic()}; use fewer bits "
            "(fp8), GPUs with more memory, or pipeline stages over several nodes (LeaderWorkerSet)"
        )
        return
    counts = [count for count in (1, 2, 4, 8, 16, 32, 64) if count < node] + [node]
    budgets = (
        (count, memory_budget(sheet, shape, precision=precision_of(quantization), limits=EngineLimits(), gpus=count))
        for count in counts
    )
    least = next(count for count, found in budgets if found is not None and found.kv_tokens >= _LEAST_SEQUENCE)
    yield f"{model} needs at least {least} × {sheet.name} a replica"


def _capacities(model: str, gpu: str | None) -> Iterator[str]:
    """Requests per second and GPU of 1,024 prompt and 256 output tokens, best of each GPU, precision and engine."""
    shape = find_model(model)
    best: dict[tuple[str, str, str], tuple[float, EngineProfile]] = {}
    for profile in map(load_profile, catalogue_names()):
        spec = profile.spec
        if shape is None or find_model(spec.model) != shape or (gpu and gpu.lower() != spec.gpu.type.lower()):
            continue
        rate = capacity(profile.to_engine(), TokenLengths.of(_PROMPT, _OUTPUT), 0.0).requests_per_s
        key = spec.gpu.type, spec.quantization, spec.engine
        if key not in best or rate / spec.gpu.per_replica > best[key][0]:
            best[key] = rate / spec.gpu.per_replica, profile
    for (kind, bits, engine), (rate, profile) in sorted(best.items(), key=lambda entry: entry[0]):
        precision = "16 bits" if bits == "none" else bits
        yield (
            f"measured: {rate:.3g} requests/s and GPU at capacity on {kind} at {precision} with {engine} "
            f"({_PROMPT:,} + {_OUTPUT} tokens, profile {profile.name})"
        )
