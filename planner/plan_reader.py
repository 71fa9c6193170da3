"""A plan of `planner size`, `size --topology`, `pack` or `pipeline` as servers and routes to render."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import ValidationError

from models.errors import InvalidInput, NoFeasiblePlan
from planner.file_model import FileModel, first_problem
from planner.manifests.http_route import RouteTo
from planner.manifests.server import Engine, ServedModel, Server
from planner.plan_fields import (
    PackDocument,
    PackedModel,
    PipelineDocument,
    PlacedGpu,
    Predicted,
    Served,
    Serving,
    Stage,
    TopologyDocument,
    kind_of,
)
from planner.profile import Gpu, Limits

Model = TypeVar("Model", bound=FileModel)
ServingOf = Callable[[str], Serving | None]
"""How the replicas of a profile by this name are started; None where it is not known."""

_LONGEST_NAME = 50
"""Pods of a group have their number appended, and labels end at 63."""


@dataclass(frozen=True, kw_only=True)
class ReadPlan:
    """What is to be rendered."""

    servers: tuple[Server, ...]
    gateway: str | None = None
    routes: tuple[RouteTo, ...] = ()


def read_plan(document: dict[str, Any], text: str, name: str, serving_of: ServingOf) -> ReadPlan:
    """The plan in a document. Raises NoFeasiblePlan for a plan that is none, InvalidInput for anything else."""
    if document.get("feasible") is False:
        raise NoFeasiblePlan(
            f"plan {name} is not feasible: {str(document.get('reason') or 'it says so')[:500]}",
            remedy="render a plan that holds",
        )
    kind = kind_of(document)

    def read(model: type[Model]) -> Model:
        try:
            return model.model_validate(document)
        except ValidationError as error:
            raise first_problem(error, model, text, f"plan {name}") from None

    if kind == "topology":
        return _of_topology(read(TopologyDocument), serving_of)
    if kind == "pipeline":
        return _of_pipeline(read(PipelineDocument), serving_of)
    if kind == "pack":
        return _of_pack(read(PackDocument), serving_of)
    if kind == "size":
        return ReadPlan(servers=(_server(read(Served), serving_of),))
    raise InvalidInput(
        f"{name} is no plan that can be rendered",
        remedy="give what `planner size`, `planner size --topology`, `planner pack` or `planner pipeline` print with "
        "-o json or -o yaml",
    )


def dns_label(name: str) -> str:
    """As Kubernetes names things; a name that had to be cut keeps a mark of what it was."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "x"
    if not plain[0].isalpha():  # a Service's name begins with a letter
        plain = f"m-{plain}"
    if len(plain) <= _LONGEST_NAME:
        return plain
    mark = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{plain[: _LONGEST_NAME - 9].rstrip('-')}-{mark}"


def _distinct(names: Sequence[str]) -> None:
    twice = [name for name, times in Counter(map(dns_label, names)).items() if times > 1]
    if twice:
        raise InvalidInput(f"two of the plan's names are both {twice[0]!r} in Kubernetes", remedy="rename one of them")


def _of_topology(plan: TopologyDocument, serving_of: ServingOf) -> ReadPlan:
    for route in plan.routes:
        if route.name is None or route.path is None:
            raise InvalidInput("a route of the plan has no name or no path", remedy="render the plan as it was printed")
    _distinct([route.name or "" for route in plan.routes])
    servers = tuple(_server(route, serving_of) for route in plan.routes)
    routes = tuple(
        RouteTo(path=route.path or "/", server=server.name, model=server.models[0].name, engine=server.engine)
        for route, server in zip(plan.routes, servers, strict=True)
    )
    return ReadPlan(servers=servers, gateway=dns_label(plan.gateway.name), routes=routes)


def _server(served: Served, serving_of: ServingOf) -> Server:
    serving = _known(served.serving or serving_of(served.profile), served.profile)
    name = dns_label(served.name or served.profile)
    gpu = serving.gpu
    rate = served.qps if served.qps is not None else served.predicted.throughput.requests_per_s
    return Server(
        name=name,
        models=(_model(name, serving),),
        replicas=served.replicas,
        gpus=_whole(gpu, served.profile),
        nodes=gpu.nodes_per_replica,
        gpu_type=gpu.type,
        engine_version=serving.engine_version,
        cold_start_s=None if serving.cold_start is None else serving.cold_start.p95,
        longest_s=_longest(served.predicted),
        concurrency=_concurrency(serving.engine, served.predicted, rate, served.replicas),
        least=served.min_replicas or served.replicas,
        most=served.max_replicas,
    )


