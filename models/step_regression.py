"""The non-negative, robust, prior-backed regression behind `models.step_fit`: rows, weights, solution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.engine import EngineLimits
from models.mean_step import MeanStep, prefill_steps
from models.measurement import Measurement
from models.step_prior import StepPrior
from models.step_time import ExpertsStepTime, LinearStepTime, SqrtStepTime, StepTime

Array = NDArray[np.float64]
Form = Literal["linear", "sqrt", "experts"]

TPOT_NOISE = 0.03
"""Relative error of a measured TPOT about any of our forms before the points say better (public curves: 2–4 %)."""
LEAST_NOISE = 0.003
"""No measurement is trusted further than this."""
TTFT_NOISE = 0.15
"""Relative error of TTFT about the fluid: cohorts of a closed loop prefill together, warm-ups are in it."""
COHORT = 0.05
"""Expected share of all users' prompts that a first token waits for: users of a closed loop begin together, and a
benchmark of ten requests a user counts that beginning to a tenth."""
OVERHEAD_S = 0.15
"""Expected size of what is spent outside the engine before a first token."""
CONCAVE_SPREAD = 1.0
"""A concave term is expected at zero, within this many times the base (square root: at 64 sequences)."""
_HUBER = 1.5
_ROUNDS = 6


@dataclass(frozen=True, kw_only=True)
class Solution:
    """A step time, and what is known about its terms."""

    form: Form
    step_time: StepTime
    overhead_s: float
    cohort_s: float
    """Seconds of waiting before a first token, for each prompt token of each other user of a closed loop."""
    uncertainty: dict[str, float]
    covariance: tuple[tuple[float, ...], ...]
    prior: StepPrior
    """The expectation that stood beside the points, scaled to them."""
    prior_share: dict[str, float]
    """How much of each term's certainty comes from the prior, 0 to 1."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Rows:
    """Rows of a least-squares problem `matrix · terms ≈ target`, in units of the measured value."""

    tpot: Array
    ttft: Array
    prior: Array
    prior_target: Array


def assumed_prior(points: Sequence[Measurement]) -> StepPrior:
    """A loose expectation where no data sheet is known: shares of the quickest token and of the quickest prompt."""
    gap = min(point.tpot_s or np.inf for point in points)
    prompts = [point.ttft_s / point.input_tokens for point in points if point.ttft_s is not None]
    prompt = 0.5 * min(prompts) if prompts else gap / 500.0
    context = max(point.input_tokens + 0.5 * point.output_tokens for point in points)
    return StepPrior(
        base_s=0.8 * gap,
        per_prefill_token_s=prompt,
        per_decode_s=max(0.002 * gap, prompt),
        per_kv_token_s=0.002 * gap / context,
        per_expert_s=0.01 * gap,
        spread=1.0,
        source="no data sheet known: shares of the quickest measured token and prompt",
    )


def _scaled(prior: StepPrior, points: Sequence[Measurement], limits: EngineLimits) -> StepPrior:
    """The prior with all terms times one factor, so that it meets the points in the median.

    Data sheets say how the terms compare; how much of them an engine reaches is one unknown that a single point tells.
    """
    expected = np.array([prior.base_s, prior.per_prefill_token_s, prior.per_decode_s, prior.per_kv_token_s, 0.0, 0.0])
    factor = float(np.median([1.0 / (_tpot_row(point, "linear", limits, None) @ expected) for point in points]))
    return replace(
        prior,
        base_s=prior.base_s * factor,
        per_prefill_token_s=prior.per_prefill_token_s * factor,
        per_decode_s=prior.per_decode_s * factor,
        per_kv_token_s=prior.per_kv_token_s * factor,
        per_expert_s=prior.per_expert_s * factor,
        source=f"{prior.source}; all times {factor:.2f} to meet the points",
    )


