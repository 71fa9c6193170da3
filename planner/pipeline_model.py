"""What given replicas of a pipeline do: streams from stage to stage, each stage's law, and requests through them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.call_stream import CallStream, joined
from models.fork_join import Passage, Sampling, pass_through
from models.latency_law import LatencyLaw
from models.neighbour_slowdown import Running, Stretch, stretches
from models.objective import Metric, Objective
from models.stage_network import Truth
from planner.pipeline_file import Pipeline
from planner.pipeline_stages import SATURATED, StageAnswer, answer_of, mean_batch_of

Array = NDArray[np.float64]
Counts = tuple[int, ...]
"""Replicas of each group of stages that are placed together."""

_STRETCH_ROUNDS = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class PipelineAnswer:
    """What so many replicas of each group do."""

    counts: Counts
    stages: tuple[StageAnswer, ...]
    streams: tuple[CallStream, ...]
    """What arrives at each stage."""
    passage: Passage | None
    """None where a stage is unstable."""
    first_passage: Passage | None
    """The same up to the first token; None where no stage makes tokens."""
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

    def way(self, metric: Metric) -> Passage | None:
        """The passage that a metric is the end of."""
        return self.first_passage if metric == "ttft" else self.passage


@dataclass(frozen=True, eq=False)
class PipelineModel:
    """Answers about one pipeline; each stage's law is computed once for each number of replicas and stream."""

    pipeline: Pipeline
    _known: dict[tuple[object, ...], StageAnswer] = field(default_factory=dict, repr=False)
    _stretches: dict[tuple[object, ...], tuple[Stretch, ...]] = field(default_factory=dict, repr=False)

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

    def values(self, stages: Sequence[StageAnswer], metric: Metric) -> Array:
        """Latencies of the sampled requests; of first tokens, those of requests that get some."""
        if metric == "ttft":
            first = self._first_passage(stages)
            assert first is not None
            return first.end_to_end
        return self._passage(stages).end_to_end

    def _passage(self, stages: Sequence[StageAnswer]) -> Passage:
        latencies = np.array([self.read(stage, place, "e2e") for place, stage in enumerate(stages)])
        return pass_through(self.pipeline.network, self.sampling.visited, latencies)

    def _first_passage(self, stages: Sequence[StageAnswer]) -> Passage | None:
        here, visited, last = self._first_tokens
        if not here.any():
            return None
        latencies = np.array([self.read(stage, place, "e2e")[here] for place, stage in enumerate(stages)])
        for place in self.pipeline.makers:
            latencies[place] = np.where(last[place], self.read(stages[place], place, "ttft")[here], latencies[place])
        return pass_through(self.pipeline.network, visited, latencies)

    @cached_property
    def _first_tokens(self) -> tuple[Truth, Truth, Truth]:
        """Which draws get tokens (draws,); of these, the stages up to their first token, and which of them makes it.

        It is that of whichever stage makes tokens last; of several that do, each with none after it, the latest.
        """
        network, visited = self.pipeline.network, self.sampling.visited
        last = network.last_of(self.pipeline.makers, visited)
        here = np.asarray(last.any(axis=0))
        return here, network.leading_to(last, visited)[:, here], last[:, here]

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
            # In the long run a stage sees the requests that visit it, by whichever way and however long after.
            visits = float(pipeline.network.visit_ratios[place])
            stream = replace(stream, long_scv=1.0 + visits * (pipeline.burstiness - 1.0))
            streams.append(stream)
            stages.append(self.stage(place, stream, counts))
        return tuple(stages), tuple(streams)

    def _composed(
        self, counts: Counts, stages: tuple[StageAnswer, ...], streams: tuple[CallStream, ...]
    ) -> PipelineAnswer:
        if not all(stage.stable for stage in stages):
            return PipelineAnswer(
                counts=counts, stages=stages, streams=streams, passage=None, first_passage=None, laws={}
            )
        passage, first = self._passage(stages), self._first_passage(stages)
        laws: dict[Metric, LatencyLaw] = {"e2e": LatencyLaw.from_samples(passage.end_to_end)}
        if first is not None:
            laws["ttft"] = LatencyLaw.from_samples(first.end_to_end)
        return PipelineAnswer(
            counts=counts, stages=stages, streams=streams, passage=passage, first_passage=first, laws=laws
        )

    def stretch(self, place: int, replicas: int) -> Stretch | float | None:
        """How much longer batches take beside those of other stages; a load of 1 or more where they do not fit."""
        number = self.group_of.get(place)
        group = () if number is None else self.pipeline.groups[number]
        if len(group) < 2:
            return None
        full = sum(self.busy(each) / replicas for each in group)
        if full >= SATURATED:
            return full
        key = ("stretches", number, replicas)
        if key not in self._stretches:
            self._stretches[key] = self._settled_stretches(group, replicas)
        return self._stretches[key][group.index(place)]

    def _settled_stretches(self, group: Sequence[int], replicas: int) -> tuple[Stretch, ...]:
        """Longer batches leave more waiting, and so the next ones larger: in turn until both agree.

        Each stage's calls are taken to arrive at random here.
        """
        found = tuple(Stretch() for _ in group)
        for _ in range(_STRETCH_ROUNDS):
            alone = [self._alone(place, replicas, each) for place, each in zip(group, found, strict=True)]
            over = max(1.0, sum(each.share for each in alone) / SATURATED)
            found = stretches([replace(each, share=each.share / over) for each in alone]) or found
        return found

    def _alone(self, place: int, replicas: int, stretch: Stretch) -> Running:
        """What batches as large as under a stretch would do without it."""
        stage = self.pipeline.stages[place]
        assert stage.service is not None
        stream = CallStream(rate_per_s=self.pipeline.qps * float(self.pipeline.network.visit_ratios[place]))
        mean_batch = mean_batch_of(stage, stream, replicas, stretch)
        batcher = stage.service.profile.to_batcher()
        seconds = float(np.interp(mean_batch, np.arange(1.0, batcher.max_batch_size + 1.0), batcher.means_s[1:]))
        rate = stream.rate_per_s * stage.calls / replicas / mean_batch
        return Running(share=rate * seconds / batcher.instances, batch_s=seconds)

    def busy(self, place: int) -> float:
        """Replicas' worth of GPU time that a stage's full batches take."""
        stage = self.pipeline.stages[place]
        rate = self.pipeline.qps * float(self.pipeline.network.visit_ratios[place]) * stage.calls
        return rate / stage.call_capacity_per_s


def _at_rate(stream: CallStream, rate_per_s: float) -> CallStream:
    return CallStream(rate_per_s=rate_per_s, clump=stream.clump, gap_scv=stream.gap_scv, long_scv=stream.long_scv)


def same_streams(one: Sequence[CallStream], other: Sequence[CallStream]) -> bool:
    """Whether predictions under both are the same."""
    return [_rounded(each) for each in one] == [_rounded(each) for each in other]


def _rounded(stream: CallStream) -> tuple[float, ...]:
    """Streams that differ by less than predictions do count as one."""
    return tuple(float(f"{value:.3g}") for value in (stream.rate_per_s, stream.clump, stream.gap_scv, stream.long_scv))
