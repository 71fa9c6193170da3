"""The terms that a step time is a sum of: their names, the step time they make, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidInput
from models.step_time import ExpertsStepTime, LinearStepTime, SqrtStepTime, StepTime

Array = NDArray[np.float64]
Form = Literal["linear", "sqrt", "experts"]
Experts = tuple[int, int]
"""Experts, and experts per token."""

LINE = ("base_s", "per_prefill_token_s", "per_decode_s", "per_kv_token_s")
BEYOND_THE_LINE: dict[Form, tuple[str, ...]] = {
    "linear": (), "sqrt": ("per_sqrt_decode_s",), "experts": ("per_expert_s",),
}  # fmt: skip


def names_of(form: Form) -> tuple[str, ...]:
    """The terms of a form, in the order in which they are written everywhere."""
    return (*LINE, *BEYOND_THE_LINE[form])


def step_time_of(form: Form, terms: Sequence[float] | Array, experts: Experts | None) -> StepTime:
    """The step time that terms (seconds, in the order of `names_of`) make."""
    base, prefill, decode, kv, *more = (float(term) for term in terms)
    line = LinearStepTime(base_s=base, per_prefill_token_s=prefill, per_decode_s=decode, per_kv_token_s=kv)
    if form == "sqrt":
        return SqrtStepTime(linear=line, per_sqrt_decode_s=more[0])
    if form == "experts":
        assert experts is not None
        return ExpertsStepTime(linear=line, experts=experts[0], experts_per_token=experts[1], per_expert_s=more[0])
    return line


def terms_of(step_time: StepTime) -> dict[str, float]:
    """The terms of a step time, seconds, by name; empty for forms that are not sums of terms."""
    if isinstance(step_time, LinearStepTime):
        return {name: float(getattr(step_time, name)) for name in LINE}
    if isinstance(step_time, SqrtStepTime):
        return {**terms_of(step_time.linear), "per_sqrt_decode_s": step_time.per_sqrt_decode_s}
    if isinstance(step_time, ExpertsStepTime):
        return {**terms_of(step_time.linear), "per_expert_s": step_time.per_expert_s}
    return {}


TAILS = 2.5
"""Degrees of freedom of Student's t as the law of a fit's errors in units of their stated deviation: points left out of
measured curves are missed far more often by far than a normal law has it (docs/fit-accuracy.md)."""


def deviations_at(share: float) -> float:
    """How many deviations a share of errors does not exceed: a quantile of Student's t (Lange, Little, Taylor 1989)."""
    from scipy.special import stdtrit

    return float(stdtrit(TAILS, share))


@dataclass(frozen=True, kw_only=True)
class TermUncertainty:
    """How sure the terms of a step time are.

    `deviations_s` are standard deviations by term, `correlations` the matrix between them in the same order.
    """

    deviations_s: tuple[float, ...]
    correlations: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        size = len(self.deviations_s)
        matrix = np.array(self.correlations, dtype=float)
        if matrix.shape != (size, size) or not np.all(np.isfinite(matrix)) or np.any(np.abs(matrix) > 1.0 + 1e-9):
            raise InvalidInput(f"correlations of {size} terms are {size} rows of {size} numbers between -1 and 1")
        if not all(np.isfinite(value) and value >= 0.0 for value in self.deviations_s):
            raise InvalidInput("deviations of terms are finite and not negative")

    @classmethod
    def of(cls, covariance: Array) -> TermUncertainty:
        """From a covariance matrix, seconds²."""
        deviations = np.sqrt(np.maximum(np.diag(covariance), 0.0))
        safe = np.where(deviations > 0.0, deviations, 1.0)
        correlations = np.clip(covariance / np.outer(safe, safe), -1.0, 1.0)
        np.fill_diagonal(correlations, 1.0)
        return cls(
            deviations_s=tuple(float(value) for value in deviations),
            correlations=tuple(tuple(float(value) for value in row) for row in correlations),
        )

    def relative_to(self, step_time: StepTime, prompt_tokens: float, decodes: float, kv_tokens: float) -> float:
        """Standard deviation of the duration of a step of that content, over the duration."""
        seconds = float(step_time.seconds(prompt_tokens, decodes, kv_tokens))
        content = _content(step_time, prompt_tokens, decodes, kv_tokens) * np.array(self.deviations_s)
        variance = float(content @ np.array(self.correlations) @ content)
        return float(np.sqrt(max(variance, 0.0)) / seconds)


def _content(step_time: StepTime, prompt_tokens: float, decodes: float, kv_tokens: float) -> Array:
    """What multiplies each term in such a step."""
    form: Form = "linear"
    experts: Experts | None = None
    if isinstance(step_time, SqrtStepTime):
        form = "sqrt"
    elif isinstance(step_time, ExpertsStepTime):
        form, experts = "experts", (step_time.experts, step_time.experts_per_token)
    size = len(names_of(form))
    return np.array(
        [float(step_time_of(form, unit, experts).seconds(prompt_tokens, decodes, kv_tokens)) for unit in np.eye(size)]
    )
