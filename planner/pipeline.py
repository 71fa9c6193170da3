"""Planning a pipeline: what given replicas do, and the replicas of least cost that meet its objectives."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.call_stream import CallStream, joined
from models.errors import NoFeasiblePlan
from models.fork_join import Passage, Sampling, pass_through
from models.gpu_sharing import Stretch, stretches
from models.latency_law import LatencyLaw
from models.least_cost import LeastCost, least_cost
from models.objective import Metric, Objective
from planner.objective import as_written
from planner.pipeline_file import Pipeline
from planner.pipeline_stages import StageAnswer, answer_of
from planner.units import format_seconds

Array = NDArray[np.float64]
Counts = tuple[int, ...]
"""Replicas of each group."""

_ROUNDS = 5
_NO_GAIN = 0.002
"""Twice the replicas that take less than this off a stage's far percentile are no use."""
_FAR = (0.5, 0.9, 0.99)
UNPRICED = 1.0
"""Of a GPU for an hour where no price is known: least cost is then fewest GPUs."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PipelineAnswer:
    """What so many replicas of each group do."""

    counts: Counts
    stages: tuple[StageAnswer, ...]
    streams: tuple[CallStream, ...]
    """What arrives at each stage."""
    passage: Passage | None
    """None where a stage is unstable."""
    laws: Mapping[Metric, LatencyLaw]

    @property
    def stable(self) -> bool:
        """Whether every stage carries what comes."""
        return self.passage is not None

    def value(self, objective: Objective) -> float | None:
        """The predicted value that an objective is held against; None when unstable."""
        law = self.laws.get(objective.metric)
        return None if law is None else law.statistic(objective.quantile)

    def meets(self, objective: Objective) -> bool:
        """Whether it holds."""
        value = self.value(objective)
        return value is not None and value <= objective.limit_s


@dataclass(frozen=True, kw_only=True, eq=False)
class PipelinePlan:
    """The replicas of least cost."""

    pipeline: Pipeline
    answer: PipelineAnswer
    search: LeastCost
    one_fewer: tuple[PipelineAnswer | None, ...]
    """By group; None where it is at its least."""
    equal_split: Counts | None
    """Replicas by group where each stage gets an equal part of the objective; None where that is not to be had."""

    def cost(self, counts: Counts) -> float:
        """Of the GPUs for an hour, or the GPUs where no price is known."""
        return sum(price * count for price, count in zip(Prices(self.pipeline).of_groups, counts, strict=True))


@dataclass(frozen=True)
class Prices:
    """What a replica of each group costs an hour."""

    pipeline: Pipeline

    @cached_property
    def of_groups(self) -> tuple[float, ...]:
        """The GPUs of a group are those of its stage that needs most of them, at its highest price."""
        return tuple(
            gpus_of(self.pipeline, group)
            * max(
                UNPRICED if stage.gpu_price_per_h is None else stage.gpu_price_per_h
                for stage in (self.pipeline.stages[place] for place in group)
            )
            for group in self.pipeline.groups
        )

    @property
    def are_known(self) -> bool:
        """Whether every stage with GPUs has a price."""
        return all(stage.gpu_price_per_h is not None for stage in self.pipeline.stages if stage.service is not None)


def gpus_of(pipeline: Pipeline, group: Sequence[int]) -> int:
    """GPUs of one replica of a group."""
    return max(pipeline.stages[place].gpus_per_replica for place in group)


@dataclass(frozen=True, eq=False)
class PipelineModel:
    """Answers about one pipeline; each stage's law is computed once for each number of replicas and stream."""

    pipeline: Pipeline
    _known: dict[tuple[object, ...], StageAnswer] = field(default_factory=dict, repr=False)

    @cached_property
    def sampling(self) -> Sampling:
        """The numbers that all evaluations share."""
        return Sampling.of(self.pipeline.network)

    @cached_property
    def group_of(self) -> Mapping[int, int]:
        """The group of each served stage."""
        return {place: number for number, group in enumerate(self.pipeline.groups) for place in group}

    def answer(self, counts: Counts) -> PipelineAnswer:
        """What so many replicas do: streams first, stage by stage, then the passage of requests."""
        stages, streams = self._through(counts)
        return self._composed(counts, stages, streams)

    def streams(self, counts: Counts) -> tuple[CallStream, ...]:
        """What arrives at each stage with so many replicas."""
        return self._through(counts)[1]

    def stage(self, place: int, stream: CallStream, counts: Counts) -> StageAnswer:
        """One stage alone."""
        number = self.group_of.get(place)
        replicas = 0 if number is None else counts[number]
        key = (place, replicas, _rounded(stream))
        if key not in self._known:
            stretch = self.stretch(place, replicas)
            if isinstance(stretch, float):
                self._known[key] = StageAnswer(replicas=replicas, stable=False, utilization=stretch, leaving=stream)
            else:
                self._known[key] = answer_of(self.pipeline.stages[place], stream, replicas, stretch)
        return self._known[key]

    def with_streams(self, counts: Counts, streams: Sequence[CallStream]) -> PipelineAnswer:
        """The same with what arrives at each stage held fixed: then stages do not depend on each other's replicas."""
        stages = tuple(self.stage(place, stream, counts) for place, stream in enumerate(streams))
        return self._composed(counts, stages, tuple(streams))

    def values(self, stages: Sequence[StageAnswer]) -> dict[Metric, Array]:
        """Latencies of the sampled requests."""
        passage = self._passage(stages)
        found: dict[Metric, Array] = {"e2e": passage.end_to_end}
        last = self.pipeline.first_token_of
        if last is not None:
            here = passage.visited[last]
            found["ttft"] = (passage.ready[last] + self.read(stages[last], last, "ttft"))[here]
        return found

    def _passage(self, stages: Sequence[StageAnswer]) -> Passage:
        latencies = np.array([self.read(stage, place, "e2e") for place, stage in enumerate(stages)])
        return pass_through(self.pipeline.network, self.sampling.visited, latencies)

    def read(self, stage: StageAnswer, place: int, metric: str) -> Array:
        """A stage's latencies of the sampled requests, read once."""
        known = stage.read
        if metric not in known:
            shares = self.sampling.shares[place]
            known[metric] = stage.latencies(shares) if metric == "e2e" else stage.first_tokens(shares)
        return known[metric]

    def _through(self, counts: Counts) -> tuple[tuple[StageAnswer, ...], tuple[CallStream, ...]]:
        pipeline = self.pipeline
        came = CallStream(rate_per_s=pipeline.qps, gap_scv=pipeline.burstiness, long_scv=pipeline.burstiness)
        stages: list[StageAnswer] = []
        streams: list[CallStream] = []
        for place, node in enumerate(pipeline.network.stages):
            rate = pipeline.qps * float(pipeline.network.visit_ratios[place])
            if node.after:
                before = joined([stages[each].leaving for each in node.after], 0.0)
                total = max(rate, pipeline.qps * max(float(pipeline.network.visit_ratios[each]) for each in node.after))
                stream = _at_rate(before, total).thinned(rate / total)
            else:
                stream = came.thinned(rate / pipeline.qps)
            streams.append(stream)
            stages.append(self.stage(place, stream, counts))
        return tuple(stages), tuple(streams)

    def _composed(
        self, counts: Counts, stages: tuple[StageAnswer, ...], streams: tuple[CallStream, ...]
    ) -> PipelineAnswer:
        if not all(stage.stable for stage in stages):
            return PipelineAnswer(counts=counts, stages=stages, streams=streams, passage=None, laws={})
        laws = {metric: LatencyLaw.from_samples(values) for metric, values in self.values(stages).items()}
        return PipelineAnswer(counts=counts, stages=stages, streams=streams, passage=self._passage(stages), laws=laws)

    def stretch(self, place: int, replicas: int) -> Stretch | float | None:
        """How much longer batches take beside those of other stages; a load of 1 or more where they do not fit."""
        number = self.group_of.get(place)
        group = () if number is None else self.pipeline.groups[number]
        if len(group) < 2:
            return None
        alone = [self.busy(each) / replicas for each in group]
        found = stretches(alone)
        return sum(alone) if found is None else found[group.index(place)]

    def busy(self, place: int) -> float:
        """Replicas' worth of GPU time that a stage's full batches take."""
        stage = self.pipeline.stages[place]
        rate = self.pipeline.qps * float(self.pipeline.network.visit_ratios[place]) * stage.calls
        return rate / stage.call_capacity_per_s


