"""Time of an executed batch, learned from sums over requests: Triton's dynamic batcher.

A server that adds up durations lets each request add its whole batch's time. Their mean over requests is that of
batches weighted by size, `E[B·S(B)] / E[B]`, while requests over executions is the plain mean batch `E[B]`. For a time
that is linear in the batch, `S(b) = base + per_item·b`, the former is `S(E[B²]/E[B])` exactly. The size-biased batch
`E[B²]/E[B]` is not counted. It lies between `E[B]` (all batches alike) and `1 + N − N/E[B]` (all of size 1 or N); taken
is that of the law of maximum entropy on 1…N with this mean, a truncated geometric (Jaynes 1957, Physical Review 106).
At both ends, batches of one and full batches, the bounds meet and nothing is assumed; so points are weighed by how far
their bounds lie apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidInput

Array = NDArray[np.float64]

NOISE = 0.02
"""Relative error of a mean service time about the straight line, beside what is not known of the batch."""
LEAST_SPREAD = 1.5
"""Batches within this factor of each other do not tell what an item adds."""
_ROUNDS = 5
_FLAT = 1e-9


@dataclass(frozen=True, kw_only=True)
class ExecutedBatches:
    """What a stretch of time adds up to."""

    mean_batch: float
    """Requests over executions."""
    service_s: float
    """Mean over requests of their batch's time."""


@dataclass(frozen=True, kw_only=True)
class ServiceFit:
    """A straight line through the service times, and how well it meets each point (relative, fitted / measured − 1)."""

    base_s: float
    per_item_s: float
    errors: tuple[float, ...]

    def seconds(self, batch: float) -> float:
        """The line."""
        return self.base_s + self.per_item_s * batch


def size_biased_batch(mean_batch: float, largest: int) -> tuple[float, float]:
    """`E[B²]/E[B]` at maximum entropy given the mean, and how far apart its bounds lie."""
    if not 1.0 <= mean_batch <= largest:
        raise InvalidInput(f"a mean batch of {mean_batch:g} with batches of 1 to {largest}")
    apart = max(0.0, 1.0 + largest - largest / mean_batch - mean_batch)
    if apart < _FLAT:
        return mean_batch, 0.0
    from scipy.optimize import brentq

    sizes = np.arange(1.0, largest + 1.0)

    def law(tilt: float) -> Array:
        exponent = tilt * sizes
        weights = np.exp(exponent - exponent.max())
        return np.asarray(weights / weights.sum())

    # exp(−60) between neighbours is nothing: the mean is then 1, or `largest`, to the last digit.
    tilt = float(brentq(lambda tilt: float(law(tilt) @ sizes) - mean_batch, -60.0, 60.0))
    return float(law(tilt) @ sizes**2) / mean_batch, apart


def fit_service_time(points: Sequence[ExecutedBatches], largest: int) -> ServiceFit:
    """The line by weighted, non-negative least squares of relative errors. Raises InvalidInput on batches too alike."""
    from scipy.optimize import nnls

    biased, apart = np.array([size_biased_batch(point.mean_batch, largest) for point in points]).reshape(-1, 2).T
    times = np.array([point.service_s for point in points])
    if largest == 1 and len(points):
        return _line(float(np.median(times)), 0.0, biased, times)
    if not len(points) or biased.max() < LEAST_SPREAD * biased.min():
        seen = [point.mean_batch for point in points]
        raise InvalidInput(
            "the batches do not vary enough to learn from: "
            + (f"mean sizes of {min(seen):.3g} to {max(seen):.3g}" if seen else "none was executed"),
            remedy="let it serve a few requests, one at a time, and for some minutes as many as make full batches "
            f"({largest})",
        )
    rows = np.column_stack([np.ones_like(biased), biased]) / times[:, None]
    noise = np.full(len(times), NOISE)
    terms = np.zeros(2)
    for _ in range(_ROUNDS):
        terms, _ = nnls(rows / noise[:, None], 1.0 / noise)
        noise = np.hypot(NOISE, terms[1] * apart / math.sqrt(12.0) / times)  # as if all within the bounds were alike
    return _line(float(terms[0]), float(terms[1]), biased, times)


def _line(base_s: float, per_item_s: float, biased: Array, times: Array) -> ServiceFit:
    errors = (base_s + per_item_s * biased) / times - 1.0
    return ServiceFit(base_s=base_s, per_item_s=per_item_s, errors=tuple(float(error) for error in errors))
