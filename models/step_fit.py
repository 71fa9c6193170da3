"""Fit a step time to measurements: which form, which terms, how sure.

TPOT of a closed or open load is the duration of the mean step (`models.mean_step`), whose content follows from the
measured rate by Little's law; so TPOT is linear in the terms, and the fit is a non-negative least squares of relative
errors (Lawson & Hanson 1974, ch. 23), made robust by Huber's weights (Huber 1964). TTFT of the quietest point of each
prompt length adds the cost of a prompt token, loosely: cohorts of a closed loop prefill together. Physics stands beside
the points as further rows: what the data say outweighs it, what they do not say it fills. The form (straight line,
square root of the batch, distinct experts) is chosen by leave-one-out cross-validation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.engine import EngineLimits
from models.errors import InvalidInput
from models.mean_step import SteadyPoint, steady_point
from models.measurement import Measurement
from models.step_prior import StepPrior
from models.step_regression import Form, Solution, solve
from models.step_time import StepTime

MIN_POINTS_FOR_A_CHOICE = 4
"""With fewer distinct loads the straight line is taken: leaving one out would leave too few."""
NOTABLE_OVERHEAD_S = 5e-3
"""Overhead before the first token that a note is worth."""
MAX_TPOT_S = 1e3
"""A slower token is a mistake of units or a stalled engine."""
SIMPLER_WITHIN = 1.02
"""The simpler form is kept where its cross-validated error is within 2 % of the best."""


@dataclass(frozen=True, kw_only=True)
class PointResidual:
    """One measured point beside the fit."""

    measurement: Measurement
    predicted: SteadyPoint
    tpot: float
    """Relative error of TPOT, predicted / measured − 1."""
    ttft: float | None
    """Relative error of TTFT, None where it was not measured."""


@dataclass(frozen=True, kw_only=True)
class StepFit:
    """A fitted step time and how far to trust it. Errors and uncertainties are relative."""

    step_time: StepTime
    form: Form
    overhead_s: float
    """Time before the first token that no step explains: client, HTTP, tokenising."""
    cohort_s: float
    """Seconds of waiting before the first token, for each prompt token of each other user of a closed loop."""
    residuals: tuple[PointResidual, ...]
    median_error: float
    """Median of |relative error of TPOT| over the points."""
    worst_error: float
    cross_validated_error: float | None
    """Median |relative error of TPOT| at points left out one by one; None with fewer than four points."""
    uncertainty: dict[str, float]
    """One relative standard deviation of each term, by its name in `models.step_time`."""
    covariance: tuple[tuple[float, ...], ...]
    """Covariance of the terms in the order of `uncertainty`, seconds²."""
    notes: tuple[str, ...]

    @property
    def points(self) -> int:
        """Distinct points used."""
        return len(self.residuals)


def fit(
    measurements: Sequence[Measurement],
    *,
    limits: EngineLimits,
    prior: StepPrior | None = None,
    experts: tuple[int, int] | None = None,
) -> StepFit:
    """The step time that explains the measurements best.

    `experts` is (experts, experts per token) of a mixture of experts; it adds that form to the choice. Without a
    `prior`, a loose one is assumed from the points themselves. Raises `InvalidInput` where no point tells the time of
    a token.
    """
    points = distinct(measurements)
    if not points:
        raise InvalidInput(
            "no measurement tells how long a token takes",
            remedy="give tpot or itl, or ttft with requestsPerSecond or outputTokensPerSecond at a concurrency, "
            "for outputs of at least two tokens",
        )
    slowest = max(point.tpot_s or 0.0 for point in points)
    if slowest > MAX_TPOT_S:
        raise InvalidInput(
            f"a token of {slowest:g} s is beyond any engine: check the units",
            remedy="latencies are in seconds, rates per second; drop the points of a stalled engine",
        )
    if experts is not None and not (1 <= experts[1] <= experts[0]):
        raise InvalidInput(f"a mixture of experts needs 1 ≤ experts per token ≤ experts, got {experts}")
    form, error = _choose(points, limits, prior, experts)
    solution = solve(points, form=form, limits=limits, prior=prior, experts=experts)
    return _report(points, limits, solution, error)


def distinct(measurements: Sequence[Measurement]) -> tuple[Measurement, ...]:
    """The points that tell the time of a token, each once: two dumps often hold the same run."""
    return tuple(dict.fromkeys(m for m in measurements if m.tpot_s is not None))


def leave_one_out(
    points: Sequence[Measurement],
    *,
    form: Form,
    limits: EngineLimits,
    prior: StepPrior | None = None,
    experts: tuple[int, int] | None = None,
) -> list[float]:
    """Relative error of TPOT at each point, predicted by a fit to all points of other loads.

    Repetitions of one load are left out together: a twin in the fit would make the test too easy.
    """
    errors = []
    for point in points:
        rest = [other for other in points if _load(other) != _load(point)]
        solution = solve(rest, form=form, limits=limits, prior=prior, experts=experts)
        errors.append(_tpot_error(solution, point, limits))
    return errors


def _load(point: Measurement) -> tuple[float | None, ...]:
    return point.concurrency, point.arrival_rate_per_s, point.input_tokens, point.output_tokens


def _choose(
    points: Sequence[Measurement], limits: EngineLimits, prior: StepPrior | None, experts: tuple[int, int] | None
) -> tuple[Form, float | None]:
    """The form with the least cross-validated error (mean of absolute errors), and its median."""
    if len({_load(point) for point in points}) < MIN_POINTS_FOR_A_CHOICE:
        return "linear", None
    forms: list[Form] = ["linear", "sqrt"]
    if experts is not None:
        forms.append("experts")
    errors = {
        form: np.abs(leave_one_out(points, form=form, limits=limits, prior=prior, experts=experts)) for form in forms
    }
    means = {form: float(np.mean(error)) for form, error in errors.items()}
    best = min(means.values())
    chosen = next(form for form in forms if means[form] <= SIMPLER_WITHIN * best + 1e-9)
    return chosen, float(np.median(errors[chosen]))


def _fitted_point(solution: Solution, point: Measurement, limits: EngineLimits) -> SteadyPoint:
    """What the solution gives at a measured load."""
    return steady_point(solution.step_time, point, limits, overhead_s=solution.overhead_s, cohort_s=solution.cohort_s)


def _tpot_error(solution: Solution, point: Measurement, limits: EngineLimits) -> float:
    predicted = _fitted_point(solution, point, limits)
    return predicted.tpot_s / (point.tpot_s or predicted.tpot_s) - 1.0


def _report(
    points: Sequence[Measurement],
    limits: EngineLimits,
    solution: Solution,
    cross_validated: float | None,
) -> StepFit:
    residuals = []
    for point in points:
        predicted = _fitted_point(solution, point, limits)
        ttft = None if point.ttft_s is None else predicted.ttft_s / point.ttft_s - 1.0
        tpot = predicted.tpot_s / (point.tpot_s or predicted.tpot_s) - 1.0
        residuals.append(PointResidual(measurement=point, predicted=predicted, tpot=tpot, ttft=ttft))
    sizes = [abs(residual.tpot) for residual in residuals]
    return StepFit(
        step_time=solution.step_time,
        form=solution.form,
        overhead_s=solution.overhead_s,
        cohort_s=solution.cohort_s,
        residuals=tuple(residuals),
        median_error=float(np.median(sizes)),
        worst_error=max(sizes),
        cross_validated_error=cross_validated,
        uncertainty=solution.uncertainty,
        covariance=solution.covariance,
        notes=_notes(points, solution),
    )


def _notes(points: Sequence[Measurement], solution: Solution) -> tuple[str, ...]:
    notes = []
    leaning = [name for name, share in solution.prior_share.items() if share > 0.5]
    if leaning:
        notes.append(f"{', '.join(leaning)}: more from the prior than from the points ({solution.prior.source})")
    if solution.overhead_s > NOTABLE_OVERHEAD_S:
        notes.append(
            f"{solution.overhead_s * 1e3:.0f} ms before the first token that no step explains (client, HTTP, waiting "
            "in cohorts): not in the step time, so predicted TTFT at low load is that much lower"
        )
    if len(points) < MIN_POINTS_FOR_A_CHOICE:
        count = f"{len(points)} point{'s' if len(points) > 1 else ''}"
        notes.append(f"{count}: a straight line, its terms apart only by the prior; measure at least four loads")
    if len({(p.input_tokens, p.output_tokens) for p in points}) == 1:
        notes.append("one pair of lengths: prompt, decode and KV terms are told apart by the prior; measure another")
    return tuple(notes)