def solve(
    points: Sequence[Measurement],
    *,
    form: Form,
    limits: EngineLimits,
    prior: StepPrior | None = None,
    experts: tuple[int, int] | None = None,
) -> Solution:
    """Terms of one form, with the noise of the points found from the points and outliers weighted down.

    The prior is scaled to the points first; without one, a loose one is assumed from them.
    """
    expected = _scaled(prior if prior is not None else assumed_prior(points), points, limits)
    names, rows = _rows(points, form, limits, expected, experts)
    noise, weights = TPOT_NOISE, np.ones(len(rows.tpot))
    terms, matrix = np.zeros(len(names)), rows.tpot
    patience = np.ones(len(rows.ttft))
    for _ in range(_ROUNDS):
        matrix, target = _stack(rows, weights / noise, patience)
        terms = _non_negative(matrix, target)
        late = np.abs(rows.ttft @ terms - 1.0) if len(rows.ttft) else np.zeros(0)
        patience = np.sqrt(np.minimum(1.0, _HUBER * TTFT_NOISE / np.maximum(late, 1e-12)))
        residual = np.abs(rows.tpot @ terms - 1.0)
        if len(residual) > len(names):
            noise = float(np.clip(1.4826 * np.median(residual), LEAST_NOISE, 2.0 * TPOT_NOISE))
        else:
            # As many terms as points: what is left says nothing of the noise, but the points must be met.
            noise = LEAST_NOISE if len(residual) < 3 else TPOT_NOISE
        weights = np.sqrt(np.minimum(1.0, _HUBER * noise / np.maximum(residual, 1e-12)))
    return _solution(form, names, terms, matrix, rows, expected, experts)


def _rows(
    points: Sequence[Measurement],
    form: Form,
    limits: EngineLimits,
    prior: StepPrior,
    experts: tuple[int, int] | None,
) -> tuple[list[str], _Rows]:
    names = ["base_s", "per_prefill_token_s", "per_decode_s", "per_kv_token_s"]
    names += {"linear": [], "sqrt": ["per_sqrt_decode_s"], "experts": ["per_expert_s"]}[form]
    names += ["cohort_s", "overhead_s"]
    tpot = np.array([_tpot_row(point, form, limits, experts) for point in points])
    timed = [point for point in points if point.ttft_s is not None]
    ttft = np.array([_ttft_row(point, form, limits, experts) for point in timed]).reshape(len(timed), len(names))
    expected = [prior.base_s, prior.per_prefill_token_s, prior.per_decode_s, prior.per_kv_token_s]
    spread = prior.spread * np.array([1.0, 1.0, 2.0, 1.0])
    matrix = np.zeros((len(names), len(names)))
    target = np.zeros(len(names))
    for index, value in enumerate(expected):
        matrix[index, index], target[index] = 1.0 / (value * spread[index]), 1.0 / spread[index]
    if form == "sqrt":
        matrix[4, 4] = 8.0 / (CONCAVE_SPREAD * prior.base_s)
    if form == "experts":
        assert experts is not None
        size = prior.per_expert_s or prior.base_s / experts[0]
        matrix[4, 4], target[4] = 1.0 / (size * prior.spread), 1.0 / prior.spread
    matrix[-2, -2] = 1.0 / (COHORT * prior.per_prefill_token_s)
    target[-2] = 1.0
    matrix[-1, -1] = 1.0 / OVERHEAD_S
    return names, _Rows(tpot=tpot, ttft=ttft, prior=matrix, prior_target=target)


def _tpot_row(point: Measurement, form: Form, limits: EngineLimits, experts: tuple[int, int] | None) -> Array:
    gap, rate = point.tpot_s, point.rate_per_s
    assert gap is not None
    assert rate is not None
    mean = MeanStep.at(rate, gap, point, limits)
    row = [1.0, mean.prompt_tokens, mean.decodes, mean.kv_tokens]
    if form != "linear":
        bare, loaded = (
            _concave(form, prompt, mean.decodes, experts)
            for prompt in (0.0, mean.prompt_tokens / max(mean.prefill_share, 1e-12))
        )
        row.append((1.0 - mean.prefill_share) * bare + mean.prefill_share * loaded)
    return np.array([*row, 0.0, 0.0]) / gap


