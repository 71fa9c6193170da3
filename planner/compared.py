"""One row of a comparison: a profile sized for the workload, its cost, headroom and set-up; or why it has no plan."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.errors import NoFeasiblePlan
from models.objective import Objective
from models.prediction import Routing
from models.workload import OpenArrivals, Workload
from planner.batching_answer import BatchingQuestion
from planner.batching_sizing import highest_rate
from planner.hardware import find_gpu
from planner.plan import no_plan
from planner.prices import FoundPrice, PriceRule
from planner.profile import EngineProfile
from planner.service import Service
from planner.sizing import MAX_REPLICAS, max_rate
from planner.sizing_request import SizingRequest, make_plan
from planner.uncertainty import MOST_ERROR, ReplicaRange, replica_range, step_time_error

_HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class Load:
    """What every profile of a comparison is asked to carry: tokens, or whole requests for dynamic batchers."""

    workload: Workload | None
    """None for dynamic batchers."""
    arrivals: OpenArrivals | None
    """Of dynamic batchers, and of open workloads."""
    objectives: tuple[Objective, ...]
    routing: Routing = Routing.RANDOM
    max_replicas: int = MAX_REPLICAS
    assumptions: tuple[str, ...] = ()

    @property
    def rate_per_s(self) -> float | None:
        """Requests per second that arrive; None of a closed loop."""
        return None if self.arrivals is None else self.arrivals.rate_per_s


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A profile in the comparison, and where it comes from."""

    name: str
    profile: EngineProfile | None
    """None of a variant that cannot be."""
    estimated: bool = False
    error: float = 0.0
    """Of an estimated step time, beside what its base states."""
    basis: str = ""
    base: EngineProfile | None = None
    """The measured profile of an estimated one."""
    gpu: str = ""
    reason: str = ""
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class SetUp:
    """How long until it serves: seconds from a raised replica count to Ready, and hours to build an engine before."""

    cold_start_p50_s: float | None
    cold_start_p95_s: float | None
    compile_hours: float
    note: str

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "cold_start": {"p50": self.cold_start_p50_s, "p95": self.cold_start_p95_s},
            "compile_hours": self.compile_hours,
            "note": self.note,
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """A candidate and its plan, or the reason why there is none."""

    candidate: Candidate
    fields: Mapping[str, Any]
    """What `planner size -o json` says of it."""
    price: FoundPrice
    nodes: int | None
    between: ReplicaRange | None
    max_rate_per_s: float | None
    """The most that the same replicas carry within the objectives; None of closed loops."""
    set_up: SetUp
    requests_per_s: float | None

    @property
    def name(self) -> str:
        """How the row is called."""
        return self.candidate.name

    @property
    def feasible(self) -> bool:
        """Whether there is a plan."""
        return bool(self.fields["feasible"])

    @property
    def gpus(self) -> int:
        """GPUs of all replicas; 0 without a plan."""
        return int(self.fields["gpus"] or 0)

    @property
    def per_hour(self) -> float | None:
        """Dollars an hour; None without a plan or a price."""
        return self.price.usd_per_h * self.gpus if self.feasible and self.price.usd_per_h is not None else None

    @property
    def per_hour_between(self) -> tuple[float, float] | None:
        """Dollars an hour if steps are as much faster or slower as they may be; infinite where no number would do."""
        cost = self.per_hour
        if cost is None or self.between is None:
            return None
        replica = cost / int(self.fields["replicas"])
        high = self.between.high
        return replica * self.between.low, math.inf if high is None else replica * high

    @property
    def headroom(self) -> float | None:
        """How much more than the asked rate the same replicas carry within the objectives, as a share of it."""
        rate = self.requests_per_s
        return None if self.max_rate_per_s is None or rate is None else max(0.0, self.max_rate_per_s / rate - 1.0)

    def latency(self, metric: str, statistic: str) -> float | None:
        """A predicted statistic, seconds."""
        if not self.feasible:
            return None
        value = self.fields["predicted"].get(metric, {}).get(statistic)
        return None if value is None else float(value)

    def costs(self) -> dict[str, Any]:
        """Every cost, null where it is not known, and why."""
        hour = self.per_hour
        throughput = self.fields["predicted"]["throughput"] if self.feasible else {}
        between = self.per_hour_between
        return {
            "per_hour": hour,
            "per_hour_low": None if between is None else between[0],
            "per_hour_high": None if between is None or math.isinf(between[1]) else between[1],
            "per_million_output_tokens": _per(hour, throughput.get("output_tokens_per_s"), 1e6),
            "per_thousand_requests": _per(hour, throughput.get("requests_per_s"), 1e3),
            "gpu_per_hour": self.price.usd_per_h,
            "price": self.price.told,
        }