def _known(serving: Serving | None, profile: str) -> Serving:
    if serving is None:
        raise InvalidInput(
            f"the plan does not say how profile {profile} is started",
            remedy="name its file with --profile FILE",
        )
    return serving


def _whole(gpu: Gpu, profile: str) -> int:
    if gpu.per_replica % gpu.nodes_per_replica:
        raise InvalidInput(
            f"profile {profile}: {gpu.per_replica} GPUs do not spread evenly over {gpu.nodes_per_replica} nodes",
            remedy="mend gpu.perReplica or gpu.nodesPerReplica",
        )
    return gpu.per_replica


def _model(name: str, serving: Serving, *, gpus: int | None = None, **more: Any) -> ServedModel:
    gpu, limits = serving.gpu, serving.limits or Limits()
    if serving.model.startswith("-"):
        raise InvalidInput(f"model {serving.model[:80]!r} would be read as an option", remedy="name a model or a path")
    batcher = serving.engine == "triton"
    known = serving.limits is not None and not batcher
    tensor = gpu.tensor_parallel
    if tensor * gpu.pipeline_parallel != gpu.per_replica:  # data sets often state the GPUs alone
        tensor = max(1, (gpus or gpu.per_replica) // gpu.pipeline_parallel)
    return ServedModel(
        name=name,
        engine=serving.engine,
        model=serving.model,
        quantization=serving.quantization,
        tensor=tensor,
        pipeline=gpu.pipeline_parallel,
        max_num_seqs=limits.max_num_seqs if known else None,
        max_num_batched_tokens=limits.max_num_batched_tokens if known else None,
        kv_block_size=limits.kv_block_size if known else None,
        chunked_prefill=limits.chunked_prefill if known else None,
        max_batch_size=limits.max_batch_size if batcher else None,
        preferred_batch_sizes=limits.preferred_batch_sizes,
        max_queue_delay_s=limits.max_queue_delay,
        **{"instances": limits.instances, **more},
    )


def _longest(predicted: Predicted) -> float:
    return max((value for value in predicted.e2e.values() if value is not None), default=0.0)


def _concurrency(engine: Engine, predicted: Predicted, rate: float | None, replicas: int) -> float | None:
    """By Little's law: those in a replica of vLLM, those that wait in one of Triton."""
    mean = (predicted.e2e if engine == "vllm" else predicted.queue).get("mean")
    return None if mean is None or rate is None else rate * mean / replicas


def _of_pipeline(plan: PipelineDocument, serving_of: ServingOf) -> ReadPlan:
    """A server a stage; stages that share a GPU are models of one server."""
    stages = [stage for stage in plan.stages if stage.kind == "service"]
    _distinct([stage.name for stage in stages])
    by_name = {stage.name: stage for stage in stages}
    done: set[str] = set()
    servers = []
    for stage in stages:
        if stage.name in done:
            continue
        group = [stage, *(by_name[name] for name in stage.shares_gpu_with if name in by_name)]
        done |= {each.name for each in group}
        servers.append(_of_stages(group, serving_of))
    return ReadPlan(servers=tuple(servers))


def _of_stages(group: Sequence[Stage], serving_of: ServingOf) -> Server:
    served = [_stage_server(stage, serving_of) for stage in group]
    return served[0] if len(served) == 1 else _together(served, served[0].replicas)


def _stage_server(stage: Stage, serving_of: ServingOf) -> Server:
    if stage.profile is None or stage.replicas < 1:
        raise InvalidInput(f"stage {stage.name!r} of the plan has no profile or no replicas", remedy="plan it again")
    return _server(
        Served(
            name=stage.name,
            profile=stage.profile,
            replicas=stage.replicas,
            serving=stage.serving,
            predicted=stage.predicted,
            qps=stage.rate_per_s,
        ),
        serving_of,
    )


def _together(servers: Sequence[Server], replicas: int) -> Server:
    """Several models in one Triton, which shares a GPU among them."""
    first = servers[0]
    other = [each for each in servers if each.engine != "triton"]
    if other:
        beside = ", ".join(each.name for each in servers if each is not other[0])
        raise InvalidInput(
            f"{other[0].name} is served by {other[0].engine} and shares a GPU with {beside}: only models of one Triton "
            "do so in a pod",
            remedy="give it a GPU or a slice of its own (planner pack)",
        )
    if len(servers) == 1:
        return replace(first, replicas=replicas)
    models = tuple(model for each in servers for model in each.models)
    name = dns_label("-".join(model.name for model in models))
    return Server(
        name=name,
        models=models,
        replicas=replicas,
        gpus=max(each.gpus for each in servers),
        gpu_type=first.gpu_type,
        engine_version=first.engine_version,
        cold_start_s=None
        if any(s.cold_start_s is None for s in servers)
        else sum(s.cold_start_s or 0.0 for s in servers),
        longest_s=max(each.longest_s for each in servers),
        concurrency=max((each.concurrency or 0.0 for each in servers), default=None),
        least=replicas,
        spread_over=next((each.spread_over for each in servers if each.spread_over), None),
    )


def _of_pack(plan: PackDocument, serving_of: ServingOf) -> ReadPlan:
    """A server a model that has its GPUs or slice alone; one Triton for each set of models that share a GPU."""
    _distinct([model.name for model in plan.models])
    models = {model.name: model for model in plan.models}
    servers = [_packed_server(model, serving_of) for model in plan.models if model.mode != "time-shared"]
    for company, gpus in _companies(plan.placement, models).items():
        together = [_times(_packed_server(models[name], serving_of), here) for name, here in company]
        if all(each.engine == "triton" for each in together):
            servers.append(_together(together, len(gpus)))
        else:
            servers += [
                _beside(each, here * len(gpus), gpus[0], models[name])
                for (name, here), each in zip(company, together, strict=True)
            ]
    return ReadPlan(servers=tuple(_merged(servers)))


Company = tuple[tuple[str, int], ...]
"""Models that share a GPU, and how many replicas of each are on it."""


def _companies(placement: Sequence[PlacedGpu], models: Mapping[str, PackedModel]) -> dict[Company, list[PlacedGpu]]:
    """Time-shared GPUs by what is on them."""
    found: dict[Company, list[PlacedGpu]] = {}
    for gpu in placement:
        if gpu.mode != "time-shared":
            continue
        here = Counter(replica.model for replica in gpu.replicas)
        unknown = sorted(here.keys() - models.keys())
        if unknown or not here:
            what = (
                f"places model {unknown[0]!r}, which is not among its models"
                if unknown
                else "has a GPU without a model"
            )
            raise InvalidInput(f"the plan {what}", remedy="render the plan as it was printed")
        found.setdefault(tuple(sorted(here.items())), []).append(gpu)
    return found


def _times(server: Server, replicas: int) -> Server:
    """Several replicas of a Triton model on one GPU are instances of one server."""
    if server.engine != "triton":
        return server
    models = tuple(replace(model, instances=model.instances * replicas) for model in server.models)
    return replace(server, models=models)


def _beside(server: Server, replicas: int, gpu: PlacedGpu, model: PackedModel) -> Server:
    """One of several pods on a GPU that the device plugin hands out more than once."""
    usable, total = gpu.memory.usable_bytes, model.memory.total_bytes
    share = None if usable is None or total is None else min(0.95, total / usable)
    return replace(
        server,
        replicas=replicas,
        gpu_resource="nvidia.com/gpu.shared",
        memory_share=share,
        thread_percentage=model.mps_active_thread_percentage,
        notes=("needs the NVIDIA device plugin's sharing (time-slicing or MPS) with renameByDefault",),
    )


def _merged(servers: Sequence[Server]) -> list[Server]:
    """A model that shares GPUs with different others has a server for each company: their names tell them apart."""
    taken: Counter[str] = Counter()
    found = []
    for server in servers:
        taken[server.name] += 1
        times = taken[server.name]
        found.append(server if times == 1 else replace(server, name=f"{server.name}-{times}"))
    return found


def _packed_server(model: PackedModel, serving_of: ServingOf) -> Server:
    serving = _known(model.serving or serving_of(model.profile), model.profile)
    name = dns_label(model.name)
    return Server(
        name=name,
        models=(_model(name, serving, gpus=model.gpus_per_replica, instances=model.instances_per_replica),),
        replicas=model.replicas,
        gpus=model.gpus_per_replica,
        nodes=model.nodes_per_replica,
        gpu_type=model.gpu_type,
        gpu_resource="nvidia.com/gpu" if model.slice is None else f"nvidia.com/mig-{model.slice.replace('+', '.')}",
        engine_version=serving.engine_version,
        cold_start_s=None if serving.cold_start is None else serving.cold_start.p95,
        longest_s=_longest(model.predicted),
        concurrency=_concurrency(serving.engine, model.predicted, model.qps, model.replicas),
        least=model.min_replicas or model.replicas,
        most=model.max_replicas,
        spread_over=model.anti_affinity.spread,
    )
