"""The non-negative, robust, prior-backed regression behind `models.step_fit`: rows, weights, solution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.engine import EngineLimits
from models.first_token_wait import FirstTokenWait
from models.mean_step import MeanStep, busy_share, prefill_steps
from models.measurement import Measurement
from models.step_prior import StepPrior
from models.step_terms import Experts, Form, names_of, step_time_of
from models.step_time import ExpertsStepTime, LinearStepTime, StepTime

Array = NDArray[np.float64]

TPOT_NOISE = 0.03
"""Relative error of a measured TPOT about any of our forms before the points say better (public curves: 2–4 %)."""
LEAST_NOISE = 0.003
"""No measurement is trusted further than this."""
TTFT_NOISE = 0.15
"""Relative error of TTFT about the fluid: cohorts of a closed loop prefill together, warm-ups are in it."""
MEDIAN_NOISE = 0.02
"""Relative error of a median gap as a step without prompts: the batch swings about its mean."""
FEW_PROMPTS = 0.35
"""Share of steps with prompts up to which the median gap is one without."""
ARTEFACT = 0.5
"""A median gap below this share of the mean, or as far above, is of a client that saw several tokens a chunk."""
COHORT = 0.05
"""Expected share of all users' prompts that a first token waits for: users of a closed loop begin together, and a
benchmark of ten requests a user counts that beginning to a tenth."""
OVERHEAD_S = 0.15
"""Expected size of what is spent outside the engine before a first token."""
CONCAVE = 2.0
"""Where a concave term is tried at all, it is expected at so many times the base at 64 sequences, and as uncertain:
among the measured curves that choose it, it is seldom small."""
_USUAL_NOISE = 0.02
_USUAL_POINTS = 2.0
_HUBER = 1.5
_ROUNDS = 6


@dataclass(frozen=True, kw_only=True)
class Solution:
    """A step time, and what is known about its terms."""

    form: Form
    experts: Experts | None
    terms: tuple[float, ...]
    """Seconds, in the order of `models.step_terms.names_of`."""
    wait: FirstTokenWait
    covariance: tuple[tuple[float, ...], ...]
    """Of the terms, seconds²."""
    noise: float
    """Relative standard deviation of a measured TPOT about the fit."""
    prior: StepPrior
    """The expectation that stood beside the points, scaled to them."""
    prior_rows: tuple[tuple[float, ...], ...]
    """The same as rows of a least-squares problem in the terms, in units of its spread."""
    prior_target: tuple[float, ...]

    @property
    def step_time(self) -> StepTime:
        """The step time that the terms make."""
        return step_time_of(self.form, self.terms, self.experts)

    @property
    def prior_share(self) -> dict[str, float]:
        """How much of each term's certainty comes from the prior, 0 to 1."""
        share = np.diag(np.array(self.prior_rows)) ** 2 * np.diag(np.array(self.covariance))
        return dict(zip(names_of(self.form), (float(value) for value in np.clip(share, 0.0, 1.0)), strict=True))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Rows:
    """Rows of a least-squares problem `matrix · terms ≈ target`, in units of the measured value."""

    tpot: Array
    ttft: Array
    bare: Array
    """Steps without prompts, where the median gap between tokens shows one."""
    prior: Array
    prior_target: Array


