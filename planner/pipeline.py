"""Planning a pipeline: the replicas of least cost that meet its objectives."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from models.call_stream import CallStream
from models.errors import NoFeasiblePlan
from models.least_cost import LeastCost, least_cost
from models.objective import Objective
from planner.objective import as_written
from planner.pipeline_equal_split import equal_split
from planner.pipeline_file import Pipeline
from planner.pipeline_model import Counts, PipelineAnswer, PipelineModel, same_streams
from planner.pipeline_stages import SATURATED
from planner.units import format_seconds

Array = NDArray[np.float64]

_ROUNDS = 5
_BUDGET, _COUPLED = 6_000, 300
"""Evaluations of a search, with streams held fixed and not."""
_NO_GAIN = 0.002
"""Twice the replicas that take less than this off a stage's percentiles are no use."""
_FAR = (0.5, 0.9, 0.99)
UNPRICED = 1.0
"""Of a GPU for an hour where no price is known: least cost is then fewest GPUs."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PipelinePlan:
    """The replicas of least cost."""

    pipeline: Pipeline
    answer: PipelineAnswer
    search: LeastCost
    """Its lower bound is that of what was proven."""
    doubt: str | None
    """Why that this is the least cost could not be proven; None where it was, with streams as under this plan."""
    one_fewer: tuple[PipelineAnswer | None, ...]
    """By group; None where it is at its least."""
    equal_split: Counts | None
    """Replicas by group where each stage gets an equal part of the objective; None where that is not to be had."""

    def cost(self, counts: Counts) -> float:
        """Of the GPUs for an hour, or the GPUs where no price is known."""
        return Prices(self.pipeline).of(counts)


@dataclass(frozen=True)
class Prices:
    """What a replica of each group costs an hour."""

    pipeline: Pipeline

    @cached_property
    def of_groups(self) -> tuple[float, ...]:
        """The GPUs of a group are those of its stage that needs most of them, at its highest price."""
        return tuple(
            max(self.pipeline.stages[place].gpus_paid for place in group)
            * max((price for price in self._given(group)), default=UNPRICED)
            for group in self.pipeline.groups
        )

    def of(self, counts: Counts) -> float:
        """What these replicas of each group cost an hour."""
        return sum(price * count for price, count in zip(self.of_groups, counts, strict=True))

    @property
    def are_known(self) -> bool:
        """Whether GPUs have prices: those of all groups, or of none."""
        return any(self._given(group) for group in self.pipeline.groups)

    def _given(self, group: Sequence[int]) -> list[float]:
        prices = (self.pipeline.stages[place].gpu_price_per_h for place in group)
        return [price for price in prices if price is not None]


def gpus_of(pipeline: Pipeline, group: Sequence[int]) -> int:
    """GPUs of one replica of a group."""
    return max(pipeline.stages[place].gpus_per_replica for place in group)


class Planner:
    """The search for the least cost."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.model = PipelineModel(pipeline)

    def plan(self) -> PipelinePlan:
        """Least cost under the streams that the plan itself makes. Raises NoFeasiblePlan."""
        least = self._least()
        streams = self.model.streams(least)
        most = self._most(least, streams)
        found = self._settled(least, most, streams)
        search, used = found or (self._coupled(least, most), None)
        if search is None:
            raise self._infeasible(most, streams)
        answer = self._lowered(self.model.answer(search.counts), least)
        doubt, prices = self._doubt(search, answer, used), Prices(self.pipeline)
        if doubt is not None:
            search = replace(search, counts=answer.counts, cost=prices.of(answer.counts), lower_bound=prices.of(least))
            doubt = None if search.is_optimal else doubt  # what the load alone needs
        return PipelinePlan(
            pipeline=self.pipeline,
            answer=answer,
            search=search,
            doubt=doubt,
            one_fewer=tuple(self._fewer(answer.counts, number) for number in range(len(least))),
            equal_split=equal_split(self.model, least, most, answer.streams),
        )

    def _settled(
        self, least: Counts, most: Counts, streams: Sequence[CallStream]
    ) -> tuple[LeastCost, Sequence[CallStream]] | None:
        """The least cost with streams held fixed, and these; again with those of the plan found.

        None where they never agree.
        """
        tried: set[Counts] = set()
        for _ in range(_ROUNDS):
            search = self._search(least, most, partial(self._excess, streams))
            if search is None:
                return None
            answer = self.model.answer(search.counts)
            if self._worst(answer) <= 1.0 and (answer.streams == streams or search.counts in tried):
                return search, streams
            if search.counts in tried:
                return None
            tried.add(search.counts)
            streams = answer.streams
        return None

    def _lowered(self, answer: PipelineAnswer, least: Counts) -> PipelineAnswer:
        """The cheapest plan with a replica fewer that holds with its own streams, for as long as there is one."""
        price = Prices(self.pipeline).of
        while True:
            counts = answer.counts
            fewer = [_moved(counts, number, -1) for number in range(len(least)) if counts[number] > least[number]]
            holds = [each for each in map(self.model.answer, fewer) if self._worst(each) <= 1.0]
            if not holds:
                return answer
            answer = min(holds, key=lambda each: price(each.counts))

    def _doubt(self, search: LeastCost, answer: PipelineAnswer, streams: Sequence[CallStream] | None) -> str | None:
        """Why the proof of a search does not stand: what `least_cost` asks for, or the streams it was made under."""
        slower = [stage.name for stage in self.pipeline.stages if stage.may_slow_with_replicas]
        if slower:
            return f"more replicas may make stage {' and '.join(slower)} slower"
        if answer.counts != search.counts or (streams is not None and not same_streams(streams, answer.streams)):
            return "what arrives at a stage depends on the replicas before it"
        return None if search.is_optimal else "there are too many plans to look at"

    def _coupled(self, least: Counts, most: Counts) -> LeastCost | None:
        """The least cost where every plan is asked with its own streams: slower, and so bounded."""
        return self._search(least, most, lambda counts: self._worst(self.model.answer(counts)), budget=_COUPLED)

    def _search(
        self, least: Counts, most: Counts, excess: Callable[[Counts], float], budget: int = _BUDGET
    ) -> LeastCost | None:
        return least_cost(Prices(self.pipeline).of_groups, least, most, excess, budget=budget)

    def _excess(self, streams: Sequence[CallStream], counts: Counts) -> float:
        """The worst of predicted over limit; infinite when unstable."""
        stages = [self.model.stage(place, stream, counts) for place, stream in enumerate(streams)]
        if not all(stage.stable for stage in stages):
            return math.inf
        return max(
            _statistic(self.model.values(stages, each.metric), each.quantile) / each.limit_s
            for each in self.pipeline.objectives
        )

    def _least(self) -> Counts:
        """The fewest replicas of each group that carry the load at all. Raises NoFeasiblePlan."""
        found = []
        for group in self.pipeline.groups:
            stages = [self.pipeline.stages[place] for place in group]
            low = max(stage.min_replicas for stage in stages)
            top = min(stage.max_replicas for stage in stages)
            busy = sum(self.model.busy(place) for place in group)
            count = max(low, math.floor(busy / SATURATED) + 1)
            if count > top:
                names = " and ".join(stage.name for stage in stages)
                raise NoFeasiblePlan(
                    f"stage {names}: {count:,} replicas are needed for throughput alone, and maxReplicas is {top:,}",
                    remedy="raise maxReplicas, or use a faster profile",
                )
            found.append(count)
        return tuple(found)

    def _most(self, least: Counts, streams: Sequence[CallStream]) -> Counts:
        """Replicas of each group beyond which its stages get no faster, or the most allowed."""
        return tuple(self._enough(number, least[number], streams) for number in range(len(least)))

    def _enough(self, number: int, least: int, streams: Sequence[CallStream]) -> int:
        group = self.pipeline.groups[number]
        top = min(self.pipeline.stages[place].max_replicas for place in group)

        def reached(count: int) -> Array:
            counts = tuple(count if each == number else 1 for each in range(len(self.pipeline.groups)))
            stages = [self.model.stage(place, streams[place], counts) for place in group]
            return np.array([law.quantiles(_FAR) for stage in stages for law in (stage.e2e, stage.ttft) if law])

        count, here = least, reached(least)
        while count < top:
            following = min(2 * count, top)
            there = reached(following)
            if here.size and np.all(there >= (1.0 - _NO_GAIN) * here):
                return count
            count, here = following, there
        return top

    def _worst(self, answer: PipelineAnswer) -> float:
        return max(
            math.inf if (value := answer.value(each)) is None else value / each.limit_s
            for each in self.pipeline.objectives
        )

    def _fewer(self, counts: Counts, number: int) -> PipelineAnswer | None:
        group = self.pipeline.groups[number]
        floor = max(self.pipeline.stages[place].min_replicas for place in group)
        return self.model.answer(_moved(counts, number, -1)) if counts[number] > max(1, floor) else None

    def _infeasible(self, most: Counts, streams: Sequence[CallStream]) -> NoFeasiblePlan:
        """Which objective cannot be met, and which stage takes most of it however many replicas it has."""
        answer = self.model.with_streams(most, streams)
        worst = max(self.pipeline.objectives, key=lambda each: (answer.value(each) or math.inf) / each.limit_s)
        value = answer.value(worst)
        if value is None or answer.passage is None:
            return NoFeasiblePlan(
                "the most replicas allowed cannot carry the load",
                remedy="raise maxReplicas, or use faster profiles",
            )
        place, own = max(
            ((place, self._at_best(answer, place, worst)) for place in range(len(self.pipeline.stages))),
            key=lambda each: each[1],
        )
        stage = self.pipeline.stages[place]
        over = f", which alone exceeds {format_seconds(worst.limit_s)}" if own > worst.limit_s else ""
        capped = stage.service is not None and answer.stages[place].replicas >= stage.max_replicas
        raised = f"raise maxReplicas of {stage.name}, " if capped else ""
        return NoFeasiblePlan(
            f"nothing meets {as_written(worst)}: with as many replicas as help, {worst.metric} {worst.statistic} is "
            f"{format_seconds(value)}, of which stage {stage.name} alone has a {worst.statistic} of "
            f"{format_seconds(own)}{over}",
            remedy=f"{raised}raise that limit above {format_seconds(1.02 * value)}, or use a faster "
            f"{'service' if stage.service is None else 'profile'} for {stage.name}",
        )

    def _at_best(self, answer: PipelineAnswer, place: int, objective: Objective) -> float:
        first = objective.metric == "ttft" and place in self.pipeline.last_makers
        values = self.model.read(answer.stages[place], place, "ttft" if first else "e2e")
        return _statistic(values, objective.quantile)


def _statistic(values: Array, quantile: float | None) -> float:
    if quantile is None:
        return float(values.mean())
    rank = min(max(math.ceil(quantile * values.size) - 1, 0), values.size - 1)
    return float(np.partition(values, rank)[rank])


def _moved(counts: Counts, number: int, by: int) -> Counts:
    return (*counts[:number], counts[number] + by, *counts[number + 1 :])


def make_pipeline_plan(pipeline: Pipeline) -> PipelinePlan:
    """The replicas of least cost that meet every objective. Raises NoFeasiblePlan."""
    return Planner(pipeline).plan()
