"""A plan of a pipeline as data in SI units: what `planner pipeline -o json` says and `planner render` reads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from models.errors import NoFeasiblePlan
from models.latency_law import LatencyLaw
from models.objective import Metric, Objective
from models.simulation.pipeline import PipelineSimulation
from planner.objective import as_written, unit_warnings
from planner.pipeline import PipelinePlan, Prices, gpus_of
from planner.pipeline_file import Pipeline
from planner.pipeline_model import PipelineAnswer
from planner.plan import STATISTICS
from planner.serving import serving_fields
from planner.units import format_seconds, format_share

NEAR = 0.005
"""Requests within this share of a percentile's rank stand for it."""
BUSY = 0.9
BURSTY = 3.0
"""Burstiness up to which predictions were measured (docs/pipeline-accuracy.md)."""


def plan_fields(plan: PipelinePlan, simulation: PipelineSimulation | None = None) -> dict[str, Any]:
    """All of a plan."""
    pipeline, answer = plan.pipeline, plan.answer
    binds = binding_objective(answer, pipeline.objectives)
    shares = split(answer, binds)
    fields: dict[str, Any] = {
        "kind": "PipelinePlan",
        "name": pipeline.name,
        "feasible": True,
        "qps": pipeline.qps,
        "burstiness": pipeline.burstiness,
        "replicas": sum(answer.counts),
        "gpus": gpus(pipeline, answer.counts),
        "cost": _cost(pipeline, plan),
        "objectives": [_objective_row(answer, each) for each in pipeline.objectives],
        "binding": {
            "constraint": "throughput" if _load_alone_binds(plan) else "objective",
            "objective": str(binds),
            "predicted": answer.value(binds),
            "stage": pipeline.stages[int(np.argmax(shares))].name,
        },
        "predicted": _predicted(answer.laws, pipeline.objectives),
        "stages": [_stage(plan, place, float(shares[place])) for place in range(len(pipeline.stages))],
        "equal_split": _equal_split(plan),
        "search": {
            "optimal": plan.doubt is None,
            "lower_bound": plan.search.lower_bound,
            "evaluated": plan.search.evaluated,
        },
        "assumptions": list(_assumptions(plan)),
        "warnings": list(_warnings(plan)),
    }
    if simulation is not None:
        fields["simulated"] = simulated_fields(simulation, pipeline.objectives)
        fields["warnings"] += _simulation_warnings(plan, simulation)
    return fields


def _load_alone_binds(plan: PipelinePlan) -> bool:
    """Whether fewer replicas of any stage could not carry the load, however slow."""
    return all(fewer is None or not fewer.stable for fewer in plan.one_fewer)


def no_plan_fields(pipeline: Pipeline, error: NoFeasiblePlan) -> dict[str, Any]:
    """Where nothing meets the objectives."""
    return {
        "kind": "PipelinePlan",
        "name": pipeline.name,
        "feasible": False,
        "reason": str(error),
        "remedy": error.remedy,
        "qps": pipeline.qps,
        "objectives": [
            {"objective": str(each), "limit": each.limit_s, "predicted": None, "met": False, "margin": None}
            for each in pipeline.objectives
        ],
        "stages": [],
    }


def simulated_fields(simulation: PipelineSimulation, objectives: Sequence[Objective]) -> dict[str, Any]:
    """What the simulator saw."""
    laws: dict[Metric, LatencyLaw] = {"e2e": simulation.e2e}
    if simulation.ttft is not None:
        laws["ttft"] = simulation.ttft
    return {
        "requests": simulation.requests,
        "settled": simulation.settled,
        "shares_gpus": simulation.shares_gpus,
        **_predicted(laws, objectives),
        "objectives": [
            {
                "objective": str(each),
                "simulated": laws[each.metric].statistic(each.quantile),
                "met": laws[each.metric].statistic(each.quantile) <= each.limit_s,
            }
            for each in objectives
        ],
    }


def gpus(pipeline: Pipeline, counts: Sequence[int]) -> int:
    """GPUs of all groups."""
    return sum(gpus_of(pipeline, group) * count for group, count in zip(pipeline.groups, counts, strict=True))


def binding_objective(answer: PipelineAnswer, objectives: Sequence[Objective]) -> Objective:
    """The objective nearest to its limit."""
    return max(objectives, key=lambda each: (answer.value(each) or 0.0) / each.limit_s)


