"""What a manifest is made from: a server of one or several models, as a plan has it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Engine = Literal["vllm", "triton-trtllm", "triton"]

DRAIN_S = 15
"""A pod that ends waits so long before the engine is told: until no balancer sends it requests any more."""
_LONGER_THAN_SEEN = 1.5
"""How much longer than the longest predicted percentile an answer may take, and still end in peace."""
_LEAST_GRACE_S = 60
_UNKNOWN_START_S = 1800
"""Time to start that is allowed where nobody measured it: download, load and graphs of a large model."""


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """One model of a server."""

    name: str
    """A DNS label."""
    engine: Engine
    model: str
    """As published, such as meta-llama/Llama-3.1-8B-Instruct."""
    quantization: str = "none"
    tensor: int = 1
    pipeline: int = 1
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    kv_block_size: int | None = None
    chunked_prefill: bool | None = None
    max_batch_size: int | None = None
    instances: int = 1
    preferred_batch_sizes: tuple[int, ...] = ()
    max_queue_delay_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Server:
    """Replicas of one engine, with the models that it serves."""

    name: str
    """A DNS label."""
    models: tuple[ServedModel, ...]
    replicas: int
    gpus: int
    """Of a replica, on all its nodes."""
    nodes: int = 1
    gpu_type: str
    gpu_resource: str = "nvidia.com/gpu"
    """What the device plugin calls them; slices and shared GPUs have names of their own."""
    engine_version: str | None = None
    memory_share: float | None = None
    """Of its GPU's memory, what vLLM may take, where it has not the GPU alone."""
    thread_percentage: float | None = None
    """Of its GPU's compute, under CUDA's multi-process service."""
    cold_start_s: float | None = None
    """95th percentile; None where nobody measured it."""
    longest_s: float = 0.0
    """The longest answer that the plan speaks of."""
    concurrency: float | None = None
    """Requests in a replica at the planned load; of Triton those that wait."""
    least: int = 1
    most: int | None = None
    spread_over: Literal["gpu", "node"] | None = None
    notes: tuple[str, ...] = ()

    @property
    def engine(self) -> Engine:
        """The same for all its models."""
        return self.models[0].engine

    @property
    def gpus_per_pod(self) -> int:
        """A pod is on one node."""
        return self.gpus // self.nodes

    @property
    def grace_s(self) -> int:
        """Seconds that a pod may take to end: it drains, and then its longest answer ends."""
        needed = DRAIN_S + _LONGER_THAN_SEEN * self.longest_s
        return max(_LEAST_GRACE_S, 10 * math.ceil(needed / 10.0))

    @property
    def start_s(self) -> int:
        """Seconds that a pod may take until it is ready: twice the 95th percentile of what was measured."""
        return _UNKNOWN_START_S if self.cold_start_s is None else max(60, 10 * math.ceil(self.cold_start_s / 5.0))


@dataclass(frozen=True, kw_only=True)
class RenderOptions:
    """What the plan does not say."""

    vllm_image: str | None = None
    triton_image: str | None = None
    namespace: str | None = None
    autoscaler: bool = False
    gateway_class: str | None = None
    select_nodes: bool = True
