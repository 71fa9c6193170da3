"""What a GPU's memory is spent on while a model is served, and how many tokens of KV are left.

As the engines compute it at start-up (vLLM, `determine_available_memory`): a share of the GPU's memory, less the
weights, less what a step needs at its largest, less what the runtime keeps; the rest is KV cache. Weights and bytes of
KV a token follow from the model's shape (`planner.architecture`); the reserve is an estimate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from models.engine import EngineLimits
from planner.architecture import WEIGHT_BYTES, ModelShape
from planner.hardware import GIB, MEMORY_SHARE, Gpu

CONTEXT_BYTES = 0.6 * GIB
"""Assumed for the CUDA context and libraries on each GPU."""
COLLECTIVE_BYTES = 0.7 * GIB
"""Assumed for buffers of collectives on each GPU, where there is more than one."""
GRAPH_BYTES = 0.5 * GIB
"""Assumed for captured graphs on each GPU (vLLM reports 0.3 to 1 GiB)."""
_HIDDEN_BUFFERS, _WIDE_BUFFERS = 4, 3
"""Widths of a token alive at once in the largest layer: residual, normed, attention in and out; gate, up, product."""
_VALUE_BYTES = 2.0
_LOGIT_BYTES = 16.0
"""A logit in 32 bits, its softmax, sort and copy, while sampling."""


@dataclass(frozen=True, kw_only=True)
class MemoryBudget:
    """Bytes on one GPU of a replica."""

    usable: float
    """Of the GPU's memory, what the engine takes."""
    weights: float
    activations: float
    """What the largest step needs beside weights and KV."""
    runtime: float
    """Context, collectives and captured graphs."""
    kv_per_token: float
    stages: int = 1
    """Pipeline stages: each keeps the KV of its layers alone."""

    @property
    def free(self) -> float:
        """Left for KV; negative where the rest does not fit."""
        return self.usable - self.weights - self.activations - self.runtime

    @property
    def kv_tokens(self) -> int:
        """Tokens of KV of a replica; 0 where nothing is left."""
        return max(0, int(self.free * self.stages / self.kv_per_token))

    def arithmetic(self) -> str:
        """In a line, GB (10^9) on each GPU."""
        return (
            f"{self.usable / 1e9:.1f} GB usable − {self.weights / 1e9:.1f} GB weights − "
            f"{self.activations / 1e9:.1f} GB activations − {self.runtime / 1e9:.1f} GB runtime and graphs = "
            f"{self.free / 1e9:.1f} GB for KV"
        )


def memory_budget(
    gpu: Gpu,
    shape: ModelShape,
    *,
    precision: str,
    limits: EngineLimits,
    gpus: int = 1,
    pipeline_parallel: int = 1,
    kv_bytes_per_value: float = 2.0,
    share: float = MEMORY_SHARE,
) -> MemoryBudget | None:
    """The budget of a replica of `gpus` GPUs; None where the shape or the precision does not say enough."""
    tensor_parallel = max(1, gpus // pipeline_parallel)
    weights = shape.weight_bytes(precision)
    per_token = shape.kv_bytes_per_token(tensor_parallel=tensor_parallel, bytes_per_value=kv_bytes_per_value)
    if weights is None or per_token is None:
        return None
    return MemoryBudget(
        usable=gpu.memory_bytes * share,
        weights=weights / gpus,
        activations=activation_bytes(shape, limits, tensor_parallel=tensor_parallel),
        runtime=CONTEXT_BYTES + GRAPH_BYTES + (COLLECTIVE_BYTES if gpus > 1 else 0.0),
        kv_per_token=per_token,
        stages=pipeline_parallel,
    )


def activation_bytes(shape: ModelShape, limits: EngineLimits, *, tensor_parallel: int) -> float:
    """What a step at the token budget, sampling for every sequence, needs on a GPU: an estimate, within a factor of 2.

    Checked against what vLLM reports of Llama-3.1-8B with a budget of 8,192 tokens: 1.2 GiB, here 1.4.
    """
    width = float(shape.intermediate or shape.expert_intermediate or 4 * shape.hidden)
    if shape.experts_per_token and shape.expert_intermediate:
        width = max(float(shape.expert_intermediate * shape.experts_per_token), width)
    layer = _HIDDEN_BUFFERS * shape.hidden + _WIDE_BUFFERS * width / tensor_parallel
    step = limits.max_num_batched_tokens * layer * _VALUE_BYTES
    return step + limits.max_num_seqs * shape.vocabulary * _LOGIT_BYTES


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A way to make a model fit."""

    gpus: int
    precision: str
    kv_tokens: int


def ways_to_fit(
    gpu: Gpu, shape: ModelShape, *, precision: str, limits: EngineLimits, gpus: int, sequence_tokens: int
) -> tuple[Fit, ...]:
    """The least GPUs at this precision, and the widest narrower precision on these GPUs, that hold a sequence."""
    fits = []
    more = gpus
    while more <= 64 * gpus:
        found = _fit(gpu, shape, precision, limits, more, sequence_tokens)
        if found is not None:
            fits.append(found)
            break
        more *= 2
    bits = WEIGHT_BYTES.get(precision, math.inf)
    narrower = [name for name in ("fp8", "fp4") if WEIGHT_BYTES[name] < bits and _has_units(gpu, name)]
    found_narrow = (_fit(gpu, shape, name, limits, gpus, sequence_tokens) for name in narrower)
    fits += [found for found in found_narrow if found is not None][:1]
    return tuple(fits)


def _has_units(gpu: Gpu, precision: str) -> bool:
    return bool(gpu.fp4_flops if precision == "fp4" else gpu.fp8_flops)


def _fit(
    gpu: Gpu, shape: ModelShape, precision: str, limits: EngineLimits, gpus: int, sequence_tokens: int
) -> Fit | None:
    # Tensor parallelism within a node, pipeline stages across nodes.
    stages = max(1, gpus // gpu.gpus_per_node)
    budget = memory_budget(gpu, shape, precision=precision, limits=limits, gpus=gpus, pipeline_parallel=stages)
    if budget is None or budget.kv_tokens < sequence_tokens:
        return None
    return Fit(gpus=gpus, precision=precision, kv_tokens=budget.kv_tokens)
