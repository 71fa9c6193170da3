"""What a profile says of a load, for decisions: replicas needed, and what a given number does.

There is no second formula: `planner.service` sizes and predicts. Loads are put on a grid of 1 %, rounded up, so that a
steady load asks the same question again and its answer is remembered.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from models.errors import InvalidInput, NoFeasiblePlan
from models.objective import Metric, Objective
from models.token_lengths import TokenLengths
from models.workload import OpenArrivals
from planner.objective import as_written
from planner.profile import EngineProfile
from planner.service import Service, ServiceAnswer

GRID = 1.01
LEAST = 1e-9
"""Of a length or a rate that is told as nothing at all: what the model makes of it is its affair."""
LEAST_RATE_PER_S = 1e-6
"""What stands for no arrivals at all."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What arrives at the target."""

    rate_per_s: float
    prompt_tokens: float | None = None
    output_tokens: float | None = None
    input_cv: float = 0.0
    output_cv: float = 1.0
    burstiness: float = 1.0
    slowdown: float = 1.0
    """Factor on the profile's times."""

    def _require_meant(self) -> None:
        for name, value, least in (
            ("requests a second", self.rate_per_s, -math.inf),
            ("prompt tokens", self.prompt_tokens, 0.0),
            ("output tokens", self.output_tokens, 0.0),
            ("the factor on the profile's times", self.slowdown, 0.0),
        ):
            if value is not None and not least < value < math.inf:
                raise InvalidInput(f"{name} cannot be {value:g}", remedy="look at what the engines count")

    def rounded(self) -> Load:
        """The least load of the grid that is no smaller. Raises InvalidInput for one that cannot be."""
        self._require_meant()

        def up(value: float | None) -> float | None:
            return None if value is None else GRID ** math.ceil(math.log(max(value, LEAST), GRID) - 1e-9)

        return replace(
            self,
            rate_per_s=up(max(self.rate_per_s, LEAST_RATE_PER_S)) or LEAST_RATE_PER_S,
            prompt_tokens=up(self.prompt_tokens),
            output_tokens=up(self.output_tokens),
            slowdown=round(self.slowdown, 2),
        )


@dataclass(frozen=True, kw_only=True)
class ObjectiveValue:
    """An objective and what it is predicted to be, seconds; None where the load cannot be carried."""

    objective: str
    limit_s: float
    value_s: float | None

    @property
    def met(self) -> bool:
        """Whether it holds."""
        return self.value_s is not None and self.value_s <= self.limit_s


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """The least replicas, what they do, and what one fewer would do."""

    replicas: int
    binding: str
    values: tuple[ObjectiveValue, ...]
    one_fewer: tuple[ObjectiveValue, ...] = ()
    infeasible: str = ""
    """Why no number meets the objectives; `replicas` then are those that carry the load at all."""


@dataclass(frozen=True, kw_only=True)
class Means:
    """Predicted means that are held against measured ones, seconds; None where the load cannot be carried."""

    ttft_s: float | None
    itl_s: float | None
    e2e_s: float | None
    queue_s: float | None
    """From arrival to a seat."""
    utilization: float
    """Arrivals over capacity."""


@dataclass(frozen=True, kw_only=True)
class _Figures:
    """What is kept of a prediction: its laws are a hundred times as large."""

    values: tuple[ObjectiveValue, ...]
    means: Means
    longest_s: float | None


_Asked = tuple[Load, int, tuple[Objective, ...]]


