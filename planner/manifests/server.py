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
_LOAD_BYTES_PER_S, _GRAPHS_S = 2.5e8, 600.0
"""Assumed of a slow shared volume, and of what follows the weights."""
_GROUP_NOTE = (
    "pods of a group talk over the pod network and share a claim hugging-face-cache (ReadWriteMany): predictions "
    "assume the network of the data sheet, which needs RDMA (the cluster's rdma resource or hostNetwork, and the "
    "capability IPC_LOCK), or every step is slower than planned"
)
_CPUS_PER_GPU = 2
_PROCESS_BYTES, _UNKNOWN_MEMORY = 4 * 2**30, 8 * 2**30
"""Assumed of an engine's processes beside the weights, and of a model whose size is not known."""


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """One model of a server."""

    name: str
    """A DNS label."""
    engine: Engine
    model: str
    """As published, such as meta-llama/Llama-3.1-8B-Instruct."""
    checkpoint: str | None = None
    """The weights, where they are published under another name."""
    quantization: str = "none"
    weights_bytes: float | None = None
    """Of a replica; None where the model's shape is not known."""
    tensor: int = 1
    pipeline: int = 1
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    kv_block_size: int | None = None
    chunked_prefill: bool | None = None
    max_model_len: int | None = None
    """Tokens of the longest sequence, where memory holds fewer than the model's context."""
    max_batch_size: int | None = None
    instances: int = 1
    preferred_batch_sizes: tuple[int, ...] = ()
    max_queue_delay_s: float = 0.0
    notes: tuple[str, ...] = ()


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
    apart_from: tuple[str, ...] = ()
    """Models (as in ServedModel.name, its own among them) of which no pod may be on the same node."""
    rather_apart_from: tuple[str, ...] = ()
    """The same where there is room."""
    notes: tuple[str, ...] = ()
    """What who applies it should know: in an annotation, and told by `planner render`."""

    @property
    def engine(self) -> Engine:
        """The same for all its models."""
        return self.models[0].engine

    @property
    def all_notes(self) -> tuple[str, ...]:
        """Its own and those of its models."""
        group = (_GROUP_NOTE,) if self.nodes > 1 else ()
        return (*self.notes, *(note for model in self.models for note in model.notes), *group)

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
        """Seconds that a pod may take until it is ready: twice the 95th percentile of what was measured.

        Else half an hour, and longer where reading the weights alone would take most of it.
        """
        if self.cold_start_s is not None:
            return max(60, 10 * math.ceil(self.cold_start_s / 5.0))
        loading = (self.weights_bytes or 0.0) / _LOAD_BYTES_PER_S
        return max(_UNKNOWN_START_S, 10 * math.ceil((_GRAPHS_S + loading) / 10.0))

    @property
    def weights_bytes(self) -> float | None:
        """Of a replica, all models; None where one is not known."""
        known = [model.weights_bytes for model in self.models]
        return None if None in known else sum(each or 0.0 for each in known)

    @property
    def requests(self) -> dict[str, str]:
        """What a pod asks of its node beside GPUs: stated defaults, which leave room on the smallest usual nodes.

        Weights are read through mapped files that the kernel may drop again: half of a pod's are asked for.
        """
        weights = self.weights_bytes
        memory = _UNKNOWN_MEMORY if weights is None else _PROCESS_BYTES + weights / self.nodes / 2.0
        return {"cpu": str(_CPUS_PER_GPU * self.gpus_per_pod), "memory": f"{math.ceil(memory / 2**30)}Gi"}


@dataclass(frozen=True, kw_only=True)
class RenderOptions:
    """What the plan does not say."""

    vllm_image: str | None = None
    triton_image: str | None = None
    namespace: str | None = None
    autoscaler: bool = False
    gateway_class: str | None = None
    select_nodes: bool = True