def split(answer: PipelineAnswer, objective: Objective) -> np.ndarray:
    """Share of the objective's latency that each stage takes, of the requests about its percentile.

    A stage beside a slower branch takes nothing. Of the mean: of all requests.
    """
    passage = answer.way(objective.metric)
    assert passage is not None
    latency = passage.end_to_end
    ranks = (np.argsort(np.argsort(latency, kind="stable"), kind="stable") + 0.5) / latency.size
    near = np.ones(latency.size, dtype=bool)
    if objective.quantile is not None:
        near = np.abs(ranks - objective.quantile) <= min(NEAR, 1.0 - objective.quantile)
    seconds = passage.critical_s(near)
    return np.asarray(seconds / max(float(seconds.sum()), 1e-12))


def _predicted(laws: Mapping[Metric, LatencyLaw], objectives: Sequence[Objective]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for metric, law in laws.items():
        asked = [(each.statistic, each.quantile) for each in objectives if each.metric == metric]
        fields[metric] = {name: law.statistic(q) for name, q in dict([*STATISTICS, *asked]).items()}
    return fields


def _objective_row(answer: PipelineAnswer, objective: Objective) -> dict[str, Any]:
    value = answer.value(objective)
    return {
        "objective": str(objective),
        "limit": objective.limit_s,
        "predicted": value,
        "met": answer.meets(objective),
        "margin": None if value is None else 1.0 - value / objective.limit_s,
    }


def _cost(pipeline: Pipeline, plan: PipelinePlan) -> dict[str, Any]:
    if Prices(pipeline).are_known:
        return {"per_hour": plan.cost(plan.answer.counts), "note": None}
    return {"per_hour": None, "note": "no stage has a gpuPrice; a GPU counts as 1"}


def _stage(plan: PipelinePlan, place: int, share: float) -> dict[str, Any]:
    pipeline, answer = plan.pipeline, plan.answer
    stage, found = pipeline.stages[place], answer.stages[place]
    fields: dict[str, Any] = {
        "name": stage.name,
        "after": [pipeline.stages[each].name for each in pipeline.network.stages[place].after],
        "visit_ratio": float(pipeline.network.visit_ratios[place]),
        "calls": stage.calls,
        "rate_per_s": answer.streams[place].rate_per_s,
        "share_of_latency": share,
    }
    if stage.service is None:
        assert stage.delay is not None
        law = found.latencies(np.array([q or 0.5 for _, q in STATISTICS if q]))
        names = [name for name, q in STATISTICS if q]
        return {**fields, "kind": "delay", "predicted": {"e2e": dict(zip(names, law.tolist(), strict=True))}}
    spec = stage.service.profile.spec
    number = next(n for n, group in enumerate(pipeline.groups) if place in group)
    group = pipeline.groups[number]
    laws: dict[Metric, LatencyLaw] = {"e2e": found.e2e} if found.e2e else {}
    if found.ttft is not None:
        laws["ttft"] = found.ttft
    owner = max(group, key=lambda each: (pipeline.stages[each].gpus_per_replica, -each))
    return {
        **fields,
        "kind": "service",
        "profile": stage.service.profile.name,
        "engine": spec.engine,
        "model": spec.model,
        "serving": serving_fields(stage.service.profile),
        "quantization": spec.quantization,
        "gpu": spec.gpu.type,
        "gpus_per_replica": spec.gpu.per_replica,
        "replicas": found.replicas,
        "gpus": found.replicas * spec.gpu.per_replica if place == owner else 0,
        "shares_gpu_with": [pipeline.stages[each].name for each in group if each != place],
        "utilization": found.utilization,
        "batch": None if found.mean_batch is None else {"mean": found.mean_batch},
        "predicted": _predicted(laws, ()),
        "one_fewer": _one_fewer(plan, plan.one_fewer[number]),
    }


def _one_fewer(plan: PipelinePlan, fewer: PipelineAnswer | None) -> dict[str, Any] | None:
    if fewer is None:
        return None
    return {
        "stable": fewer.stable,
        "violates": [str(each) for each in plan.pipeline.objectives if not fewer.meets(each)],
        "predicted": {str(each): fewer.value(each) for each in plan.pipeline.objectives},
    }


def _equal_split(plan: PipelinePlan) -> dict[str, Any]:
    """What equal parts of the objective would cost."""
    counts = plan.equal_split
    if counts is None:
        return {"feasible": False, "gpus": None, "cost": None, "extra_cost": None, "replicas": None}
    names = [[plan.pipeline.stages[place].name for place in group] for group in plan.pipeline.groups]
    cost = plan.cost(counts)
    return {
        "feasible": True,
        "gpus": gpus(plan.pipeline, counts),
        "cost": cost,
        "extra_cost": cost - plan.cost(plan.answer.counts),
        "replicas": {name: count for group, count in zip(names, counts, strict=True) for name in group},
    }


def _assumptions(plan: PipelinePlan) -> list[str]:
    pipeline = plan.pipeline
    notes = [
        "requests arrive at random" if pipeline.burstiness == 1.0
        else f"requests arrive with a burstiness of {pipeline.burstiness:g}",
        "given what arrives at each stage, stages are independent of each other",
    ]  # fmt: skip
    if any(stage.calls > 1 for stage in pipeline.stages):
        notes.append("the calls of a fan-out start together, and the slowest ends the stage")
    if any(len(group) > 1 for group in pipeline.groups):
        notes.append(
            "batches on a shared GPU run at 1/(1 + K) of their speed while K other stages run one (processor sharing)"
        )
    if any(stage.delay is not None and stage.delay.sigma > 0.0 for stage in pipeline.stages):
        notes.append("delays that vary are lognormal, each call's of its own")
    return notes


def _simulation_warnings(plan: PipelinePlan, simulation: PipelineSimulation) -> list[str]:
    notes = [_broken(plan, simulation, each) for each in plan.pipeline.objectives if not _holds(simulation, each)]
    if not simulation.settled:
        notes.append("simulated latencies still grew when the run ended: give more --requests")
    if not simulation.shares_gpus and any(len(group) > 1 for group in plan.pipeline.groups):
        notes.append(
            "an engine that makes tokens, or a batcher that holds requests back, lies between stages on the same GPUs: "
            "these were simulated with batches that all take longer alike"
        )
    return notes


def _holds(simulation: PipelineSimulation, objective: Objective) -> bool:
    return _simulated(simulation, objective) <= objective.limit_s


def _simulated(simulation: PipelineSimulation, objective: Objective) -> float:
    law = simulation.ttft if objective.metric == "ttft" else simulation.e2e
    return math.inf if law is None else law.statistic(objective.quantile)


def _broken(plan: PipelinePlan, simulation: PipelineSimulation, objective: Objective) -> str:
    return (
        f"{as_written(objective)} is broken in simulation: {format_seconds(_simulated(simulation, objective))}, where "
        f"{format_seconds(plan.answer.value(objective) or math.inf)} was predicted; raise minReplicas of stage "
        f"{_slowest(plan, objective)} or lower the limit by as much, and simulate again"
    )


def _slowest(plan: PipelinePlan, objective: Objective) -> str:
    """The stage with replicas that takes most of an objective."""
    stages = plan.pipeline.stages
    served = [
        share if stage.service else -1.0 for share, stage in zip(split(plan.answer, objective), stages, strict=True)
    ]
    return stages[int(np.argmax(served))].name


def _warnings(plan: PipelinePlan) -> list[str]:
    pipeline, notes = plan.pipeline, list(unit_warnings(plan.pipeline.objectives))
    if plan.doubt is not None:
        unit = "an hour" if Prices(pipeline).are_known else "GPUs"
        notes.append(
            f"that this is the least cost is not proven ({plan.doubt}): no single replica fewer holds, and below "
            f"{plan.search.lower_bound:.4g} {unit} nothing does"
        )
    for stage, found in zip(pipeline.stages, plan.answer.stages, strict=True):
        if found.utilization > BUSY:
            notes.append(
                f"stage {stage.name} runs at {format_share(found.utilization)} of its capacity: latencies there follow "
                "every change of the load"
            )
    if pipeline.burstiness > BURSTY and len(pipeline.groups) > 1:
        notes.append(
            f"above a burstiness of {BURSTY:g} a request that is slow at one stage is slow at the next, and the median "
            "is predicted too long: measured by 5 to 10 % at a burstiness of 4, 10 to 13 % at 8 and 29 to 34 % at 20; "
            "check with --simulate"
        )
    tails = [each for each in pipeline.objectives if each.quantile is not None and each.quantile > 0.995]
    if tails:
        notes.append("percentiles above p99.5 are extrapolated: check with --simulate")
    return notes
