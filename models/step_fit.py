"""Fit a step time to measurements: which form, which terms, how sure.

A regression that is linear in the terms starts it (`models.step_regression`), the models' own predictions finish it
(`models.calibration`), and what TTFT has beyond them is told apart (`models.first_token_wait`). Physics stands beside
the points as further rows: what the data say outweighs it, what they do not say it fills. The form (straight line,
square root of the batch, distinct experts) is chosen by leave-one-out cross-validation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.calibration import calibrate, expected_point
from models.engine import EngineLimits
from models.errors import InvalidInput
from models.first_token_wait import FirstTokenWait, wait_beyond
from models.load_groups import by_lengths, distinct_loads, same_load, thinned
from models.mean_step import SteadyPoint, steady_point
from models.measurement import Measurement
from models.step_prior import StepPrior
from models.step_regression import Solution, solve
from models.step_terms import Experts, Form, TermUncertainty
from models.step_time import StepTime
from models.sweep_design import Lengths, next_load

MIN_POINTS_FOR_A_CHOICE = 4
"""With fewer distinct loads the straight line is taken: leaving one out would leave too few."""
NOTABLE_OVERHEAD_S = 5e-3
"""Overhead before the first token that a note is worth."""
MAX_TPOT_S = 1e3
"""A slower token is a mistake of units or a stalled engine."""
FAR_FROM_PRIOR = 10.0
"""Times more or less than data sheets suggest that are no efficiency any more but a mistake."""
ALONE = 1.5
"""Users of a closed loop up to which a first token waits for nobody."""
MISSED = 0.15
"""A point that the fit misses by more is named."""
_LONGEST = 8
"""How many times the measured lengths the next load to measure may have."""
MOST_FITTED = 200
"""Points that are fitted; more pin the terms no better."""
MOST_FOLDS = 24
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
    wait: FirstTokenWait
    """What comes before a first token and is in no step."""
    residuals: tuple[PointResidual, ...]
    median_error: float
    """Median of |relative error of TPOT| over the points."""
    worst_error: float
    cross_validated_error: float | None
    """Median |relative error of TPOT| at points left out one by one; None with fewer than four points."""
    uncertainty: TermUncertainty
    """How sure the terms are, in the order of `models.step_terms.names_of`."""
    noise: float
    """Relative standard deviation of a measured TPOT about the fit."""
    notes: tuple[str, ...]

    @property
    def overhead_s(self) -> float:
        """Seconds before a first token outside the steps, as far as the points tell them: 0 where only several users
        at a time were measured, for what they wait may be one another.
        """
        points = (residual.measurement for residual in self.residuals)
        return self.wait.overhead_s if any(map(_tells_overhead, points)) else 0.0

    @property
    def points(self) -> int:
        """Distinct points used."""
        return len(self.residuals)


def fit(
    measurements: Sequence[Measurement],
    *,
    limits: EngineLimits,
    prior: StepPrior | None = None,
    experts: Experts | None = None,
) -> StepFit:
    """The step time that explains the measurements best.

    `experts` is (experts, experts per token) of a mixture of experts; it adds that form to the choice. Without a
    `prior`, a loose one is assumed from the points themselves. Raises `InvalidInput` where no point tells the time of
    a token.
    """
    told = distinct(measurements)
    points = thinned(told, MOST_FITTED)
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
    solution = replace(solution, wait=_wait(points, solution, limits))
    solution = calibrate(points, solution, limits)
    found = _report(points, limits, solution, error)
    if len(points) == len(told):
        return found
    thin = f"{len(points)} of {len(told):,} points were fitted, evenly over lengths and loads"
    return replace(found, notes=(thin, *found.notes))


def distinct(measurements: Sequence[Measurement]) -> tuple[Measurement, ...]:
    """The points that tell the time of a token, each once: two dumps often hold the same run."""
    return tuple(dict.fromkeys(m for m in measurements if m.tpot_s is not None))


def leave_one_out(
    points: Sequence[Measurement],
    *,
    form: Form,
    limits: EngineLimits,
    prior: StepPrior | None = None,
    experts: Experts | None = None,
) -> list[float]:
    """Relative error of TPOT at each point, predicted by a fit to all points of other loads.

    Repetitions of one load are left out together: a twin in the fit would make the test too easy. Beyond `MOST_FOLDS`
    loads several are left out at a time.
    """
    loads = distinct_loads(points)
    place = [next(index for index, load in enumerate(loads) if same_load(load, point)) for point in points]
    folds = min(len(loads), MOST_FOLDS)
    errors = [0.0] * len(points)
    for fold in range(folds):
        rest = [point for point, load in zip(points, place, strict=True) if load % folds != fold]
        solution = solve(rest, form=form, limits=limits, prior=prior, experts=experts)
        for index, (point, load) in enumerate(zip(points, place, strict=True)):
            if load % folds == fold:
                predicted = steady_point(solution.step_time, point, limits, wait=solution.wait)
                errors[index] = _tpot_error(predicted, point)
    return errors


def _choose(
    points: Sequence[Measurement], limits: EngineLimits, prior: StepPrior | None, experts: Experts | None
) -> tuple[Form, float | None]:
    """The form with the least cross-validated error (mean of absolute errors), and its median."""
    if len(distinct_loads(points)) < MIN_POINTS_FOR_A_CHOICE:
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


def _tells_overhead(point: Measurement) -> bool:
    """Whether its TTFT holds no waiting for users of the same closed loop."""
    return point.ttft_s is not None and (point.concurrency is None or point.concurrency <= ALONE)


def _wait(points: Sequence[Measurement], solution: Solution, limits: EngineLimits) -> FirstTokenWait:
    """What the measured TTFT leaves beyond the engine's own, once the step time is known."""
    timed = [point for point in points if point.ttft_s is not None]
    engine = [steady_point(solution.step_time, point, limits).ttft_s for point in timed]
    return wait_beyond(timed, engine, prompt_token_s=solution.prior.per_prefill_token_s)


