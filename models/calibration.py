"""Calibrate a step time on the queueing model's own predictions of open loads.

The regression of `models.step_regression` explains each measured token by the rate measured with it; it is only the
start. Here the terms are moved until what the models *predict* from the load alone meets what was measured: for a
closed loop TPOT and TTFT of `models.mean_step`, for an open stream, whose batch swings, mean and percentiles of ttft,
itl, tpot and e2e of `models.continuous_batching`; with the prior beside them. Non-linear least squares with Huber's
loss and non-negative terms (trust-region reflective; Branch, Coleman and Li 1999), as one calibrates any computer
model (Kennedy and O'Hagan 2001).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.cached_prompts import cached_share
from models.capacity import capacity
from models.continuous_batching import predict
from models.engine import Engine, EngineLimits
from models.first_token_wait import FirstTokenWait
from models.load_groups import thinned
from models.mean_step import SteadyPoint, steady_point
from models.measurement import LatencySummary, Measurement
from models.objective import Metric
from models.step_regression import ARTEFACT, TTFT_NOISE, Solution, covariance_of
from models.step_time import StepTime
from models.token_lengths import TokenLengths
from models.workload import OpenArrivals, Workload

Array = NDArray[np.float64]

MOST_OPEN_POINTS = 12
"""Open loads that are matched, spread evenly over their rates; more would pin the terms no better and cost seconds."""
MOST_CLOSED_POINTS = 40
NOISE: Mapping[str, float] = {"mean": 0.03, "p50": 0.04, "p90": 0.08, "p95": 0.10, "p99": 0.15}
"""Relative error to expect of a statistic: of the model (docs/accuracy.md), and of a benchmark's few requests."""
TTFT_TIMES = 2.0
"""So many times as much for ttft."""
BUSY = 0.03
"""Errors grow by this over the idle share: near capacity a run is never long enough (Whitt 1989, §3)."""
STABLE = 0.985
"""Share of capacity up to which laws are asked for; beyond, how far beyond counts."""
BEYOND = 4.0
CONSISTENT = 0.3
"""Relative error of a closed load's TPOT up to which the regression, which is linear and sure, is left as it is."""
_ROUNDS = 30
_STEP = 0.02
"""Of a term over its size."""
_CLOSE = 1e-3
_HUBER = 1.5
_OVERHEAD_S = 0.02
_QUANTILES: Mapping[str, float | None] = {"mean": None, "p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
_LEAST_S = 1e-9


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """One measured statistic of an open load."""

    metric: Metric
    quantile: float | None
    value_s: float
    noise: float


@dataclass(frozen=True, kw_only=True)
class _OpenLoad:
    """An open load as the queueing model asks of it, and what was seen."""

    workload: Workload
    rate_per_s: float
    seen: tuple[_Seen, ...]


def calibrate(points: Sequence[Measurement], start: Solution, limits: EngineLimits) -> Solution:
    """`start` moved to where predictions meet `points`, which all tell the time of a token."""
    opened = [point for point in points if point.arrival_rate_per_s is not None]
    loads = [_open_load(point, start, limits) for point in thinned(opened, MOST_OPEN_POINTS)]
    if not loads and _consistent(points, start, limits):
        return start
    from scipy.optimize import least_squares

    closed = thinned([point for point in points if point.concurrency is not None], MOST_CLOSED_POINTS)
    size = np.array([*_sizes(start), _OVERHEAD_S])

    def residuals(scaled: Array) -> Array:
        terms = scaled * size
        moved = replace(start, terms=tuple(terms[:-1]), wait=replace(start.wait, overhead_s=float(terms[-1])))
        engine = Engine(step_time=moved.step_time, limits=limits)
        rows = [_of_open(engine, load, moved.wait.overhead_s) for load in loads]
        rows += [_of_closed(moved, point, limits) for point in closed]
        expected = np.array(start.prior_rows) @ terms[:-1] - np.array(start.prior_target)
        return np.concatenate([_tempered(np.concatenate(rows)), expected, [terms[-1] / _OVERHEAD_S]])

    def slopes(scaled: Array) -> Array:
        """By steps that span the lattice's ripple, of which a derivative would see the teeth alone."""
        base = residuals(scaled)
        return np.array([(residuals(scaled + step) - base) / _STEP for step in _STEP * np.eye(len(scaled))]).T

    first = np.maximum(np.array([*start.terms, start.wait.overhead_s]) / size, 1e-6)
    found = least_squares(
        residuals, first, jac=slopes, bounds=(0.0, np.inf), max_nfev=_ROUNDS, ftol=_CLOSE, xtol=_CLOSE
    )
    terms = found.x * size
    kept = len(start.terms)
    # Statistics of one run are not independent, so the covariance never shrinks below what their misfit says.
    misfit = max(1.0, 2.0 * found.cost / max(1, len(found.fun) - len(terms)))
    covariance = covariance_of(found.jac / size) * misfit
    return replace(
        start,
        terms=tuple(float(term) for term in terms[:kept]),
        wait=replace(start.wait, overhead_s=float(terms[-1])),
        covariance=tuple(tuple(float(value) for value in row[:kept]) for row in covariance[:kept]),
    )


def expected_point(
    step_time: StepTime, point: Measurement, limits: EngineLimits, *, wait: FirstTokenWait
) -> SteadyPoint:
    """TTFT, TPOT and rate that the models give at a load: the fluid of a closed loop, the mean of open arrivals' laws.

    At or beyond capacity there are no laws, and open loads have the fluid's too.
    """
    if point.arrival_rate_per_s is not None:
        found = predict(Engine(step_time=step_time, limits=limits), _workload(point), replicas=1)
        if found.stable and "tpot" in found.laws:
            return SteadyPoint(
                ttft_s=found.laws["ttft"].mean_s + wait.overhead_s,
                tpot_s=found.laws["tpot"].mean_s,
                requests_per_s=point.arrival_rate_per_s,
            )
    return steady_point(step_time, point, limits, wait=wait)


def _consistent(points: Sequence[Measurement], start: Solution, limits: EngineLimits) -> bool:
    """Whether the regression's terms also predict each closed load from the load alone."""
    errors = [_of_closed(start, point, limits)[0] * start.noise for point in points if point.concurrency is not None]
    return all(abs(error) <= CONSISTENT for error in errors)


def _tempered(residuals: Array) -> Array:
    """Residuals whose squares are Huber's loss (1964): beyond `_HUBER` deviations the loss grows as a line.

    The prior beside them stays quadratic: it has no outliers.
    """
    size = np.abs(residuals)
    return np.asarray(np.sign(residuals) * np.sqrt(np.where(size <= _HUBER, size**2, _HUBER * (2.0 * size - _HUBER))))


def _sizes(start: Solution) -> list[float]:
    """How large each term is expected to be: the scale in which it is moved."""
    return [
        max(term, 1.0 / row[place]) for place, (term, row) in enumerate(zip(start.terms, start.prior_rows, strict=True))
    ]


def _workload(point: Measurement) -> Workload:
    rate = point.arrival_rate_per_s
    assert rate is not None
    burstiness = 1.0 if point.burstiness is None else point.burstiness
    return Workload(
        arrivals=OpenArrivals(rate_per_s=rate, burstiness=burstiness),
        lengths=TokenLengths.of(
            point.prompt_tokens,
            point.output_tokens,
            prompt_cv=point.input_tokens_cv or 0.0,
            output_cv=point.output_tokens_cv or 0.0,
        ),
        prefix_hit_rate=cached_share(point),
    )


def _open_load(point: Measurement, start: Solution, limits: EngineLimits) -> _OpenLoad:
    workload, rate = _workload(point), point.arrival_rate_per_s
    assert rate is not None
    engine = Engine(step_time=start.step_time, limits=limits)
    top = capacity(engine, workload.lengths, workload.prefix_hit_rate).requests_per_s
    idle = max(1.0 - rate / top, 1.0 - STABLE)
    return _OpenLoad(workload=workload, rate_per_s=rate, seen=tuple(_statistics(point, 1.0 + BUSY / idle)))


def _statistics(point: Measurement, times: float) -> Iterator[_Seen]:
    """What was measured of an open load. A metric has one vote, however many statistics tell of it."""
    summaries: dict[Metric, LatencySummary | None] = {
        "ttft": point.ttft, "itl": point.itl, "tpot": point.tpot, "e2e": point.e2e,
    }  # fmt: skip
    for metric, summary in summaries.items():
        if summary is None:
            continue
        found = dict(summary.items())
        # Tokens that come several a chunk make gaps of nothing: percentiles of the client, not of the engine.
        if metric == "itl" and found.get("p50", np.inf) < ARTEFACT * found.get("mean", 0.0):
            found = {"mean": found["mean"]}
        votes = np.sqrt(len(found)) * times * (TTFT_TIMES if metric == "ttft" else 1.0)
        for name, value in found.items():
            yield _Seen(metric=metric, quantile=_QUANTILES[name], value_s=value, noise=float(NOISE[name] * votes))


def _of_open(engine: Engine, load: _OpenLoad, overhead_s: float) -> Array:
    """Logarithms of predicted over measured statistics, in units of their noise.

    Beyond capacity there are no laws: those just below it stand in, and how far beyond it is counts on top, so that the
    terms are drawn back.
    """
    top = capacity(engine, load.workload.lengths, load.workload.prefix_hit_rate).requests_per_s
    beyond = max(0.0, np.log(load.rate_per_s / (STABLE * top)))
    laws = predict(engine, load.workload.at_rate(load.rate_per_s * float(np.exp(-beyond))), replicas=1).laws
    return np.array(
        [
            (
                np.log(max(laws[each.metric].statistic(each.quantile) + _before(each.metric, overhead_s), _LEAST_S))
                - np.log(each.value_s)
                + BEYOND * beyond
            )
            / each.noise
            for each in load.seen
            if each.metric in laws
        ]
    )


def _before(metric: Metric, overhead_s: float) -> float:
    return overhead_s if metric in ("ttft", "e2e") else 0.0


def _of_closed(moved: Solution, point: Measurement, limits: EngineLimits) -> Array:
    at = steady_point(moved.step_time, point, limits, wait=moved.wait)
    gap, ttft = point.tpot_s, point.ttft_s
    assert gap is not None
    rows = [np.log(at.tpot_s / gap) / moved.noise]
    if ttft is not None:
        rows.append((at.ttft_s / ttft - 1.0) / TTFT_NOISE)
    return np.array(rows)