def _at_rate(stream: CallStream, rate_per_s: float) -> CallStream:
    return CallStream(rate_per_s=rate_per_s, clump=stream.clump, gap_scv=stream.gap_scv, long_scv=stream.long_scv)


def _rounded(stream: CallStream) -> tuple[float, ...]:
    """Streams that differ by less than predictions do count as one."""
    return tuple(float(f"{value:.3g}") for value in (stream.rate_per_s, stream.clump, stream.gap_scv, stream.long_scv))


class Planner:
    """The search for the least cost."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.model = PipelineModel(pipeline)

    def plan(self) -> PipelinePlan:
        """Least cost under the streams that the plan itself makes. Raises NoFeasiblePlan."""
        least = self._least()
        streams = self.model.streams(least)
        tried: set[Counts] = set()
        while True:
            most = self._most(least, streams)
            search = least_cost(
                Prices(self.pipeline).of_groups, least, most, lambda counts: self._excess(counts, streams)
            )
            if search is None:
                raise self._infeasible(most, streams)
            answer = self.model.answer(search.counts)
            if self._holds(answer) and (search.counts in tried or answer.streams == streams or len(tried) >= _ROUNDS):
                break
            if search.counts in tried or len(tried) >= 2 * _ROUNDS:
                answer = self._raised_until_held(answer, most)
                search = LeastCost(
                    counts=answer.counts, cost=self._cost(answer.counts), lower_bound=search.lower_bound,
                    evaluated=search.evaluated,
                )  # fmt: skip
                break
            tried.add(search.counts)
            streams = answer.streams
        return PipelinePlan(
            pipeline=self.pipeline,
            answer=answer,
            search=search,
            one_fewer=tuple(self._fewer(answer.counts, number, least) for number in range(len(least))),
            equal_split=self._equal_split(least, most, answer.streams),
        )

    def _holds(self, answer: PipelineAnswer) -> bool:
        return all(answer.meets(each) for each in self.pipeline.objectives)

    def _cost(self, counts: Counts) -> float:
        return sum(price * count for price, count in zip(Prices(self.pipeline).of_groups, counts, strict=True))

    def _excess(self, counts: Counts, streams: Sequence[CallStream]) -> float:
        """The worst of predicted over limit; infinite when unstable."""
        stages = [self.model.stage(place, stream, counts) for place, stream in enumerate(streams)]
        if not all(stage.stable for stage in stages):
            return math.inf
        values = self.model.values(stages)
        return max(_statistic(values[each.metric], each.quantile) / each.limit_s for each in self.pipeline.objectives)

    def _least(self) -> Counts:
        """The fewest replicas of each group that carry the load at all. Raises NoFeasiblePlan."""
        found = []
        for group in self.pipeline.groups:
            stages = [self.pipeline.stages[place] for place in group]
            low = max(stage.min_replicas for stage in stages)
            top = min(stage.max_replicas for stage in stages)
            busy = sum(self.model.busy(place) for place in group)
            count = max(low, math.floor(busy / 0.995) + 1)
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

    def _raised_until_held(self, answer: PipelineAnswer, most: Counts) -> PipelineAnswer:
        """Where streams and replicas chase each other: one more where it helps most, until the objectives hold."""
        while not self._holds(answer):
            options = [
                self.model.answer(_moved(answer.counts, number, 1))
                for number in range(len(most)) if answer.counts[number] < most[number]
            ]  # fmt: skip
            if not options:
                raise self._infeasible(most, answer.streams)
            answer = min(options, key=self._worst)
        return answer

    def _worst(self, answer: PipelineAnswer) -> float:
        return max(
            math.inf if (value := answer.value(each)) is None else value / each.limit_s
            for each in self.pipeline.objectives
        )

    def _fewer(self, counts: Counts, number: int, least: Counts) -> PipelineAnswer | None:
        group = self.pipeline.groups[number]
        floor = max(self.pipeline.stages[place].min_replicas for place in group)
        del least
        return self.model.answer(_moved(counts, number, -1)) if counts[number] > max(1, floor) else None

    def _equal_split(self, least: Counts, most: Counts, streams: Sequence[CallStream]) -> Counts | None:
        """What each stage needs alone where its path's stages get equal parts of every objective."""
        need = list(least)
        for objective in self.pipeline.objectives:
            for place, limit in enumerate(self._equal_limits(objective, streams)):
                if limit is None:
                    continue
                number = self.model.group_of[place]
                found = self._alone(place, number, need[number], most[number], objective, limit, streams)
                if found is None:
                    return None
                need[number] = found
        return tuple(need)

    def _equal_limits(self, objective: Objective, streams: Sequence[CallStream]) -> list[float | None]:
        """By stage: the limit less the fixed delays of the path with most stages through it, over those stages."""
        network, last = self.pipeline.network, self.pipeline.first_token_of
        count = len(network.stages)
        delay = [
            0.0 if stage.delay is None
            else float(self.model.stage(place, streams[place], ()).latencies(np.array([objective.quantile or 0.5]))[0])
            for place, stage in enumerate(self.pipeline.stages)
        ]  # fmt: skip
        served = [int(stage.service is not None) for stage in self.pipeline.stages]
        upto = [(0, 0.0)] * count
        for place, node in enumerate(network.stages):
            most, late = max((upto[each] for each in node.after), default=(0, 0.0))
            upto[place] = (most + served[place], late + delay[place])
        onward: list[tuple[int, float] | None] = [None] * count
        for place in reversed(range(count)):
            following = [
                onward[each] for each in range(place + 1, count)
                if place in network.stages[each].after and onward[each] is not None
            ]  # fmt: skip
            ends = place == last if objective.metric == "ttft" else not following
            if ends:
                onward[place] = (0, 0.0)
            elif following:
                onward[place] = max(
                    (each[0] + served[nxt], each[1] + delay[nxt])
                    for nxt in range(place + 1, count)
                    if place in network.stages[nxt].after and (each := onward[nxt]) is not None
                )
        limits: list[float | None] = []
        for place in range(count):
            ahead = onward[place]
            if not served[place] or ahead is None:
                limits.append(None)
                continue
            stages, late = upto[place][0] + ahead[0], upto[place][1] + ahead[1]
            limits.append((objective.limit_s - late) / stages)
        return limits

    def _alone(
        self, place: int, number: int, least: int, most: int, objective: Objective, limit_s: float,
        streams: Sequence[CallStream],
    ) -> int | None:  # fmt: skip
        for count in range(least, most + 1):
            counts = tuple(count if each == number else 1 for each in range(len(self.pipeline.groups)))
            stage = self.model.stage(place, streams[place], counts)
            first = objective.metric == "ttft" and place == self.pipeline.first_token_of
            law = stage.ttft if first else stage.e2e
            if law is not None and law.statistic(objective.quantile) <= limit_s:
                return count
        return None

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
        name, own = max(
            ((stage.name, self._at_best(answer, place, worst)) for place, stage in enumerate(self.pipeline.stages)),
            key=lambda each: each[1],
        )
        over = f", which alone exceeds {format_seconds(worst.limit_s)}" if own > worst.limit_s else ""
        return NoFeasiblePlan(
            f"nothing meets {as_written(worst)}: with as many replicas as help, {worst.metric} {worst.statistic} is "
            f"{format_seconds(value)}, of which stage {name} alone has a {worst.statistic} of {format_seconds(own)}"
            f"{over}",
            remedy=f"raise that limit above {format_seconds(1.02 * value)}, or use a faster profile for {name}",
        )

    def _at_best(self, answer: PipelineAnswer, place: int, objective: Objective) -> float:
        first = objective.metric == "ttft" and place == self.pipeline.first_token_of
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