def _ttft_row(point: Measurement, form: Form, limits: EngineLimits, experts: tuple[int, int] | None) -> Array:
    """TTFT: overhead, half a mean step, the prefill's own steps, and what the prompts of a cohort make each wait."""
    gap, rate, ttft = point.tpot_s, point.rate_per_s, point.ttft_s
    assert gap is not None
    assert rate is not None
    assert ttft is not None
    mean = MeanStep.at(rate, gap, point, limits)
    steps = prefill_steps(point, mean.decodes, limits)
    own = [steps, point.input_tokens, steps * mean.decodes, steps * mean.kv_tokens]
    if form != "linear":
        own.append(steps * _concave(form, point.input_tokens / steps, mean.decodes, experts))
    half = 0.5 * gap * _tpot_row(point, form, limits, experts)
    return np.asarray((half + np.array([*own, cohort_tokens(point), 1.0])) / ttft, dtype=float)


def cohort_tokens(point: Measurement) -> float:
    """Prompt tokens of the other users of a closed loop; none of an open one."""
    return 0.0 if point.concurrency is None else (point.concurrency - 1.0) * point.input_tokens


def _concave(form: Form, prompt: float, decodes: float, experts: tuple[int, int] | None) -> float:
    """The term beyond the straight line, per unit of its coefficient."""
    if form == "sqrt":
        return float(np.sqrt(decodes))
    assert experts is not None
    nothing = LinearStepTime(base_s=0.0, per_prefill_token_s=0.0, per_decode_s=0.0, per_kv_token_s=0.0)
    unit = ExpertsStepTime(linear=nothing, experts=experts[0], experts_per_token=experts[1], per_expert_s=1.0)
    return float(unit.seconds(prompt, decodes, 0.0))


def _stack(rows: _Rows, weights: Array, patience: Array) -> tuple[Array, Array]:
    """All rows over their noise; `patience` weighs down first tokens that waited for something else."""
    late = patience / TTFT_NOISE
    matrix = np.vstack([rows.tpot * weights[:, None], rows.ttft * late[:, None], rows.prior])
    target = np.concatenate([weights, late, rows.prior_target])
    return matrix, target


def _non_negative(matrix: Array, target: Array) -> Array:
    from scipy.optimize import nnls

    scale = np.linalg.norm(matrix, axis=0)
    terms, _ = nnls(matrix / scale, target, maxiter=100 * matrix.shape[1])
    return np.asarray(terms / scale, dtype=float)


def _solution(
    form: Form,
    names: list[str],
    terms: Array,
    matrix: Array,
    rows: _Rows,
    prior: StepPrior,
    experts: tuple[int, int] | None,
) -> Solution:
    scale = np.linalg.norm(matrix, axis=0)
    information = (matrix / scale).T @ (matrix / scale)
    covariance = np.linalg.pinv(information) / np.outer(scale, scale)
    deviation = np.sqrt(np.diag(covariance))
    prior_precision = np.diag(rows.prior) ** 2
    share = np.clip(prior_precision * np.diag(covariance), 0.0, 1.0)
    kept = range(len(names) - 2)
    relative = {names[i]: float(deviation[i] / terms[i]) if terms[i] > 0.0 else float("inf") for i in kept}
    return Solution(
        form=form,
        step_time=_step_time(form, terms, experts),
        overhead_s=float(terms[-1]),
        cohort_s=float(terms[-2]),
        uncertainty=relative,
        covariance=tuple(tuple(float(covariance[i, j]) for j in kept) for i in kept),
        prior=prior,
        prior_share={names[i]: float(share[i]) for i in kept},
    )


def _step_time(form: Form, terms: Array, experts: tuple[int, int] | None) -> StepTime:
    linear = LinearStepTime(
        base_s=float(terms[0]),
        per_prefill_token_s=float(terms[1]),
        per_decode_s=float(terms[2]),
        per_kv_token_s=float(terms[3]),
    )
    if form == "sqrt":
        return SqrtStepTime(linear=linear, per_sqrt_decode_s=float(terms[4]))
    if form == "experts":
        assert experts is not None
        return ExpertsStepTime(
            linear=linear, experts=experts[0], experts_per_token=experts[1], per_expert_s=float(terms[4])
        )
    return linear
