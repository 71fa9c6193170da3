"""A forecast of demand some minutes ahead: level and trend, with their uncertainty. Seasons come later, beside it.

Holt's linear trend (Holt 1957) as the state-space model ETS(A,A,N), whose errors at `h` steps have the variance
`σ²·(1 + (h−1)·(α² + αβh + β²h(2h−1)/6))` (Hyndman, Koehler, Ord and Snyder 2008, Forecasting with Exponential
Smoothing, table 6.1, with β for their αβ*). Both smoothing constants are those of the least squared one-step errors on
a small grid, errors of long ago counting less. Counts of a Poisson stream are never surer than `√(rate/window)`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidInput

Array = NDArray[np.float64]

LEAST_SAMPLES = 4
"""With fewer no trend is told from noise: the forecast is the level, as uncertain as its samples differ."""
_FITTED = 2.0
"""Level and trend at the beginning are of the same samples, whose errors are smaller for it."""
_KEPT = 0.9
"""Of an error's weight from one sample to the next: after a sudden change it takes some dozens to be sure again."""
_FALL, _SURE = 0.25, 3.0
"""A fall is sudden beyond this share, and so many deviations of a count, from one sample to the next."""
_LEVELS = np.array([0.1, 0.2, 0.35, 0.5, 0.7, 0.9])
_TRENDS = np.array([0.0, 0.02, 0.05, 0.1, 0.2, 0.4])


@dataclass(frozen=True, kw_only=True)
class DemandForecast:
    """A normal law of the rate at the horizon, as wide as errors upwards are: a sudden fall makes no peak likelier."""

    mean_per_s: float
    deviation_per_s: float
    trend_per_s2: float
    """Growth of the rate a second, as estimated now."""

    def quantile(self, share: float) -> float:
        """The rate that is not exceeded with this chance, at least 0."""
        from scipy.special import ndtri

        return max(0.0, self.mean_per_s + float(ndtri(share)) * self.deviation_per_s)


def level_and_trend(
    times_s: Sequence[float], rates_per_s: Sequence[float], *, horizon_s: float, window_s: float
) -> DemandForecast:
    """The rate `horizon_s` after the last sample.

    `times_s` ascends, about evenly; `window_s` is what one sample is a mean over, for the noise of counting.
    """
    times, rates = np.asarray(times_s, dtype=float), np.asarray(rates_per_s, dtype=float)
    if times.size == 0 or times.size != rates.size or np.any(np.diff(times) <= 0.0):
        raise InvalidInput("a forecast needs rates at ascending times")
    since = _since_last_fall(rates, window_s)
    times, rates = times[since:], rates[since:]
    noise = max(float(rates[-1]), 1.0 / window_s) / window_s  # variance of a Poisson count over the window
    if times.size < LEAST_SAMPLES:
        spread = float(rates.var()) if times.size > 1 else 0.0
        return DemandForecast(mean_per_s=float(rates[-1]), deviation_per_s=math.sqrt(spread + noise), trend_per_s2=0.0)
    step_s = float(np.median(np.diff(times)))
    smoothing = _best(rates)
    ahead = max(1.0, horizon_s / step_s)
    alpha, beta = smoothing.alpha, smoothing.beta
    growth = alpha**2 + alpha * beta * ahead + beta**2 * ahead * (2.0 * ahead - 1.0) / 6.0
    variance = max(smoothing.variance, noise) * (1.0 + (ahead - 1.0) * growth)
    return DemandForecast(
        mean_per_s=smoothing.level + ahead * smoothing.trend,
        deviation_per_s=math.sqrt(variance),
        trend_per_s2=smoothing.trend / step_s,
    )


def _since_last_fall(rates: Array, window_s: float) -> int:
    """The first sample after the last sudden fall: what was before tells nothing of what comes, and a trend that was
    learned from the fall would swing back.
    """
    before = rates[:-1]
    fell = rates[1:] < (1.0 - _FALL) * before - _SURE * np.sqrt(before / window_s)
    return int(np.flatnonzero(fell)[-1]) + 1 if fell.any() else 0


@dataclass(frozen=True, kw_only=True)
class _Smoothing:
    alpha: float
    beta: float
    level: float
    trend: float
    variance: float
    """Of one-step errors upwards."""


def _best(rates: Array) -> _Smoothing:
    """Every pair of constants at once, and the one of the least squared errors."""
    alpha, beta = (grid.ravel() for grid in np.meshgrid(_LEVELS, _TRENDS, indexing="ij"))
    beta = np.minimum(beta, alpha)
    slope = float(np.polyfit(np.arange(4.0), rates[:4], 1)[0])
    level, trend = np.full(alpha.size, rates[0]), np.full(alpha.size, slope)
    squares, above, weight = np.zeros(alpha.size), np.zeros(alpha.size), 0.0
    for rate in rates[1:]:
        error = rate - level - trend
        level = level + trend + alpha * error
        trend = trend + beta * error
        squares = _KEPT * squares + error**2
        above = _KEPT * above + 2.0 * np.maximum(error, 0.0) ** 2
        weight = _KEPT * weight + 1.0
    best = int(np.argmin(squares))
    return _Smoothing(
        alpha=float(alpha[best]),
        beta=float(beta[best]),
        level=float(level[best]),
        trend=float(trend[best]),
        variance=float(above[best]) / weight * rates.size / (rates.size - _FITTED),
    )
