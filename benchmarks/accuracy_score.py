"""Score a prediction against what was observed, and say by rule why it is off."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from benchmarks.accuracy_cases import Case, workload
from benchmarks.accuracy_observed import LEVELS, METRICS, QUANTILES, Observed, free_objectives, tight_objectives
from models.continuous_batching import predict
from models.errors import NoFeasiblePlan
from models.prediction import Prediction, Routing
from planner.sizing import size

JUMP = 0.25
"""A percentile is at a jump if the share on the wrong side is below this part of the shares on the smaller side."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """One percentile: prediction against simulation."""

    case: Case
    metric: str
    quantile: float
    predicted_s: float
    simulated_s: float
    bottleneck: str
    reason: str

    @property
    def error(self) -> float:
        """Relative error; infinite where a stable system was called unstable."""
        return abs(self.predicted_s / self.simulated_s - 1.0)

    @property
    def name(self) -> str:
        return f"{self.metric} p{100 * self.quantile:.0f}"


@dataclass(frozen=True, kw_only=True)
class Count:
    """Least replicas by prediction and by simulation; None where no number would do by prediction."""

    case: Case
    tight: bool
    """Whether the limits are just above what the count reaches; else they know nothing of counts."""
    predicted: int | None
    simulated: int


def scores(case: Case, observed: Observed) -> list[Score]:
    """All percentiles of a case that the simulator found stable."""
    if not observed.stable:
        return []
    found = predict(case.engine, workload(case, observed.saturation), replicas=case.replicas, routing=case.routing)
    return [
        Score(
            case=case,
            metric=metric,
            quantile=q,
            predicted_s=found.laws[metric].quantile(q) if found.stable else math.inf,
            simulated_s=observed.quantiles[metric][index],
            bottleneck=found.capacity.bottleneck.value,
            reason=_reason(case, observed, found, metric, index),
        )
        for metric in METRICS
        if metric in observed.laws
        for index, q in enumerate(QUANTILES)
    ]


def replica_counts(case: Case, observed: Observed) -> list[Count]:
    """The least replicas for both kinds of objectives, if the simulator was asked."""
    questions = []
    if observed.free_limits and observed.free_replicas:
        questions.append((False, free_objectives(observed.free_limits), observed.free_replicas))
    if observed.least_replicas is not None:
        questions.append((True, tight_objectives(observed.quantiles), observed.least_replicas))
    asked = workload(case, observed.saturation)
    counts = []
    for tight, objectives, simulated in questions:
        try:
            predicted = size(case.engine, asked, objectives, routing=case.routing).replicas
        except NoFeasiblePlan:
            predicted = None
        counts.append(Count(case=case, tight=tight, predicted=predicted, simulated=simulated))
    return counts


def _reason(case: Case, observed: Observed, found: Prediction, metric: str, index: int) -> str:
    """The first rule that holds."""
    if not found.stable:
        return f"called unstable: predicted utilisation {found.utilization:.3f}"
    q, simulated = QUANTILES[index], observed.quantiles[metric][index]
    predicted = found.laws[metric].quantile(q)  # type: ignore[index]
    off = abs(predicted / simulated - 1.0)
    noise = observed.errors[metric][index] / simulated if metric in observed.errors else 0.0
    wrong = abs(_reached(observed.laws[metric], predicted) - q)
    several, limits = case.replicas > 1, case.engine.limits
    waits = observed.queue_mean_s > 0.5 * observed.quantiles["ttft"][0]
    rules = (
        (3.0 * noise > off, f"simulation noise: SE {noise:.1%}"),
        (
            wrong < JUMP * min(q, 1.0 - q),
            f"percentile at a jump of the law: the share on the wrong side is {wrong:.2%}",
        ),
        (observed.preemptions > 0.02, f"KV short and preempting: {observed.preemptions:.2f} a request"),
        (limits.kv_cache_tokens is not None and case.load > 0.7, "KV short near saturation"),
        (several and case.routing is Routing.LEAST_OUTSTANDING, "least-outstanding herding"),
        (several and case.routing is Routing.ROUND_ROBIN, "round robin: arrivals of a replica are regular"),
        (waits, "waits for a slot or for the steps of others"),
        (case.burstiness > 1.0, "bursty arrivals"),
    )
    return next((reason for holds, reason in rules if holds), "the model itself")


def _reached(law: list[float], value: float) -> float:
    """The simulated share not above a value, half a grain of the gap histogram forgiven."""
    index = int(np.searchsorted(np.asarray(law), value * 1.002, side="right"))
    return float(LEVELS[index - 1]) if index else 0.0