def _tpot_error(predicted: SteadyPoint, point: Measurement) -> float:
    """Relative; every point here tells its TPOT."""
    assert point.tpot_s is not None
    return predicted.tpot_s / point.tpot_s - 1.0


def _report(
    points: Sequence[Measurement],
    limits: EngineLimits,
    solution: Solution,
    cross_validated: float | None,
) -> StepFit:
    residuals = []
    for point in points:
        predicted = expected_point(solution.step_time, point, limits, wait=solution.wait)
        ttft = None if point.ttft_s is None else predicted.ttft_s / point.ttft_s - 1.0
        tpot = _tpot_error(predicted, point)
        residuals.append(PointResidual(measurement=point, predicted=predicted, tpot=tpot, ttft=ttft))
    sizes = [abs(residual.tpot) for residual in residuals]
    return StepFit(
        step_time=solution.step_time,
        form=solution.form,
        wait=solution.wait,
        residuals=tuple(residuals),
        median_error=float(np.median(sizes)),
        worst_error=max(sizes),
        cross_validated_error=cross_validated,
        uncertainty=TermUncertainty.of(np.array(solution.covariance)),
        noise=solution.noise,
        notes=_notes(points, solution, limits, residuals),
    )


def _notes(
    points: Sequence[Measurement], solution: Solution, limits: EngineLimits, residuals: Sequence[PointResidual]
) -> tuple[str, ...]:
    notes = []
    if not 1.0 / FAR_FROM_PRIOR <= solution.scale <= FAR_FROM_PRIOR:
        notes.append(
            f"the points ask for {solution.scale:,.3g} times what data sheets suggest: are all latencies in the units "
            "named (s, ms), and the GPU and model those that were measured?"
        )
    leaning = [name for name, share in solution.prior_share.items() if share > 0.5]
    if leaning:
        notes.append(f"{', '.join(leaning)}: more from the prior than from the points ({solution.prior.source})")
    missed = [residual for residual in residuals if abs(residual.tpot) > MISSED]
    if missed:
        worst = max(missed, key=lambda residual: abs(residual.tpot))
        notes.append(
            f"{len(missed)} of {len(residuals)} points missed by more than {MISSED:.0%}, most of all "
            f"{worst.measurement} ({worst.tpot:+.0%}): disturbed, past saturation, or bounded by a limit not given"
        )
    if solution.wait.overhead_s > NOTABLE_OVERHEAD_S:
        known = any(map(_tells_overhead, points))
        notes.append(
            f"{solution.wait.overhead_s * 1e3:.0f} ms before the first token that no step explains (client, HTTP, "
            + (
                "tokenising): kept as firstTokenOverhead, plans count it"
                if known
                else "or users of a closed loop waiting for one another): plans do not count it; measure one user alone"
            )
        )
    if len(points) < MIN_POINTS_FOR_A_CHOICE:
        count = f"{len(points)} point{'s' if len(points) > 1 else ''}"
        notes.append(f"{count}: a straight line, its terms apart only by the prior; measure at least four loads")
    if len(by_lengths(points)) == 1:
        notes.append("one pair of lengths: prompt, decode and KV terms are told apart by the prior; measure another")
    if leaning or len(points) < MIN_POINTS_FOR_A_CHOICE:
        notes.append(f"measure next: {_next(points, solution, limits)}, which would tell the most")
    return tuple(notes)


def _next(points: Sequence[Measurement], solution: Solution, limits: EngineLimits) -> str:
    """The load that pins the terms best beside those measured, in words."""
    prompt, output = round(points[0].input_tokens), max(2, round(points[0].output_tokens))
    longest = min(_LONGEST * (prompt + output), limits.kv_cache_tokens or _LONGEST * (prompt + output))
    lengths = Lengths(input_tokens=prompt, output_tokens=output, longest=max(longest, prompt + output))
    return str(next_load(points, solution.prior, limits, lengths).load)
