"""A straight line that odd points do not move: the median of the slopes of all pairs, and its band.

The slope is Theil's (1950), the band Sen's (1968, Estimates of the regression coefficient based on Kendall's tau, JASA
63, 1379-1389): Kendall's statistic of what is left is normal about 0 with the variance `n(n−1)(2n+5)/18`, less
`t(t−1)(2t+5)/18` for each group of `t` equal values, so that the rank of the true slope among all is known with a
chance. Points must be independent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class PairSlope:
    """The median slope and its quantiles on both sides."""

    slope: float
    low: float
    high: float


def pair_slope(x: Array, y: Array, *, quantile: float) -> PairSlope:
    """The slope of `y` over different values of `x`; the true one is above `high` with a chance of 1 − quantile."""
    from scipy.special import ndtri

    first, second = np.triu_indices(x.size, 1)
    slopes = np.sort((y[second] - y[first]) / (x[second] - x[first]))
    beyond = float(ndtri(quantile)) * _deviation(y)
    low, high = round((slopes.size - beyond) / 2.0) - 1, round((slopes.size + beyond) / 2.0)
    return PairSlope(
        slope=float(np.median(slopes)),
        low=float(slopes[max(low, 0)]),
        high=float(slopes[min(high, slopes.size - 1)]),
    )


def _deviation(y: Array) -> float:
    """Of Kendall's statistic."""
    equal = np.unique(y, return_counts=True)[1].astype(float)
    ties = float((equal * (equal - 1.0) * (2.0 * equal + 5.0)).sum())
    return math.sqrt(max(y.size * (y.size - 1.0) * (2.0 * y.size + 5.0) - ties, 0.0) / 18.0)


def mid_ranks(values: Array) -> Array:
    """The rank of each value less the mean of all ranks; equal values share theirs."""
    which, counts = np.unique(values, return_inverse=True, return_counts=True)[1:]
    last = np.cumsum(counts)
    ranks: Array = (last - (counts - 1.0) / 2.0)[which.ravel()] - (values.size + 1.0) / 2.0
    return ranks
