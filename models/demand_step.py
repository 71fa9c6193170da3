"""A step in demand: a level that changed once, and neither grew before nor after."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEAST_STEP = 1.25
"""Times as much, or as little."""
MUCH_BETTER = 0.5
"""A step leaves less than this part of what a trend leaves, in the sum of absolute deviations.

Of a straight line the best step leaves far more than the line, of a step the best line far more than the step.
"""
_LEAST_WEEKS_A_SIDE = 2


def step_of(weeks: Array, logs: Array, slope: float) -> float | None:
    """The factor of the one step that describes levels (logarithms) much better than a slope a week; else None."""
    trend = logs - slope * weeks
    by_trend = float(np.abs(trend - np.median(trend)).sum())
    splits = range(_LEAST_WEEKS_A_SIDE, weeks.size - _LEAST_WEEKS_A_SIDE + 1)
    by_step, at = min((_left(logs[:split]) + _left(logs[split:]), split) for split in splits)
    step = float(np.median(logs[at:]) - np.median(logs[:at]))
    found = by_step < MUCH_BETTER * by_trend and abs(step) > math.log(LEAST_STEP)
    return math.exp(min(step, 700.0)) if found else None


def _left(levels: Array) -> float:
    return float(np.abs(levels - np.median(levels)).sum())
