"""How far the answer moves if the profile's step time is wrong: a range of replicas around the plan.

Steps that take (1 + e) times as long are the same system on a slower clock: the same plan with rates (1 + e) times as
high and limits and think times (1 + e) times as short. No second formula is needed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.engine import Engine
from models.errors import NoFeasiblePlan
from models.mean_step import relative_deviation, steady_point
from models.measurement import Measurement
from models.objective import Objective
from models.prediction import Prediction, Routing
from models.step_terms import deviations_at
from models.workload import MAX_RATE_PER_S, OpenArrivals, Workload
from planner.checks.finding import Severity
from planner.profile import EngineProfile
from planner.sizing import MAX_REPLICAS, size

LEAST_ERROR = 0.03
"""Two runs of one benchmark differ by about so much."""
ERROR_OF_ONE_POINT = 0.15
ERROR_OF_FEW_POINTS = 0.08
FEW_POINTS = 4
ERROR_OF_A_CONTRADICTION = 0.15
"""Where figures of the profile cannot all be true, which of them is wrong is not known: as if it were one point."""
ERROR_OF_A_DOUBT = 0.10
"""Added where the figures that the step time comes from cannot be, or can hardly be: a choice, like the next."""
OF_STEP_TIME = frozenset(
    {"token-rate", "faster-than-memory", "prefill-above-peak", "throughput-above-peak", "prefill-term-below-floor"}
)
"""Findings about what the step time is fitted to; others, such as an e2e that contradicts, touch no plan."""
ERROR_A_DOUBLING = 0.05
"""Added for every doubling beyond the measured lengths or load: a choice, to be replaced when it has been measured."""
MOST_ERROR = 0.6


@dataclass(frozen=True, kw_only=True)
class ReplicaRange:
    """The least replicas if steps are faster or slower than the profile says by `step_time_error` (relative)."""

    step_time_error: float
    low: int
    high: int | None
    """None where no number of replicas would do."""


def step_time_error(profile: EngineProfile, workload: Workload, prediction: Prediction) -> float | None:
    """The relative error to allow for in the profile's step time; None where the profile says nothing of it."""
    measured, points = _measured_error(profile)
    if measured is None and points == 0:
        return None
    floor = LEAST_ERROR
    if points < FEW_POINTS:
        floor = ERROR_OF_ONE_POINT if points <= 1 else ERROR_OF_FEW_POINTS
    if any(finding.severity is Severity.CONTRADICTION for finding in profile.doubts):
        floor = max(floor, ERROR_OF_A_CONTRADICTION)
    doubted = any(finding.code in OF_STEP_TIME for finding in profile.doubts if finding.severity is not Severity.NOTE)
    doublings = sum(math.log2(beyond) for beyond in _beyond(profile, workload, prediction))
    error = max(measured or 0.0, floor, _of_the_terms(profile, workload, prediction))
    error += ERROR_OF_A_DOUBT * doubted + ERROR_A_DOUBLING * doublings
    return min(MOST_ERROR, error)


def replica_range(
    engine: Engine,
    workload: Workload,
    objectives: Sequence[Objective],
    *,
    error: float,
    routing: Routing = Routing.RANDOM,
    max_replicas: int = MAX_REPLICAS,
) -> ReplicaRange:
    """Size again with steps that take (1 − error) and (1 + error) times as long."""
    low, high = (
        replicas_if_slower(engine, workload, objectives, slower=slower, routing=routing, max_replicas=max_replicas)
        for slower in (-error, error)
    )
    return ReplicaRange(step_time_error=error, low=low or 1, high=high)


def slowdown_at(confidence: float, error: float) -> float:
    """How much longer steps may be than the profile says, at a one-sided confidence.

    `error` is read as the median of absolute deviations, whose law is `models.step_terms.deviations_at`.
    """
    return max(deviations_at(confidence), 0.0) * error / deviations_at(0.75)


def replicas_if_slower(
    engine: Engine,
    workload: Workload,
    objectives: Sequence[Objective],
    *,
    slower: float,
    routing: Routing = Routing.RANDOM,
    max_replicas: int = MAX_REPLICAS,
) -> int | None:
    """The least replicas with steps that take (1 + slower) times as long; None where no number would do."""
    scaled = _on_a_clock(workload, 1.0 + slower)
    if scaled is None:
        return None
    limits = [replace(objective, limit_s=min(objective.limit_s / (1.0 + slower), 1e6)) for objective in objectives]
    engine = replace(engine, overhead_s=engine.overhead_s / (1.0 + slower))
    try:
        return size(engine, scaled, limits, routing=routing, max_replicas=max_replicas).replicas
    except NoFeasiblePlan:
        return None


def _on_a_clock(workload: Workload, factor: float) -> Workload | None:
    """The workload as an engine with steps `factor` times as long sees it; None beyond what can be sized."""
    arrivals = workload.arrivals
    if isinstance(arrivals, OpenArrivals):
        rate = arrivals.rate_per_s * factor
        return workload.at_rate(rate) if rate <= MAX_RATE_PER_S else None
    return replace(workload, arrivals=replace(arrivals, think_time_s=min(arrivals.think_time_s / factor, 1e7)))


def _of_the_terms(profile: EngineProfile, workload: Workload, prediction: Prediction) -> float:
    """Median absolute error of the plan's mean step from the uncertainty of the profile's terms; 0 if unstated."""
    fitted = profile.fitted
    if fitted.uncertainty is None:
        return 0.0
    asked = workload.lengths
    load = Measurement(
        arrival_rate_per_s=max(prediction.utilization * prediction.capacity.requests_per_s, 1e-9),
        input_tokens=max(asked.computed_prompt(workload.prefix_hit_rate).mean, 1.0),
        output_tokens=asked.output.mean,
    )
    limits = profile.spec.limits.to_limits()
    at = steady_point(fitted.step_time, load, limits)
    return deviations_at(0.75) * relative_deviation(fitted.uncertainty, fitted.step_time, load, at, limits)


def _measured_error(profile: EngineProfile) -> tuple[float | None, int]:
    """The largest error that the profile states of its step time (of left-out points where known), and its points."""
    provenance = profile.spec.provenance
    stated = [
        entry.median_error if entry.cross_validated_error is None else entry.cross_validated_error
        for entry in provenance
    ]
    if profile.spec.step_time is None:
        stated.append(profile.fitted.median_error)
    errors = [error for error in stated if error is not None]
    points = max([len(profile.spec.measurements), *(entry.points or 0 for entry in provenance)])
    return (max(errors) if errors else None), points


def _in_flight(point: Measurement) -> float | None:
    """Requests at a time at a measured load: the users, or by Little's law."""
    if point.concurrency is not None:
        return point.concurrency
    rate, gap = point.rate_per_s, point.tpot_s
    return None if rate is None or gap is None else max(1.0, rate * ((point.ttft_s or 0.0) + point.decode_steps * gap))


def _beyond(profile: EngineProfile, workload: Workload, prediction: Prediction) -> list[float]:
    """Factors (above 1) by which the question lies beyond the measured prompts, answers and load."""
    points = profile.spec.measurements
    if not points:
        return []
    prompts = [point.input_tokens for point in points]
    answers = [point.output_tokens for point in points]
    loads = [running for point in profile.measurements if (running := _in_flight(point)) is not None]
    asked = workload.lengths
    factors = [
        asked.prompt.mean / max(prompts),
        min(prompts) / asked.prompt.mean,
        asked.output.mean / max(answers),
        min(answers) / asked.output.mean,
    ]
    if loads:
        factors.append(prediction.running / max(loads))
    return [factor for factor in factors if factor > 1.0]
