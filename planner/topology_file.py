"""A topology file: services on routes of one gateway, the nodes they may use, and the budget for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from models.errors import InvalidInput, NoFeasiblePlan
from models.objective import Objective
from models.workload import Workload
from planner.batching_answer import BatchingQuestion
from planner.estimated_profile import estimated_profile
from planner.file_model import FileModel, first_problem
from planner.files import parse_document, read_text
from planner.hardware import find_gpu
from planner.objective import parse_objectives
from planner.parallelism import Parallelism, on_layout
from planner.profile import EngineProfile
from planner.service import Service
from planner.service_fields import Burstiness, Duration, Name, Price, ProfileName, Rate, RequestFields, profile_beside
from planner.sizing import MAX_REPLICAS, require_known, require_meaning
from planner.units import parse_bandwidth, parse_seconds

GpuType = Annotated[str, Field(min_length=1, max_length=100)]
Replicas = Annotated[int, Field(ge=1, le=MAX_REPLICAS)]
Parallel = Annotated[int, Field(ge=1, le=4096)]
_MOST_OVERHEAD_S = 60.0


class _Link(FileModel):
    bandwidth: Annotated[str, Field(max_length=40)] | None = None
    latency: Duration | None = None


class _Parallelism(FileModel):
    tensor: Parallel | None = None
    pipeline: Parallel | None = None
    nodes_per_replica: Parallel | None = None
    link: _Link = _Link()

    def to_parallelism(self) -> Parallelism:
        bandwidth, latency = self.link.bandwidth, self.link.latency
        return Parallelism(
            tensor=self.tensor,
            pipeline=self.pipeline,
            nodes_per_replica=self.nodes_per_replica,
            link_bytes_per_s=None if bandwidth is None else parse_bandwidth(bandwidth, what="link.bandwidth"),
            link_latency_s=None if latency is None else parse_seconds(latency, what="link.latency"),
        )


class _Route(RequestFields):
    name: Name
    path: Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^/[A-Za-z0-9/_.~%-]*$")]
    profile: ProfileName | None = None
    model: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    gpu: GpuType | None = None
    quantization: Annotated[str, Field(max_length=100)] | None = None
    parallelism: _Parallelism | None = None
    qps: Rate
    burstiness: Burstiness = 1.0
    objectives: Annotated[tuple[str, ...], Field(min_length=1, max_length=100)]
    gpu_price: Price | None = None
    min_replicas: Replicas = 1
    max_replicas: Replicas | None = None
    priority: Annotated[int, Field(ge=-1_000_000_000, le=1_000_000_000)] = 0


class _Gateway(FileModel):
    name: Name = "gateway"
    overhead: Duration = "0s"


class _Budget(FileModel):
    per_hour: Annotated[float, Field(ge=0.0, le=1e9, allow_inf_nan=False)] | None = None
    gpus: dict[GpuType, Annotated[int, Field(ge=0, le=10_000_000)]] = Field(default_factory=dict)
    nodes: dict[GpuType, Annotated[int, Field(ge=0, le=10_000_000)]] = Field(default_factory=dict)


class _Pool(FileModel):
    gpu: GpuType
    gpus_per_node: Annotated[int, Field(ge=1, le=1024)] | None = None
    count: Annotated[int, Field(ge=0, le=10_000_000)] | None = None
    price_per_hour: Price | None = None


class _File(FileModel):
    gateway: _Gateway = _Gateway()
    routes: Annotated[tuple[_Route, ...], Field(min_length=1, max_length=200)]
    nodes: Annotated[tuple[_Pool, ...], Field(max_length=200)] = ()
    budget: _Budget = _Budget()


@dataclass(frozen=True, kw_only=True)
class Route:
    """One service behind the gateway."""

    name: str
    path: str
    service: Service
    objectives: tuple[Objective, ...]
    """As seen before the gateway."""
    min_replicas: int
    max_replicas: int | None
    priority: int
    """Of a budget that is too small, routes of a higher number get their replicas first."""

    @property
    def profile(self) -> EngineProfile:
        """Of its replicas."""
        return self.service.profile

    @property
    def gpu_type(self) -> str:
        """As the profile names it."""
        return self.service.profile.spec.gpu.type


@dataclass(frozen=True, kw_only=True)
class NodePool:
    """Nodes of one GPU type; None where nothing limits, or is known."""

    gpu: str
    gpus_per_node: int | None
    count: int | None = None
    price_per_h: float | None = None
    stated: bool = True
    """Whether the file has it under nodes, or only data sheets."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What all routes together may take; what is not said is not limited."""

    per_hour: float | None = None
    gpus: Mapping[str, int]
    nodes: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Topology:
    """Everything that the file says."""

    gateway: str
    overhead_s: float
    routes: tuple[Route, ...]
    pools: Mapping[str, NodePool]
    """By GPU type: of the file, else as the data sheet has its nodes."""
    budget: Budget


