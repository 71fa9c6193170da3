"""What memory holds: whether the model fits at all, and whether the KV memory that is stated can be there.

The arithmetic is `planner.memory_budget`; what the engine itself reports of its KV memory stands against it.
"""

from __future__ import annotations

from collections.abc import Iterator

from models.measurement import Measurement
from planner.checks.finding import Finding, Severity, Subject
from planner.hardware import MEMORY_SHARE, Gpu
from planner.memory_budget import MemoryBudget, memory_budget, ways_to_fit

LEAST_SEQUENCE = 512
"""Tokens of KV that a replica without measurements must hold at least."""
_SIXTEEN_BITS = ("bf16", "fp16")
"""Beside weights of fewer bits, KV of 8 bits is usual and no reason to doubt."""
MUCH_LESS = 0.4
"""An engine that reports less than this share of the estimate was given less memory than by default, or shares it."""


def findings(subject: Subject) -> Iterator[Finding]:
    """Of the model on its GPUs, then of each measurement."""
    # An engine that was measured did start, maybe with more memory than by default.
    budget = _budget(subject, share=1.0 if subject.measurements else MEMORY_SHARE)
    if budget is not None:
        sequence = _longest(subject)
        if budget.kv_tokens < sequence:
            yield _does_not_fit(subject, budget, sequence)
        else:
            yield from _reported(subject)
    for index, point in enumerate(subject.measurements):
        yield from _held(subject.where(index), point, subject)


def _budget(subject: Subject, *, share: float) -> MemoryBudget | None:
    if subject.gpu is None or subject.shape is None:
        return None
    return memory_budget(
        subject.gpu,
        subject.shape,
        precision=subject.precision,
        limits=subject.limits,
        gpus=subject.gpus,
        pipeline_parallel=max(1, subject.gpus // max(1, subject.tensor_parallel)),
        share=share,
    )


def _longest(subject: Subject) -> int:
    lengths = [point.prompt_tokens + point.output_tokens for point in subject.measurements]
    return int(max(lengths, default=LEAST_SEQUENCE))


def _does_not_fit(subject: Subject, budget: MemoryBudget, sequence: int) -> Finding:
    gpu, shape = subject.gpu, subject.shape
    assert gpu is not None
    assert shape is not None
    weights, memory = budget.weights * subject.gpus, gpu.memory_bytes * subject.gpus
    if weights > memory:
        what = (
            f"{shape.name} at {subject.precision} weighs {weights / 1e9:,.0f} GB; "
            f"{subject.gpus} × {gpu.name} hold {memory / 1e9:,.0f} GB"
        )
        code, severity = "weights-do-not-fit", Severity.CONTRADICTION
    else:
        what = (
            f"{shape.name} at {subject.precision} on {subject.gpus} × {gpu.name}, each: {budget.arithmetic()}, "
            f"{budget.kv_tokens:,} tokens where one sequence needs {sequence:,}"
        )
        # The reserve is estimated; weights alone that do not fit into what the engine takes are certain.
        certain = budget.weights > budget.usable
        code, severity = "no-room-for-kv", Severity.CONTRADICTION if certain else Severity.WARNING
    return Finding(
        severity=severity,
        code=code,
        where="gpu",
        what=what,
        meaning="a replica of this size cannot start" if severity is Severity.CONTRADICTION else "it hardly can start",
        remedy=_ways(subject, gpu, sequence),
    )


def _ways(subject: Subject, gpu: Gpu, sequence: int) -> str:
    assert subject.shape is not None
    ways = ways_to_fit(
        gpu,
        subject.shape,
        precision=subject.precision,
        limits=subject.limits,
        gpus=subject.gpus,
        sequence_tokens=sequence,
    )
    said = []
    for way in ways:
        nodes = -(-way.gpus // gpu.gpus_per_node)
        where = f" on {nodes} nodes" if nodes > 1 else ""
        said.append(f"{way.gpus} GPUs{where} at {way.precision} would leave {way.kv_tokens:,} tokens of KV")
    return "correct gpu.perReplica or quantization" + (f": {'; '.join(said)}" if said else "")


def _reported(subject: Subject) -> Iterator[Finding]:
    """The KV capacity that the engine reports against what memory can hold."""
    reported = subject.limits.kv_cache_tokens
    if reported is None:
        return
    whole, budget = _budget(subject, share=1.0), _budget(subject, share=MEMORY_SHARE)
    assert whole is not None
    assert budget is not None
    most = int((whole.usable - whole.weights) * whole.stages / whole.kv_per_token)
    if reported > 2 * most:
        yield Finding(
            severity=Severity.CONTRADICTION,
            code="kv-beyond-memory",
            where="limits.kvCacheTokens",
            what=f"{reported:,} tokens; all memory beside the weights holds {most:,}, and twice that with 8-bit KV",
            meaning="plans would run more sequences at once than can be held, and see no waiting where there is some",
            remedy="take kvCacheTokens from the engine's start-up log; check gpu, quantization and parallelism",
        )
    elif reported > most and subject.precision in _SIXTEEN_BITS:
        yield Finding(
            severity=Severity.WARNING,
            code="kv-beyond-memory",
            where="limits.kvCacheTokens",
            what=(
                f"{reported:,} tokens; all memory beside the weights holds {most:,} with 16-bit KV, "
                f"{2 * most:,} with 8-bit"
            ),
            meaning="with 16-bit KV plans would run more sequences at once than can be held",
            remedy="check that the engine keeps KV in 8 bits; take kvCacheTokens from its start-up log",
        )
    elif reported < MUCH_LESS * budget.kv_tokens:
        yield Finding(
            severity=Severity.NOTE,
            code="kv-below-memory",
            where="limits.kvCacheTokens",
            what=f"{reported:,} tokens, where {budget.kv_tokens:,} would fit (each GPU: {budget.arithmetic()})",
            meaning="sequences wait for memory that is there: the engine was given less, or shares the GPU",
            remedy="see gpu_memory_utilization or kv_cache_free_gpu_mem_fraction; more KV memory may save replicas",
        )


def _held(where: str, point: Measurement, subject: Subject) -> Iterator[Finding]:
    """What the running sequences hold, by Little's law from measured latencies, against KV memory."""
    capacity, gap, rate = subject.limits.kv_cache_tokens, point.tpot_s, point.rate_per_s
    if capacity is None or gap is None or rate is None:
        return
    running = rate * point.decode_steps * gap
    held = running * (point.prompt_tokens + 0.5 * point.output_tokens)
    if held > 1.05 * capacity:
        yield Finding(
            severity=Severity.WARNING,
            code="kv-above-capacity",
            where=where,
            what=(
                f"{running:.4g} sequences decoding at once hold about {held:,.0f} KV tokens; "
                f"limits.kvCacheTokens is {capacity:,}"
            ),
            meaning="the profile's KV memory is too small, so plans would see waiting that the engine does not have",
            remedy="take kvCacheTokens from the engine's start-up log",
        )
