"""A service: an engine profile under an open load. One way to predict and to size it, whatever its engine.

Commands that plan several services together (pack, pipeline, compare, topology) ask here; the formulas stay those of
`planner.sizing` and `planner.batching_sizing`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from models.capacity import capacity
from models.continuous_batching import predict
from models.errors import InvalidInput
from models.latency_law import LatencyLaw, slower_of
from models.objective import Metric, Objective
from models.prediction import Prediction, Routing
from models.token_lengths import TokenLengths
from models.workload import OpenArrivals, Workload
from planner.batching_answer import BatchingAnswer, BatchingQuestion, predict_replicas
from planner.batching_fields import plan_fields
from planner.batching_sizing import size_batching
from planner.profile import EngineProfile
from planner.sizing import MAX_REPLICAS
from planner.sizing_request import SizingRequest, make_plan


@dataclass(frozen=True, kw_only=True, eq=False)
class ServiceAnswer:
    """What so many replicas of a service do."""

    replicas: int
    stable: bool
    utilization: float
    """Arrival rate over the capacity of all replicas."""
    laws: Mapping[Metric, LatencyLaw]
    """None of them when unstable; a dynamic batcher has `queue` and `e2e` alone."""

    def value(self, objective: Objective) -> float | None:
        """The value that an objective is held against, seconds; None when unstable."""
        law = self.laws.get(objective.metric)
        return None if law is None else law.statistic(objective.quantile)

    def meets(self, objective: Objective) -> bool:
        """Whether it holds; an unstable service meets none."""
        value = self.value(objective)
        return value is not None and value <= objective.limit_s


@dataclass(frozen=True, kw_only=True, eq=False)
class ServicePlan:
    """The least replicas of a service, and what one fewer would do."""

    at: ServiceAnswer
    one_fewer: ServiceAnswer | None
    gpus: int
    fields: Mapping[str, Any]
    """What `planner size -o json` says of it."""

    @property
    def replicas(self) -> int:
        """The least that meet every objective."""
        return self.at.replicas


@dataclass(frozen=True, kw_only=True)
class Service:
    """A profile under arrivals from outside; `lengths` for engines that make tokens, None for dynamic batchers."""

    profile: EngineProfile
    arrivals: OpenArrivals
    lengths: TokenLengths | None = None
    prefix_hit_rate: float = 0.0
    routing: Routing = Routing.RANDOM
    gpu_price_per_h: float | None = None
    assumptions: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.makes_tokens and self.lengths is None:
            raise InvalidInput(
                f"profile {self.profile.name} is of an engine that makes tokens: it needs inputTokens and outputTokens",
                remedy="say how long prompts and answers are",
            )
        if not self.makes_tokens and self.lengths is not None:
            raise InvalidInput(
                f"profile {self.profile.name} is of a dynamic batcher, whose requests have no tokens",
                remedy="drop inputTokens and outputTokens",
            )

    @property
    def makes_tokens(self) -> bool:
        """Whether the engine generates: vLLM, or TensorRT-LLM in Triton."""
        return self.profile.spec.engine != "triton"

    @cached_property
    def capacity_per_s(self) -> float:
        """Requests per second that one replica carries at most."""
        if self.lengths is None:
            return self._batching(()).capacity_per_s
        return capacity(self.profile.to_engine(), self.lengths, self.prefix_hit_rate).requests_per_s

    def at_rate(self, rate_per_s: float) -> Service:
        """The same service under another rate."""
        return replace(self, arrivals=replace(self.arrivals, rate_per_s=rate_per_s))

    def predict(self, replicas: int) -> ServiceAnswer:
        """What so many replicas do."""
        if self.lengths is None:
            return _of_batcher(predict_replicas(self._batching(()), replicas))
        found = predict(self.profile.to_engine(), self._workload(self.lengths), replicas=replicas, routing=self.routing)
        return _of_tokens(replicas, found)

    def size(self, objectives: Sequence[Objective], *, max_replicas: int = MAX_REPLICAS) -> ServicePlan:
        """The least replicas that meet every objective. Raises NoFeasiblePlan where there are none."""
        if self.lengths is None:
            question = self._batching(objectives)
            found = size_batching(question, max_replicas=max_replicas)
            return self._plan(
                _of_batcher(found.answer),
                None if found.one_fewer is None else _of_batcher(found.one_fewer),
                plan_fields(question, found),
            )
        plan = make_plan(
            SizingRequest(
                profile=self.profile,
                workload=self._workload(self.lengths),
                objectives=tuple(objectives),
                routing=self.routing,
                max_replicas=max_replicas,
                gpu_price_per_h=self.gpu_price_per_h,
                assumptions=self.assumptions,
                with_range=False,
            )
        )
        count, fewer = plan.sizing.replicas, plan.sizing.one_fewer
        return self._plan(
            _of_tokens(count, plan.sizing.prediction),
            None if fewer is None else _of_tokens(count - 1, fewer),
            plan.as_dict(),
        )

    def _plan(self, at: ServiceAnswer, fewer: ServiceAnswer | None, fields: Mapping[str, Any]) -> ServicePlan:
        return ServicePlan(at=at, one_fewer=fewer, gpus=at.replicas * self.profile.spec.gpu.per_replica, fields=fields)

    def _workload(self, lengths: TokenLengths) -> Workload:
        return Workload(arrivals=self.arrivals, lengths=lengths, prefix_hit_rate=self.prefix_hit_rate)

    def _batching(self, objectives: Sequence[Objective]) -> BatchingQuestion:
        return BatchingQuestion(
            profile=self.profile,
            arrivals=self.arrivals,
            objectives=tuple(objectives),
            routing=self.routing,
            gpu_price_per_h=self.gpu_price_per_h,
            assumptions=self.assumptions,
        )


def _of_tokens(replicas: int, found: Prediction) -> ServiceAnswer:
    return ServiceAnswer(replicas=replicas, stable=found.stable, utilization=found.utilization, laws=found.laws)


def _of_batcher(found: BatchingAnswer) -> ServiceAnswer:
    """With a queue delay there are two ways to dispatch: the slower one at each share."""
    by_rule = tuple(found.laws.values())
    metrics: tuple[Metric, ...] = ("queue", "e2e") if by_rule else ()
    return ServiceAnswer(
        replicas=found.replicas,
        stable=found.stable,
        utilization=found.load,
        laws={metric: slower_of([laws[metric] for laws in by_rule]) for metric in metrics},
    )