class CapacityModel:
    """One version of one profile. Answers are remembered; the same question always has the same answer."""

    def __init__(self, profile: EngineProfile, *, remembered: int = 16384) -> None:
        self.profile = profile
        self._size = lru_cache(maxsize=remembered)(self._sized)
        self._remembered, self._figures_of = remembered, OrderedDict[_Asked, _Figures]()

    @property
    def questions(self) -> int:
        """Loads that were sized, each once."""
        return self._size.cache_info().misses

    @property
    def makes_tokens(self) -> bool:
        """Whether lengths of requests matter."""
        return self.profile.spec.engine != "triton"

    @property
    def gpus_per_replica(self) -> int:
        """GPUs of one replica."""
        return self.profile.spec.gpu.per_replica

    @property
    def cold_start_s(self) -> float | None:
        """From a raised number to Ready, in nineteen of twenty starts; None where it was not measured."""
        return None if self.profile.spec.cold_start is None else self.profile.spec.cold_start.p95

    def knows(self, load: Load) -> bool:
        """Whether more can be said of a load than that it takes a replica: lengths that matter must be known."""
        return not self.makes_tokens or None not in (load.prompt_tokens, load.output_tokens)

    def required(self, load: Load, objectives: tuple[Objective, ...]) -> Requirement:
        """The least replicas for a load. Raises InvalidInput for one that is none."""
        if not self.knows(load):
            return Requirement(replicas=1, binding="", values=())
        return self._size(load.rounded(), objectives)

    def values(self, load: Load, replicas: int, objectives: tuple[Objective, ...]) -> tuple[ObjectiveValue, ...]:
        """What so many replicas do to each objective; nothing where that is not known."""
        if not self.knows(load):
            return ()
        return self._figures(load.rounded(), replicas, objectives).values

    def means(self, load: Load, replicas: int) -> Means:
        """Predicted means."""
        return self._figures(load.rounded(), replicas, ()).means

    def longest_s(self, load: Load, replicas: int, objectives: tuple[Objective, ...] = ()) -> float | None:
        """The e2e latency that one in a thousand requests exceeds; `objectives` are those of the same question."""
        if not self.knows(load):
            return None
        return self._figures(load.rounded(), replicas, objectives).longest_s

    def _figures(self, load: Load, replicas: int, objectives: tuple[Objective, ...]) -> _Figures:
        known = self._figures_of.get((load, replicas, objectives))
        if known is None:
            known = self._kept(load, self._service(load).predict(replicas), objectives)
        return known

    def _kept(self, load: Load, found: ServiceAnswer, objectives: tuple[Objective, ...]) -> _Figures:
        ttft_s, itl_s, e2e_s, queue_s = (
            None if (law := found.laws.get(name)) is None else law.mean_s * load.slowdown for name in _MEANS
        )
        e2e = found.laws.get("e2e")
        figures = _Figures(
            values=_values(found, objectives, load.slowdown),
            means=Means(ttft_s=ttft_s, itl_s=itl_s, e2e_s=e2e_s, queue_s=queue_s, utilization=found.utilization),
            longest_s=None if e2e is None else e2e.quantile(0.999) * load.slowdown,
        )
        self._figures_of[load, found.replicas, objectives] = figures
        if len(self._figures_of) > self._remembered:
            self._figures_of.popitem(last=False)
        return figures

    def _service(self, load: Load) -> Service:
        """Times that are `slowdown` as long are the same system on a slower clock, under a rate as much higher."""
        lengths = None
        if self.makes_tokens and load.prompt_tokens is not None and load.output_tokens is not None:
            lengths = TokenLengths.of(
                load.prompt_tokens, load.output_tokens, prompt_cv=load.input_cv, output_cv=load.output_cv
            )
        arrivals = OpenArrivals(rate_per_s=load.rate_per_s * load.slowdown, burstiness=load.burstiness)
        return Service(profile=self.profile, arrivals=arrivals, lengths=lengths)

    def _sized(self, load: Load, objectives: tuple[Objective, ...]) -> Requirement:
        service = self._service(load)
        limits = [replace(each, limit_s=each.limit_s / load.slowdown) for each in objectives]
        try:
            plan = service.size(limits)
        except NoFeasiblePlan as error:
            carrying = math.floor(service.arrivals.rate_per_s / service.capacity_per_s) + 1
            values = self._kept(load, service.predict(carrying), objectives).values
            return Requirement(
                replicas=carrying, binding=_worst(values), values=values, infeasible=f"{error}; {error.remedy}"
            )
        values = self._kept(load, plan.at, objectives).values
        fewer = () if plan.one_fewer is None else self._kept(load, plan.one_fewer, objectives).values
        broken = [each for each in fewer if not each.met]
        return Requirement(
            replicas=plan.replicas, binding=_worst(broken or values), values=values, one_fewer=tuple(fewer)
        )


_MEANS: tuple[Metric, ...] = ("ttft", "itl", "e2e", "queue")


def _values(found: ServiceAnswer, objectives: Sequence[Objective], slowdown: float) -> tuple[ObjectiveValue, ...]:
    rows = []
    for each in objectives:
        value = found.value(each)
        rows.append(
            ObjectiveValue(
                objective=as_written(each),
                limit_s=each.limit_s,
                value_s=None if value is None else value * slowdown,
            )
        )
    return tuple(rows)


def _worst(values: Sequence[ObjectiveValue]) -> str:
    def share(each: ObjectiveValue) -> float:
        return math.inf if each.value_s is None else each.value_s / each.limit_s

    return max(values, key=share).objective
