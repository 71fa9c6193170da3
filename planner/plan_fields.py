"""What `planner render` reads of a plan in JSON or YAML: strict in what it reads, blind to the rest."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from planner.file_model import FileModel
from planner.profile import ColdStart, Gpu, Limits

Count = Annotated[int, Field(ge=1, le=1_000_000)]
Text = Annotated[str, Field(min_length=1, max_length=1000)]
SliceName = Annotated[str, Field(pattern=r"^[0-9]g\.[0-9]{1,4}gb(\+me)?$")]
Seconds = Annotated[float, Field(ge=0.0, le=1e7, allow_inf_nan=False)]


class _Read(FileModel):
    """Fields in snake_case, as `-o json` writes them; those that are not needed are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=None, str_strip_whitespace=True)


class Serving(FileModel):
    """How a replica is started (planner.serving)."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)

    engine: Literal["vllm", "triton-trtllm", "triton"]
    engine_version: str | None = None
    model: Text
    quantization: str = "none"
    gpu: Gpu
    limits: Limits | None = None
    cold_start: ColdStart | None = None


class Throughput(_Read):
    """Of all replicas."""

    requests_per_s: Seconds | None = None


class Predicted(_Read):
    """What of a prediction decides on a manifest."""

    e2e: dict[str, Seconds | None] = Field(default_factory=dict)
    queue: dict[str, Seconds | None] = Field(default_factory=dict)
    throughput: Throughput = Throughput()


class Served(_Read):
    """A service of a plan: all of `planner size`, or a route of a topology."""

    name: Text | None = None
    path: str | None = None
    profile: Text
    replicas: Count
    serving: Serving | None = None
    predicted: Predicted = Predicted()
    qps: Seconds | None = None
    min_replicas: Count | None = None
    max_replicas: Count | None = None


class GatewayName(_Read):
    """Of a topology."""

    name: Text


class TopologyDocument(_Read):
    """`planner size --topology -o json`."""

    gateway: GatewayName
    routes: Annotated[tuple[Served, ...], Field(min_length=1, max_length=1000)]


class Stage(_Read):
    """Of a pipeline; delays have no server."""

    name: Text
    kind: Literal["service", "delay"]
    profile: Text | None = None
    replicas: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    serving: Serving | None = None
    predicted: Predicted = Predicted()
    rate_per_s: Seconds | None = None
    shares_gpu_with: tuple[Text, ...] = ()


class PipelineDocument(_Read):
    """`planner pipeline -o json`."""

    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=1000)]


class Spread(_Read):
    """What must not stand together."""

    spread: Literal["gpu", "node"] | None = None
    not_with: Annotated[tuple[Text, ...], Field(max_length=10_000)] = ()


class PackedMemory(_Read):
    """Bytes of a model on one GPU."""

    total_bytes: Annotated[float, Field(ge=0.0, le=1e15)] | None = None
    kv_tokens: Annotated[int, Field(ge=0, le=10**12)] | None = None


class PackedModel(_Read):
    """A model of a packing."""

    name: Text
    profile: Text
    engine: Literal["vllm", "triton-trtllm", "triton"]
    model: Text
    gpu_type: Text
    mode: Literal["dedicated", "group", "time-shared", "mig"]
    slice: SliceName | None = None
    replicas: Count
    instances_per_replica: Count = 1
    gpus_per_replica: Count = 1
    tensor_parallel: Count = 1
    pipeline_parallel: Count = 1
    nodes_per_replica: Count = 1
    qps: Seconds | None = None
    predicted: Predicted = Predicted()
    memory: PackedMemory = PackedMemory()
    gpu_memory_utilization: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """Of the whole GPU, what vLLM takes."""
    anti_affinity: Spread = Spread()
    min_replicas: Count | None = None
    max_replicas: Count | None = None
    mps_active_thread_percentage: Annotated[float, Field(gt=0.0, le=100.0)] | None = None
    serving: Serving | None = None


class PlacedReplica(_Read):
    """A replica on a GPU."""

    model: Text
    slice: Annotated[int, Field(ge=0, le=100)] | None = None


class PlacedSlice(_Read):
    """A MIG slice of a GPU."""

    slice: SliceName
    start: int | None = None
    memory_bytes: Annotated[float, Field(gt=0.0, le=1e15)] | None = None


class PlacedGpu(_Read):
    """A GPU with its replicas."""

    node: Text | None = None
    type: Text
    mode: Literal["dedicated", "group", "time-shared", "mig"]
    slices: Annotated[tuple[PlacedSlice, ...], Field(max_length=100)] = ()
    replicas: tuple[PlacedReplica, ...] = ()


class PackDocument(_Read):
    """`planner pack -o json`."""

    placement: Annotated[tuple[PlacedGpu, ...], Field(max_length=100_000)]
    models: Annotated[tuple[PackedModel, ...], Field(min_length=1, max_length=10_000)]


def kind_of(document: dict[str, Any]) -> str:
    """Which command wrote it: `topology`, `pipeline`, `pack`, `size`; empty where none did."""
    named = {"TopologyPlan": "topology", "PipelinePlan": "pipeline", "PackPlan": "pack", "PackingPlan": "pack"}
    if document.get("kind") in named:
        return named[str(document["kind"])]
    if "placement" in document and "models" in document:
        return "pack"
    return "size" if "replicas" in document and "profile" in document else ""
