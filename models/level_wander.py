"""How much a level wanders beside its trend: what makes demand of a year ahead less sure than the trend's slope.

The local level model with drift (Harvey 1989, Forecasting, Structural Time Series Models and the Kalman Filter, §2.3):
each week has noise of its own, and the level takes a random step. Which part is steps, few weeks hardly tell; so every
ratio of both on a grid counts with its restricted likelihood (Patterson & Thompson 1971, Biometrika 58, 545-554).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_RATIOS = np.geomspace(1e-4, 10.0, 21)
"""Variance of a week's step over that of its noise: even in the logarithm, beforehand all alike."""
_FARTHEST = 4.0
"""Robust deviations from the line, beyond which a week counts as if it were no farther."""


@dataclass(frozen=True, kw_only=True)
class Wander:
    """Variances of the logarithm of demand."""

    slope_variance: float
    """Of the slope a week."""
    step_variance: float
    """That each week ahead adds."""


def wander(weeks: Array, logs: Array, slope: float) -> Wander:
    """From the levels of weeks (numbers, ascending) about a line of a known slope."""
    rest = logs - slope * weeks
    rest = rest - np.median(rest)
    scale = 1.4826 * float(np.median(np.abs(rest)))
    if scale <= 1e-12:
        return Wander(slope_variance=0.0, step_variance=0.0)
    rest = np.clip(rest, -_FARTHEST * scale, _FARTHEST * scale)
    likelihood, slopes, steps = np.array([_restricted(weeks - weeks[0], rest, ratio) for ratio in _RATIOS]).T
    weight = np.exp(likelihood - likelihood.max())
    weight /= weight.sum()
    return Wander(slope_variance=float(weight @ slopes), step_variance=float(weight @ steps))


def _restricted(times: Array, rest: Array, ratio: float) -> tuple[float, float, float]:
    """The restricted log likelihood at one ratio, and the variances of the slope and of a step that it means."""
    covariance = np.eye(times.size) + ratio * np.minimum(times[:, None], times[None, :])
    root = np.linalg.cholesky(covariance)
    design = np.column_stack([np.ones_like(times), times])
    whitened = np.linalg.solve(root, np.column_stack([design, rest]))
    lines, values = whitened[:, :2], whitened[:, 2]
    information = lines.T @ lines
    left = values - lines @ np.linalg.solve(information, lines.T @ values)
    freedom = times.size - 2
    noise = float(left @ left) / freedom
    log_det = 2.0 * float(np.log(np.diag(root)).sum()) + float(np.linalg.slogdet(information)[1])
    likelihood = -0.5 * (log_det + freedom * np.log(noise))
    return float(likelihood), noise * float(np.linalg.inv(information)[1, 1]), noise * ratio
