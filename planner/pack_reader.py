"""A plan of `planner pack` as servers: what stands on each GPU decides, and no replica is lost or added."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from models.errors import InvalidInput
from planner.kubernetes_names import dns_label, require_distinct
from planner.manifests.server import Server
from planner.pack_apart import kept_apart
from planner.pack_standing import Company, Standing, standing
from planner.plan_fields import PackDocument, PackedModel, PlacedSlice
from planner.plan_server import (
    ServingOf,
    concurrency,
    distinctly_named,
    known_serving,
    longest_s,
    together,
)
from planner.served_model import served_model

SHARED = "nvidia.com/gpu.shared"
_TURNS = (
    "a pod has a GPU in turns with others: needs the NVIDIA device plugin's time-slicing with renameByDefault, which "
    "does not choose who shares with whom as the plan does"
)
_MPS = (
    "predicted as a process of its own under CUDA MPS with its active thread percentage: needs the NVIDIA device "
    "plugin's MPS sharing with renameByDefault, which gives every pod of a GPU an equal part of threads and memory at "
    "most, and does not choose who shares with whom as the plan does"
)


def packed_servers(plan: PackDocument, serving_of: ServingOf) -> tuple[Server, ...]:
    """A server for each way that a model stands; one Triton for models that take turns on a GPU."""
    require_distinct([model.name for model in plan.models])
    models = {model.name: model for model in plan.models}
    stand = standing(plan.placement, models)
    base = {model.name: _server(model, serving_of) for model in plan.models}
    found = [each for model in plan.models for each in _of_model(model, base[model.name], stand)]
    found += [_in_one_triton(company, gpus, base) for company, gpus in stand.companies.items()]
    _require_whole(found, plan.models)
    apart = kept_apart(found, plan)
    return distinctly_named([replace(each, **apart[index]) for index, each in enumerate(found)])


def _of_model(model: PackedModel, base: Server, stand: Standing) -> list[Server]:
    """Its servers, but for those that it shares a Triton in."""
    groups, left = divmod(stand.parts[model.name], model.gpus_per_replica)
    if left:
        raise InvalidInput(
            f"the plan gives model {model.name!r} {stand.parts[model.name]} GPUs in replicas of "
            f"{model.gpus_per_replica}",
            remedy="render the plan as it was printed",
        )
    found = []
    if whole := stand.alone[model.name] + groups:
        found.append(_some(base, whole, memory_share=model.gpu_memory_utilization))
    for (name, piece), replicas in stand.sliced.items():
        if name == model.name:
            found.append(_on_slice(model, base, piece, replicas))
    if replicas := stand.beside[model.name]:
        found.append(_beside(model, base, replicas))
    return found


def _some(base: Server, replicas: int, **more: object) -> Server:
    """So many of a model's replicas; its bounds are of all of them together."""
    most = None if base.most is None else max(replicas, base.most - base.replicas + replicas)
    least = max(1, replicas)
    return replace(base, replicas=replicas, least=least, most=most, **more)  # type: ignore[arg-type]


def _on_slice(model: PackedModel, base: Server, piece: PlacedSlice | None, replicas: int) -> Server:
    name = model.slice if piece is None else piece.slice
    if name is None:
        raise InvalidInput(
            f"the plan does not say on which slice model {model.name!r} stands", remedy="render it as it was printed"
        )
    share, total = model.gpu_memory_utilization, model.memory.total_bytes
    if share is not None and total is not None and piece is not None and piece.memory_bytes:
        # The plan's share is of the GPU; a process on a slice sees the slice's memory alone.
        share = min(0.98, math.floor(1e4 * total / piece.memory_bytes) / 1e4)
    return _some(base, replicas, gpu_resource=f"nvidia.com/mig-{name.replace('+', '.')}", memory_share=share)


def _beside(model: PackedModel, base: Server, replicas: int) -> Server:
    """One of several pods on a GPU that the device plugin hands out more than once."""
    percentage = model.mps_active_thread_percentage
    return _some(
        base,
        replicas,
        gpu_resource=SHARED,
        memory_share=model.gpu_memory_utilization,
        thread_percentage=percentage,
        notes=(*base.notes, _TURNS if percentage is None else _MPS),
    )


def _in_one_triton(company: Company, gpus: int, base: Mapping[str, Server]) -> Server:
    """Several replicas of a Triton model on one GPU are instances of one server."""
    several = []
    for name, here in company:
        models = tuple(replace(model, instances=model.instances * here) for model in base[name].models)
        several.append(replace(base[name], models=models))
    return _some(several[0], gpus) if len(several) == 1 else together(several, gpus)


def _require_whole(servers: Sequence[Server], models: Sequence[PackedModel]) -> None:
    """Every replica of the plan is there, and no other."""
    found: Counter[str] = Counter()
    for server in servers:
        for each in server.models:
            found[each.name] += server.replicas * each.instances
    for model in models:
        replicas, left = divmod(found[dns_label(model.name)], model.instances_per_replica)
        if left or replicas != model.replicas:
            raise InvalidInput(
                f"the plan places {replicas} replicas of model {model.name!r} and says that it has {model.replicas}",
                remedy="render the plan as it was printed",
            )


def _server(model: PackedModel, serving_of: ServingOf) -> Server:
    serving = known_serving(model.serving or serving_of(model.profile), model.profile)
    name = dns_label(model.name)
    return Server(
        name=name,
        models=(
            served_model(
                name,
                serving,
                gpus=model.gpus_per_replica,
                instances=model.instances_per_replica,
                kv_tokens=model.memory.kv_tokens,
            ),
        ),
        replicas=model.replicas,
        gpus=model.gpus_per_replica,
        nodes=model.nodes_per_replica,
        gpu_type=model.gpu_type,
        engine_version=serving.engine_version,
        cold_start_s=None if serving.cold_start is None else serving.cold_start.p95,
        longest_s=longest_s(model.predicted),
        concurrency=concurrency(serving.engine, model.predicted, model.qps, model.replicas),
        least=model.replicas,
        most=model.max_replicas,
    )
