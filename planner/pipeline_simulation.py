"""A plan of a pipeline put to the simulator."""

from __future__ import annotations

from models.errors import InvalidInput
from models.prediction import Routing
from models.simulation.pipeline import (
    BatcherServer,
    DelayServer,
    EngineServer,
    PipelineSimulation,
    Server,
    simulate_pipeline,
)
from models.workload import OpenArrivals, Workload
from planner.pipeline_file import Pipeline
from planner.pipeline_model import Counts, PipelineAnswer, PipelineModel
from planner.pipeline_stages import PipelineStage, stretched

MOST_CALLS = 30_000_000
"""Calls of a simulation: some gigabytes."""


def require_room(pipeline: Pipeline, requests: int) -> None:
    """Raises InvalidInput where so many requests make more calls than memory holds."""
    each = sum(stage.calls for stage in pipeline.stages)
    if requests * each > MOST_CALLS:
        raise InvalidInput(
            f"{requests:,} requests make {requests * each:,} calls, and at most {MOST_CALLS:,} can be simulated",
            remedy=f"give --requests {MOST_CALLS // each} or fewer",
        )


def simulate_plan(pipeline: Pipeline, counts: Counts, *, requests: int, seed: int) -> PipelineSimulation:
    """Serve so many requests with these replicas of each group."""
    model = PipelineModel(pipeline)
    answer = model.answer(counts)
    return simulate_pipeline(
        pipeline.network,
        [_server(model, place, stage, answer) for place, stage in enumerate(pipeline.stages)],
        OpenArrivals(rate_per_s=pipeline.qps, burstiness=pipeline.burstiness),
        makers=pipeline.makers,
        requests=requests,
        seed=seed,
    )


def _server(model: PipelineModel, place: int, stage: PipelineStage, answer: PipelineAnswer) -> Server:
    if stage.delay is not None:
        return DelayServer(median_s=stage.delay.median_s, sigma=stage.delay.sigma, calls=stage.calls)
    service = stage.service
    assert service is not None
    replicas = answer.counts[model.group_of[place]]
    if service.lengths is not None:
        workload = Workload(arrivals=service.arrivals, lengths=service.lengths, prefix_hit_rate=service.prefix_hit_rate)
        return EngineServer(
            engine=service.profile.to_engine(), workload=workload, replicas=replicas, calls=stage.calls,
            routing=service.routing,
        )  # fmt: skip
    stretch = model.stretch(place, replicas)
    slower = None if stretch is None or isinstance(stretch, float) else stretched(service.profile, stretch).to_batcher()
    return BatcherServer(
        batcher=service.profile.to_batcher(), replicas=replicas, calls=stage.calls,
        in_turn=service.routing is Routing.ROUND_ROBIN, rule=answer.stages[place].rule,
        shared=None if slower is None else model.group_of[place],
        stretched=slower,
    )  # fmt: skip