def read_topology(path: Path) -> Topology:
    """The file, validated. Raises InvalidInput with the place, NoFeasiblePlan where a model fits on no such layout."""
    text = read_text(path, what="topology")
    document = parse_document(text, name=str(path), what="topology")
    try:
        file = _File.model_validate(document)
    except ValidationError as error:
        raise first_problem(error, _File, text, f"topology {path}") from None
    place = f"topology {path}"
    _require_distinct([route.name for route in file.routes], f"{place}: the name of a route")
    _require_distinct([route.path.rstrip("/") for route in file.routes], f"{place}: the path of a route")
    _require_distinct([pool.gpu.lower() for pool in file.nodes], f"{place}: the pool of a gpu")
    overhead = parse_seconds(file.gateway.overhead, what=f"{place}: gateway.overhead")
    if overhead > _MOST_OVERHEAD_S:
        raise InvalidInput(f"{place}: gateway.overhead is above a minute", remedy="write for example 3ms")
    routes = tuple(_route(route, path) for route in file.routes)
    pools = _pools(file, routes)
    budget = Budget(
        per_hour=file.budget.per_hour,
        gpus=_by_known_type(file.budget.gpus, pools, f"{place}: budget.gpus"),
        nodes=_by_known_type(file.budget.nodes, pools, f"{place}: budget.nodes"),
    )
    _require_prices(routes, pools, budget, place)
    return Topology(gateway=file.gateway.name, overhead_s=overhead, routes=routes, pools=pools, budget=budget)


