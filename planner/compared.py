"""A candidate of a comparison sized for the workload: the plan, what more it carries, how long it takes to set up."""

from __future__ import annotations

import math

from models.errors import InvalidInput, NoFeasiblePlan
from planner.batching_answer import BatchingQuestion
from planner.batching_sizing import highest_rate
from planner.build_cost import BuildCost
from planner.comparison_row import Candidate, Load, Row, SetUp
from planner.hardware import find_gpu
from planner.plan import no_plan
from planner.prices import FoundPrice, PriceRule
from planner.profile import EngineProfile
from planner.service import Service
from planner.sizing import max_rate
from planner.sizing_request import SizingRequest, make_plan
from planner.uncertainty import MOST_ERROR, replica_range, step_time_error


def sized(candidate: Candidate, load: Load, prices: PriceRule, *, build: BuildCost) -> Row:
    """The candidate under the load."""
    price = prices.find(candidate.gpu)
    profile = candidate.profile
    if profile is None:
        error = NoFeasiblePlan(candidate.reason, remedy=candidate.remedy)
        return _no_row(candidate, load, price, error)
    try:
        if profile.spec.engine == "triton":
            return _of_batcher(candidate, profile, load, price)
        return _of_tokens(candidate, profile, load, price, build)
    except (NoFeasiblePlan, InvalidInput) as refused:
        # What this engine refuses, such as prompts beyond its memory, others may serve.
        error = NoFeasiblePlan(str(refused), remedy=refused.remedy)
        return _no_row(candidate, load, price, error, build)


def _of_tokens(candidate: Candidate, profile: EngineProfile, load: Load, price: FoundPrice, build: BuildCost) -> Row:
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
    built = profile.spec.gpu.per_replica if profile.spec.engine == "triton-trtllm" else 0
    return Row(
        candidate=candidate,
        fields=fields,
        price=price,
        nodes=nodes_of(profile, plan.answer.replicas),
        between=between,
        max_rate_per_s=most,
        set_up=set_up_of(profile, build.compile_hours),
        requests_per_s=load.rate_per_s,
        builds_per_hour=build.per_hour(build.per_version(built, price.usd_per_h or 0.0)) if built else 0.0,
        builds_gpus=build.gpus_building(built),
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
    candidate: Candidate, load: Load, price: FoundPrice, error: NoFeasiblePlan, build: BuildCost | None = None
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
        set_up=set_up_of(profile, 0.0 if build is None else build.compile_hours),
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