def _per(per_hour: float | None, per_s: float | None, many: float) -> float | None:
    return None if per_hour is None or not per_s else per_hour / (per_s * _HOUR) * many


def sized(candidate: Candidate, load: Load, prices: PriceRule, *, compile_hours: float) -> Row:
    """The candidate under the load."""
    price = prices.find(candidate.gpu)
    profile = candidate.profile
    if profile is None:
        error = NoFeasiblePlan(candidate.reason, remedy=candidate.remedy)
        return _no_row(candidate, load, price, error)
    try:
        if profile.spec.engine == "triton":
            return _of_batcher(candidate, profile, load, price)
        return _of_tokens(candidate, profile, load, price, compile_hours)
    except NoFeasiblePlan as error:
        return _no_row(candidate, load, price, error, compile_hours)


def _of_tokens(
    candidate: Candidate, profile: EngineProfile, load: Load, price: FoundPrice, compile_hours: float
) -> Row:
    assert load.workload is not None
    request = SizingRequest(
        profile=profile,
        workload=load.workload,
        objectives=load.objectives,
        routing=load.routing,
        max_replicas=load.max_replicas,
        assumptions=load.assumptions,
        with_range=not candidate.estimated,
    )
    plan = make_plan(request)
    between, engine = plan.between, profile.to_engine()
    if candidate.estimated:
        own = step_time_error(candidate.base or profile, load.workload, plan.answer.prediction) or 0.0
        error = min(MOST_ERROR, math.hypot(own, candidate.error))
        between = replica_range(
            engine, load.workload, load.objectives, error=error, routing=load.routing, max_replicas=load.max_replicas
        )
    most = None
    if load.arrivals is not None:
        most, _ = max_rate(engine, load.workload, load.objectives, replicas=plan.answer.replicas, routing=load.routing)
    fields = plan.as_dict()
    return Row(
        candidate=candidate,
        fields=fields,
        price=price,
        nodes=nodes_of(profile, plan.answer.replicas),
        between=between,
        max_rate_per_s=most,
        set_up=set_up_of(profile, compile_hours),
        requests_per_s=load.rate_per_s,
    )


def _of_batcher(candidate: Candidate, profile: EngineProfile, load: Load, price: FoundPrice) -> Row:
    assert load.arrivals is not None
    service = Service(profile=profile, arrivals=load.arrivals, routing=load.routing, assumptions=load.assumptions)
    plan = service.size(load.objectives, max_replicas=load.max_replicas)
    question = BatchingQuestion(
        profile=profile, arrivals=load.arrivals, objectives=load.objectives, routing=load.routing
    )
    return Row(
        candidate=candidate,
        fields=plan.fields,
        price=price,
        nodes=nodes_of(profile, plan.replicas),
        between=None,
        max_rate_per_s=highest_rate(question, plan.replicas).arrivals.rate_per_s,
        set_up=set_up_of(profile, 0.0),
        requests_per_s=load.rate_per_s,
    )


def _no_row(
    candidate: Candidate, load: Load, price: FoundPrice, error: NoFeasiblePlan, compile_hours: float = 0.0
) -> Row:
    profile = candidate.profile or candidate.base
    assert profile is not None
    return Row(
        candidate=candidate,
        fields={**no_plan(profile, load.objectives, error), "profile": candidate.name},
        price=price,
        nodes=None,
        between=None,
        max_rate_per_s=None,
        set_up=set_up_of(profile, compile_hours),
        requests_per_s=load.rate_per_s,
    )


def nodes_of(profile: EngineProfile, replicas: int) -> int | None:
    """Nodes that so many replicas fill, each whole on a node or on nodes of its own; None for GPUs without a sheet."""
    gpu = profile.spec.gpu
    if gpu.nodes_per_replica > 1:
        return replicas * gpu.nodes_per_replica
    sheet = find_gpu(gpu.type)
    if sheet is None or gpu.per_replica > sheet.gpus_per_node:
        return None
    return math.ceil(replicas / (sheet.gpus_per_node // gpu.per_replica))


def set_up_of(profile: EngineProfile, compile_hours: float) -> SetUp:
    """How long until it serves. Only TensorRT-LLM builds an engine first."""
    start = profile.spec.cold_start
    compiles = profile.spec.engine == "triton-trtllm"
    measured = "cold start not measured" if start is None else "cold start measured"
    return SetUp(
        cold_start_p50_s=None if start is None else start.p50,
        cold_start_p95_s=None if start is None else start.p95,
        compile_hours=compile_hours if compiles else 0.0,
        note=f"{measured}; {'engine build assumed (--compile-hours)' if compiles else 'nothing is compiled'}",
    )