def _require_distinct(names: list[str], what: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInput(f"{what} is there twice: {twice[0]!r}", remedy="give each one of its own")


def _route(route: _Route, path: Path) -> Route:
    place = f"topology {path}, route {route.name!r}"
    try:
        objectives = parse_objectives(route.objectives)
        require_known(objectives)
        if route.max_replicas is not None and route.max_replicas < route.min_replicas:
            raise InvalidInput("maxReplicas is less than minReplicas", remedy="mend one of them")  # noqa: TRY301
        service = route.service_of(
            _profile(route, path.parent), route.qps, burstiness=route.burstiness, gpu_price_per_h=route.gpu_price
        )
        _require_meaning(service, objectives)
    except (InvalidInput, NoFeasiblePlan) as error:
        raise type(error)(f"{place}: {error}", remedy=error.remedy) from None
    return Route(
        name=route.name,
        path=route.path,
        service=service,
        objectives=objectives,
        min_replicas=route.min_replicas,
        max_replicas=route.max_replicas,
        priority=route.priority,
    )


def _require_meaning(service: Service, objectives: tuple[Objective, ...]) -> None:
    """Refuse objectives that the engine does not know, before anything is sized."""
    if service.lengths is None:
        BatchingQuestion(
            profile=service.profile, arrivals=service.arrivals, objectives=objectives, routing=service.routing
        )
    else:
        require_meaning(objectives, Workload(arrivals=service.arrivals, lengths=service.lengths))


def _profile(route: _Route, base: Path) -> EngineProfile:
    if (route.profile is None) == (route.model is None):
        raise InvalidInput(
            "give a profile, or a model with its gpu",
            remedy="profile: a measured one; model and gpu: an estimate from data sheets",
        )
    if route.profile is not None:
        if route.gpu is not None or route.quantization is not None:
            raise InvalidInput("gpu and quantization belong to model", remedy="drop them: the profile has its own")
        profile = profile_beside(base, route.profile)
    else:
        assert route.model is not None
        if route.gpu is None:
            raise InvalidInput("model needs the gpu that it runs on", remedy="add for example gpu: H100-SXM5-80GB")
        profile = estimated_profile(route.model, route.gpu, route.quantization)
    if route.parallelism is None and route.profile is not None:
        return profile
    return on_layout(
        profile,
        (route.parallelism or _Parallelism()).to_parallelism(),
        measured=route.profile is not None,
        sequence_tokens=(route.input_tokens or 0.0) + (route.output_tokens or 0.0),
    )


def _pools(file: _File, routes: tuple[Route, ...]) -> dict[str, NodePool]:
    """A pool for each GPU type that a route uses; data sheets say what the file does not."""
    stated = {pool.gpu.lower(): pool for pool in file.nodes}
    found = {}
    for kind in dict.fromkeys(route.gpu_type for route in routes):
        sheet, pool = find_gpu(kind), stated.get(kind.lower())
        per_node = None if pool is None else pool.gpus_per_node
        found[kind] = NodePool(
            gpu=kind,
            gpus_per_node=per_node or (None if sheet is None else sheet.gpus_per_node),
            count=None if pool is None else pool.count,
            price_per_h=None if pool is None else pool.price_per_hour,
            stated=pool is not None,
        )
    _by_known_type({pool.gpu: 0 for pool in file.nodes}, found, "nodes")
    return found


def _by_known_type(limits: Mapping[str, int], pools: Mapping[str, NodePool], what: str) -> dict[str, int]:
    """With the types named as the profiles name them; a type that no route uses is a slip of the pen."""
    known = {kind.lower(): kind for kind in pools}
    for kind in limits:
        if kind.lower() not in known:
            raise InvalidInput(
                f"{what}: no route uses GPU type {kind!r}", remedy=f"types of the routes: {', '.join(pools)}"
            )
    return {known[kind.lower()]: limit for kind, limit in limits.items()}


def _require_prices(routes: tuple[Route, ...], pools: Mapping[str, NodePool], budget: Budget, place: str) -> None:
    for route in routes:
        pool, price = pools[route.gpu_type], route.service.gpu_price_per_h
        if pool.price_per_h is not None and price is not None:
            raise InvalidInput(
                f"{place}, route {route.name!r}: its gpuPrice and the pool's pricePerHour both say what it costs",
                remedy="keep one of them",
            )
        if budget.per_hour is not None and pool.price_per_h is None and price is None:
            raise _no_price(route, pool, place)
        if pool.price_per_h is not None and pool.gpus_per_node is None:
            raise InvalidInput(
                f"{place}: the pool of {pool.gpu} has a price and no gpusPerNode", remedy="say how many GPUs a node has"
            )


def _no_price(route: Route, pool: NodePool, place: str) -> InvalidInput:
    """A pool that is missing is told as such: often the route's profile is of another GPU than one thought."""
    if pool.stated:
        return InvalidInput(
            f"{place}: budget.perHour is given, and route {route.name!r} has no price",
            remedy="give gpuPrice to the route, or pricePerHour to its pool under nodes",
        )
    return InvalidInput(
        f"{place}: budget.perHour is given, and route {route.name!r} has no price: there is no pool for "
        f"{route.gpu_type} under nodes",
        remedy=f"add `- {{gpu: {route.gpu_type}, gpusPerNode: …, pricePerHour: …}}`, give the route a gpuPrice, or "
        "name a profile of a GPU that has a pool",
    )
