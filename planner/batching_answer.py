"""Questions to Triton's batchers and their answers: requests have no tokens, latencies are `queue` and `e2e`.

Where sequences or streams hold slots (`models.sequence_slots`), a request is a whole one of these.

With a queue delay Triton may close batches in two ways (`models.batcher.DispatchRule`), and follows neither all the
time (docs/batching-accuracy.md). Both are predicted; an objective holds where it holds under both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from models.batcher import Batcher, DispatchRule
from models.dynamic_batching import BatchingBracket, bracket
from models.errors import InvalidInput
from models.latency_law import LatencyLaw
from models.objective import Metric, Objective
from models.prediction import Routing
from models.sequence_slots import SlotPrediction, Slots, predict_slots
from models.workload import OpenArrivals
from planner.objective import as_written
from planner.profile import EngineProfile

if TYPE_CHECKING:
    from models.simulation.slots import SlotSimulation

BATCHING_METRICS: tuple[Metric, ...] = ("queue", "e2e")
BURSTIEST = 20.0
"""Squared coefficient of variation of the gaps up to which predictions were checked."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchingAnswer:
    """What so many replicas do, predicted or simulated; without a queue delay both rules are the same."""

    replicas: int
    load: float
    """Arrival rate over capacity."""
    laws: Mapping[DispatchRule, Mapping[Metric, LatencyLaw]]
    """Empty where more arrives than can be served."""
    mean_batch: Mapping[DispatchRule, float]
    """Requests over executions; where slots are held, the mean number held."""
    utilization: float
    """Mean share of the instances that are busy, under the rule that keeps them busier; or of the slots held."""
    found: BatchingBracket | None = None
    """Where it was predicted, of a batcher: what was predicted."""

    @property
    def delay_only_costs(self) -> bool:
        """Whether the queue delay lowers no latency; where nothing was predicted, that is not known."""
        return self.found is not None and self.found.delay_only_costs

    @property
    def stable(self) -> bool:
        """Whether the queue does not grow for ever."""
        return bool(self.laws)

    def statistic(self, metric: Metric, quantile: float | None) -> float | None:
        """The higher of both rules, seconds; None when unstable."""
        return max((laws[metric].statistic(quantile) for laws in self.laws.values()), default=None)

    def value(self, objective: Objective) -> float | None:
        """The value that an objective is held against."""
        return self.statistic(objective.metric, objective.quantile)

    def meets(self, objective: Objective) -> bool:
        """Whether it holds under both rules."""
        value = self.value(objective)
        return value is not None and value <= objective.limit_s


@dataclass(frozen=True, kw_only=True)
class BatchingQuestion:
    """A profile of engine triton under a load."""

    profile: EngineProfile
    arrivals: OpenArrivals
    objectives: tuple[Objective, ...] = ()
    routing: Routing = Routing.RANDOM
    gpu_price_per_h: float | None = None
    assumptions: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        for objective in self.objectives:
            if objective.metric not in BATCHING_METRICS:
                raise InvalidInput(
                    f"objective {as_written(objective)}: profile {self.profile.name} is of a dynamic batcher, whose "
                    "answers have no tokens",
                    remedy="use e2e (the whole latency) or queue (the wait for a batch)",
                )
        if self.routing is Routing.LEAST_OUTSTANDING:
            raise InvalidInput(
                "--routing least-outstanding is not modelled for a dynamic batcher",
                remedy="use random, which is never better, or round-robin",
            )

    @property
    def batcher(self) -> Batcher:
        """One replica whose requests are batched whole."""
        return self.profile.to_batcher()

    @property
    def slots(self) -> Slots | None:
        """One replica whose slots are held; None where requests are batched whole."""
        return self.profile.to_slots()

    @property
    def capacity_per_s(self) -> float:
        """The rate that one replica carries at most."""
        slots = self.slots
        return self.batcher.capacity_per_s if slots is None else slots.capacity_per_s

    def share(self, replicas: int) -> OpenArrivals:
        """What one of the replicas gets: thinned at random, or every n-th request."""
        scv = self.arrivals.burstiness
        scv = scv / replicas if self.routing is Routing.ROUND_ROBIN else 1.0 + (scv - 1.0) / replicas
        return OpenArrivals(rate_per_s=self.arrivals.rate_per_s / replicas, burstiness=scv)


def predict_replicas(question: BatchingQuestion, replicas: int) -> BatchingAnswer:
    """What so many replicas do."""
    share, slots = question.share(replicas), question.slots
    if slots is not None:
        return _of_slots(replicas, slots, share, predict_slots(slots, share))
    found = bracket(question.batcher, share)
    laws: dict[DispatchRule, dict[Metric, LatencyLaw]] = {}
    for rule, each in found.by_rule.items():
        if each.queue is not None and each.e2e is not None:
            laws[rule] = {"queue": each.queue, "e2e": each.e2e}
    return BatchingAnswer(
        replicas=replicas,
        load=next(iter(found.by_rule.values())).load,
        laws=laws,
        mean_batch={rule: each.mean_batch for rule, each in found.by_rule.items()},
        utilization=max(each.utilization for each in found.by_rule.values()),
        found=found,
    )


def simulate_replicas(question: BatchingQuestion, replicas: int, *, requests: int, seed: int) -> BatchingAnswer:
    """The same by simulation: of one replica with its share, as all are alike."""
    from models.simulation.batching import simulate_batching

    share, slots = question.share(replicas), question.slots
    if slots is not None:
        from models.simulation.slots import simulate_slots

        return _of_slots(replicas, slots, share, simulate_slots(slots, share, requests=requests, seed=seed))
    batcher = question.batcher
    rules = tuple(DispatchRule) if batcher.max_queue_delay_s > 0.0 else (DispatchRule.WHEN_IDLE,)
    seen = {rule: simulate_batching(batcher, share, rule=rule, requests=requests, seed=seed) for rule in rules}
    stable = all(each.stable for each in seen.values())
    laws: dict[DispatchRule, dict[Metric, LatencyLaw]] = {
        rule: {"queue": each.queue, "e2e": each.e2e} for rule, each in seen.items() if stable
    }
    return BatchingAnswer(
        replicas=replicas,
        load=share.rate_per_s / batcher.capacity_per_s,
        laws=laws,
        mean_batch={rule: each.mean_batch for rule, each in seen.items()},
        utilization=max(each.utilization for each in seen.values()),
    )


def _of_slots(
    replicas: int, slots: Slots, share: OpenArrivals, found: SlotPrediction | SlotSimulation
) -> BatchingAnswer:
    rule = DispatchRule.WHEN_IDLE
    laws: dict[DispatchRule, Mapping[Metric, LatencyLaw]] = {}
    if found.stable and found.queue is not None and found.e2e is not None:
        laws = {rule: {"queue": found.queue, "e2e": found.e2e}}
    return BatchingAnswer(
        replicas=replicas,
        load=share.rate_per_s / slots.capacity_per_s,
        laws=laws,
        mean_batch={rule: found.held},
        utilization=min(1.0, found.held / slots.count),
    )


def nearest(answer: BatchingAnswer, objectives: Sequence[Objective]) -> Objective:
    """The objective nearest to its limit, or furthest beyond it."""

    def share(objective: Objective) -> float:
        value = answer.value(objective)
        return math.inf if value is None else value / objective.limit_s

    return max(objectives, key=share)
