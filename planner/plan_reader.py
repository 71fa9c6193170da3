"""A plan of `planner size`, `size --topology`, `pack` or `pipeline` as servers and routes to render."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from models.errors import InvalidInput, NoFeasiblePlan
from planner.file_model import FileModel, first_problem
from planner.kubernetes_names import dns_label, require_distinct
from planner.manifests.http_route import RouteTo
from planner.manifests.server import Server
from planner.pack_reader import packed_servers
from planner.plan_fields import (
    PackDocument,
    PipelineDocument,
    Served,
    Stage,
    TopologyDocument,
    kind_of,
)
from planner.plan_server import ServingOf, distinctly_named, server_of, together

Model = TypeVar("Model", bound=FileModel)


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
        return ReadPlan(servers=packed_servers(read(PackDocument), serving_of))
    if kind == "size":
        return ReadPlan(servers=(server_of(read(Served), serving_of),))
    raise InvalidInput(
        f"{name} is no plan that can be rendered",
        remedy="give what `planner size`, `planner size --topology`, `planner pack` or `planner pipeline` print with "
        "-o json or -o yaml",
    )


def _of_topology(plan: TopologyDocument, serving_of: ServingOf) -> ReadPlan:
    for route in plan.routes:
        if route.name is None or route.path is None:
            raise InvalidInput("a route of the plan has no name or no path", remedy="render the plan as it was printed")
    require_distinct([route.name or "" for route in plan.routes])
    servers = tuple(server_of(route, serving_of) for route in plan.routes)
    routes = tuple(
        RouteTo(path=route.path or "/", server=server.name, model=server.models[0].name, engine=server.engine)
        for route, server in zip(plan.routes, servers, strict=True)
    )
    return ReadPlan(servers=servers, gateway=dns_label(plan.gateway.name), routes=routes)


def _of_pipeline(plan: PipelineDocument, serving_of: ServingOf) -> ReadPlan:
    """A server a stage; stages that share a GPU are models of one server."""
    stages = [stage for stage in plan.stages if stage.kind == "service"]
    require_distinct([stage.name for stage in stages])
    by_name = {stage.name: stage for stage in stages}
    done: set[str] = set()
    servers = []
    for stage in stages:
        if stage.name in done:
            continue
        group = [stage, *(by_name[name] for name in stage.shares_gpu_with if name in by_name)]
        done |= {each.name for each in group}
        servers.append(_of_stages(group, serving_of))
    return ReadPlan(servers=distinctly_named(servers))


def _of_stages(group: Sequence[Stage], serving_of: ServingOf) -> Server:
    served = [_stage_server(stage, serving_of) for stage in group]
    return served[0] if len(served) == 1 else together(served, served[0].replicas)


def _stage_server(stage: Stage, serving_of: ServingOf) -> Server:
    if stage.profile is None or stage.replicas < 1:
        raise InvalidInput(f"stage {stage.name!r} of the plan has no profile or no replicas", remedy="plan it again")
    return server_of(
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
