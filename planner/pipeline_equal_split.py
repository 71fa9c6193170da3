"""What it would take if every stage got an equal part of the objectives, as one who does not optimise would share it.

A stage's part is the limit, less the delays of the longest path through it (at the objective's own percentile), over
the number of served stages on that path. It must hold there at the percentile of the objective.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from models.call_stream import CallStream
from models.objective import Metric, Objective
from models.stage_network import StageNetwork
from planner.pipeline_model import Counts, PipelineModel

Path = tuple[int, float]
"""Served stages, and seconds of delays."""


def equal_split(model: PipelineModel, least: Counts, most: Counts, streams: Sequence[CallStream]) -> Counts | None:
    """Replicas of each group, from `least` to `most`; None where a stage cannot keep its part."""
    need = list(least)
    for objective in model.pipeline.objectives:
        for place, limit_s in equal_limits(model, objective, streams).items():
            number = model.group_of[place]
            keeps = partial(_keeps, model, streams, place, objective, limit_s)
            if not keeps(most[number]):
                return None
            if not keeps(need[number]):
                need[number] = _least(keeps, need[number], most[number])
    return tuple(need)


def _least(holds: Callable[[int], bool], bad: int, good: int) -> int:
    """The least number that holds, by bisection between one that does not and one that does."""
    while good - bad > 1:
        middle = (good + bad) // 2
        bad, good = (bad, middle) if holds(middle) else (middle, good)
    return good


def equal_limits(model: PipelineModel, objective: Objective, streams: Sequence[CallStream]) -> dict[int, float]:
    """The part of each served stage that the objective is about, seconds."""
    pipeline = model.pipeline
    network = pipeline.network
    middle = np.array([0.5 if objective.quantile is None else objective.quantile])
    own: list[Path] = [
        (1, 0.0) if stage.delay is None else (0, float(model.stage(place, streams[place], ()).latencies(middle)[0]))
        for place, stage in enumerate(pipeline.stages)
    ]
    counted = None
    if objective.metric == "ttft":
        counted = np.any([network.before(last) for last in pipeline.last_makers], axis=0)
    return {
        place: (objective.limit_s - late) / stages
        for place, (stages, late) in enumerate(_longest(network, own, counted))
        if own[place][0] and (counted is None or counted[place])
    }


def _longest(network: StageNetwork, own: Sequence[Path], counted: np.ndarray | None) -> list[Path]:
    """The path with most served stages through each stage, among the counted ones."""
    count = len(own)
    upto: list[Path] = []
    for place in range(count):
        upto.append(_together(own[place], max((upto[each] for each in network.waits(place)), default=(0, 0.0))))
    onward: list[Path] = [(0, 0.0)] * count
    for place in reversed(range(count)):
        if counted is None or counted[place]:
            for each in network.waits(place):
                onward[each] = max(onward[each], _together(own[place], onward[place]))
    return [_together(upto[place], onward[place]) for place in range(count)]


def _together(one: Path, other: Path) -> Path:
    return one[0] + other[0], one[1] + other[1]


def _keeps(
    model: PipelineModel,
    streams: Sequence[CallStream],
    place: int,
    objective: Objective,
    limit_s: float,
    replicas: int,
) -> bool:
    counts = (replicas,) * len(model.pipeline.groups)
    stage = model.stage(place, streams[place], counts)
    metric: Metric = "ttft" if objective.metric == "ttft" and place in model.pipeline.last_makers else "e2e"
    law = stage.ttft if metric == "ttft" else stage.e2e
    return law is not None and law.statistic(objective.quantile) <= limit_s