def assumed_prior(points: Sequence[Measurement]) -> StepPrior:
    """A loose expectation where no data sheet is known: shares of the quickest token and of the quickest prompt."""
    gap = min(point.tpot_s or np.inf for point in points)
    # A first token takes a whole step, which costs as much as any other, before its prompt costs anything.
    prompts = [max(point.ttft_s - gap, 0.1 * gap) / point.input_tokens for point in points if point.ttft_s is not None]
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
    experts: Experts | None = None,
) -> Solution:
    """Terms of one form, with the noise of the points found from the points and outliers weighted down.

    The prior is scaled to the points first; without one, a loose one is assumed from them.
    """
    expected = _scaled(prior if prior is not None else assumed_prior(points), points, limits)
    rows = _rows(points, form, limits, expected, experts)
    noise, weights = TPOT_NOISE, np.ones(len(rows.tpot))
    terms, matrix = np.zeros(rows.prior.shape[1]), rows.tpot
    patience = np.ones(len(rows.ttft))
    for _ in range(_ROUNDS):
        matrix, target = _stack(rows, weights / noise, patience)
        terms = _non_negative(matrix, target)
        late = np.abs(rows.ttft @ terms - 1.0) if len(rows.ttft) else np.zeros(0)
        patience = np.sqrt(np.minimum(1.0, _HUBER * TTFT_NOISE / np.maximum(late, 1e-12)))
        residual = np.abs(rows.tpot @ terms - 1.0)
        if len(residual) > len(terms):
            noise = float(np.clip(1.4826 * np.median(residual), LEAST_NOISE, 2.0 * TPOT_NOISE))
        else:
            # As many terms as points: what is left says nothing of the noise, but the points must be met.
            noise = LEAST_NOISE if len(residual) < 3 else TPOT_NOISE
        weights = np.sqrt(np.minimum(1.0, _HUBER * noise / np.maximum(residual, 1e-12)))
    noise = _honest_noise(rows, terms, weights, matrix, noise)
    matrix, _ = _stack(rows, weights / noise, patience)
    return _solution(form, terms, matrix, rows, expected, experts, noise)


def _honest_noise(rows: _Rows, terms: Array, weights: Array, matrix: Array, noise: float) -> float:
    """The noise that residuals tell after the terms took their share of them, drawn towards what is usual.

    Residuals over the points less the terms that the points themselves pin (the trace of their part of the hat
    matrix), with the usual noise standing in as `_USUAL_POINTS` points more (the mean of an inverse-gamma posterior).
    """
    pinned = rows.tpot * (weights / noise)[:, None]
    taken = float(np.trace(pinned @ covariance_of(matrix) @ pinned.T))
    squares = float(np.sum((weights * (rows.tpot @ terms - 1.0)) ** 2))
    free = max(len(weights) - taken, 0.0)
    return float(np.sqrt((_USUAL_POINTS * _USUAL_NOISE**2 + squares) / (_USUAL_POINTS + free)))


def _rows(
    points: Sequence[Measurement],
    form: Form,
    limits: EngineLimits,
    prior: StepPrior,
    experts: Experts | None,
) -> _Rows:
    names = (*names_of(form), "cohort_s", "overhead_s")
    tpot = np.array([_tpot_row(point, form, limits, experts) for point in points])
    timed = [point for point in points if point.ttft_s is not None]
    ttft = np.array([_ttft_row(point, form, limits, experts) for point in timed]).reshape(len(timed), len(names))
    shown = [row for point in points if (row := _bare_row(point, form, limits, experts)) is not None]
    bare = np.array(shown).reshape(len(shown), len(names))
    expected = [prior.base_s, prior.per_prefill_token_s, prior.per_decode_s, prior.per_kv_token_s]
    spread = prior.spread * np.array([1.0, 1.0, 2.0, 1.0])
    matrix = np.zeros((len(names), len(names)))
    target = np.zeros(len(names))
    for index, value in enumerate(expected):
        matrix[index, index], target[index] = 1.0 / (value * spread[index]), 1.0 / spread[index]
    if form == "sqrt":
        matrix[4, 4], target[4] = 8.0 / (CONCAVE * prior.base_s), 1.0
    if form == "experts":
        assert experts is not None
        size = prior.per_expert_s or prior.base_s / experts[0]
        matrix[4, 4], target[4] = 1.0 / (size * prior.spread), 1.0 / prior.spread
    matrix[-2, -2] = 1.0 / (COHORT * prior.per_prefill_token_s)
    target[-2] = 1.0
    matrix[-1, -1] = 1.0 / OVERHEAD_S
    return _Rows(tpot=tpot, ttft=ttft, bare=bare, prior=matrix, prior_target=target)


def _tpot_row(point: Measurement, form: Form, limits: EngineLimits, experts: Experts | None) -> Array:
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


def _bare_row(point: Measurement, form: Form, limits: EngineLimits, experts: Experts | None) -> Array | None:
    """The median gap as a step without prompts: what tells prompts and decodes apart where one pair of lengths was
    measured. None where more than a few steps carry prompts, or where the client saw several tokens a chunk.
    """
    gap, rate, median = point.tpot_s, point.rate_per_s, None if point.itl is None else point.itl.p50_s
    assert gap is not None
    assert rate is not None
    if median is None or not ARTEFACT * gap <= median <= gap / ARTEFACT:
        return None
    mean = MeanStep.at(rate, gap, point, limits)
    if mean.prefill_share > FEW_PROMPTS:
        return None
    row = [1.0, 0.0, mean.decodes, mean.kv_tokens]
    if form != "linear":
        row.append(_concave(form, 0.0, mean.decodes, experts))
    return np.array([*row, 0.0, 0.0]) / median


def _ttft_row(point: Measurement, form: Form, limits: EngineLimits, experts: Experts | None) -> Array:
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
    half = 0.5 * busy_share(point, rate * gap) * gap * _tpot_row(point, form, limits, experts)
    return np.asarray((half + np.array([*own, cohort_tokens(point), 1.0])) / ttft, dtype=float)


def cohort_tokens(point: Measurement) -> float:
    """Prompt tokens of the other users of a closed loop; none of an open one."""
    return 0.0 if point.concurrency is None else (point.concurrency - 1.0) * point.input_tokens


def _concave(form: Form, prompt: float, decodes: float, experts: Experts | None) -> float:
    """The term beyond the straight line, per unit of its coefficient."""
    if form == "sqrt":
        return float(np.sqrt(decodes))
    assert experts is not None
    nothing = LinearStepTime(base_s=0.0, per_prefill_token_s=0.0, per_decode_s=0.0, per_kv_token_s=0.0)
    unit = ExpertsStepTime(linear=nothing, experts=experts[0], experts_per_token=experts[1], per_expert_s=1.0)
    return float(unit.seconds(prompt, decodes, 0.0))


def _stack(rows: _Rows, weights: Array, patience: Array) -> tuple[Array, Array]:
    """All rows over their noise; `patience` weighs down first tokens that waited for something else."""
    late, bare = patience / TTFT_NOISE, np.full(len(rows.bare), 1.0 / MEDIAN_NOISE)
    matrix = np.vstack([rows.tpot * weights[:, None], rows.ttft * late[:, None], rows.bare / MEDIAN_NOISE, rows.prior])
    target = np.concatenate([weights, late, bare, rows.prior_target])
    return matrix, target


def _non_negative(matrix: Array, target: Array) -> Array:
    from scipy.optimize import nnls

    scale = np.linalg.norm(matrix, axis=0)
    terms, _ = nnls(matrix / scale, target, maxiter=100 * matrix.shape[1])
    return np.asarray(terms / scale, dtype=float)


def _solution(
    form: Form,
    terms: Array,
    matrix: Array,
    rows: _Rows,
    prior: StepPrior,
    experts: Experts | None,
    noise: float,
) -> Solution:
    covariance = covariance_of(matrix)
    kept = len(names_of(form))
    return Solution(
        form=form,
        experts=experts,
        terms=tuple(float(term) for term in terms[:kept]),
        wait=FirstTokenWait(overhead_s=float(terms[-1]), cohort_s=float(terms[-2])),
        covariance=tuple(tuple(float(value) for value in row[:kept]) for row in covariance[:kept]),
        noise=noise,
        prior=prior,
        prior_rows=tuple(tuple(float(value) for value in row[:kept]) for row in rows.prior[:kept]),
        prior_target=tuple(float(value) for value in rows.prior_target[:kept]),
    )


def covariance_of(matrix: Array) -> Array:
    """Covariance of least-squares terms from rows in units of their noise, whatever the sizes of the columns."""
    scale = np.linalg.norm(matrix, axis=0)
    scale = np.where(scale > 0.0, scale, 1.0)
    return np.asarray(np.linalg.pinv((matrix / scale).T @ (matrix / scale)) / np.outer(scale, scale), dtype=float)
