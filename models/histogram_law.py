"""The law behind a histogram of which only bucket counts and the sum are known, as Prometheus keeps them.

Straight lines between bucket edges (`histogram_quantile`) ignore the sum and the shape of neighbouring buckets; where a
bucket is wide the tail is off by half. Here, in two steps:

1. A mixture of one to three lognormals by maximum likelihood of the grouped counts (McLachlan & Jones 1988, Biometrics
   44), held near the known mean; the number of components by the Bayesian information criterion (Schwarz 1978).
2. Its I-projection (Csiszár 1975, Annals of Probability 3) onto the laws that have exactly these bucket counts and this
   mean: the law nearest to the mixture in relative entropy. Inside a bucket it is the mixture tilted by `exp(−θx)`, one
   θ for all, found by bracketing.

Approximate inside a bucket, exact at its edges. Where a bucket is all there is (the first, from zero, or the last,
without an end) a percentile in it is a guess: `bounds` says which bucket holds it, `resolved` whether to trust it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidInput
from models.latency_law import LatencyLaw

Array = NDArray[np.float64]

CELLS = 64
"""Cells that a bucket is divided into, each by the same factor of time."""
MAX_COMPONENTS = 3
MEAN_TOLERANCE = 0.003
"""Relative error of the mixture's mean that costs as much as one standard deviation."""
USUAL_SPREAD, SPREAD_WEIGHT = 0.3, 0.2
"""A component's deviation of log-time where the counts say nothing, and how firmly it is held there."""
_SPREADS = (0.02, 2.0)
_TINY = 1e-12
_OPEN_FACTOR = 4.0
"""The last bucket has no end; its mass is spread up to so many times its beginning."""
_MAX_BUCKETS = 10_000


@dataclass(frozen=True, kw_only=True)
class BucketCounts:
    """How many observations fell in each bucket, and what they add up to."""

    upper_s: tuple[float, ...]
    """Upper ends, ascending; the last is infinite. A bucket holds its upper end, as Prometheus's `le` says."""
    counts: tuple[float, ...]
    """Observations in each bucket alone, not cumulative."""
    sum_s: float

    def __post_init__(self) -> None:
        if not 1 <= len(self.upper_s) <= _MAX_BUCKETS or len(self.upper_s) != len(self.counts):
            raise InvalidInput(f"a histogram of {len(self.upper_s)} bucket ends and {len(self.counts)} counts")
        ascending = self.upper_s[0] > 0.0 and all(low < high for low, high in pairwise(self.upper_s))
        if not ascending or self.upper_s[-1] != math.inf:
            raise InvalidInput("bucket ends must ascend from above 0 to infinity", remedy="is a bucket missing?")
        if not all(math.isfinite(count) and count >= 0.0 for count in self.counts):
            raise InvalidInput("a bucket's count is negative or not finite", remedy="was a counter reset?")
        if not (math.isfinite(self.sum_s) and self.sum_s >= 0.0):
            raise InvalidInput(f"the sum of a histogram must be finite and not negative, got {self.sum_s}")

    @classmethod
    def increase(
        cls, before: Mapping[float, float], after: Mapping[float, float], *, sum_before: float, sum_after: float
    ) -> BucketCounts:
        """What was observed between two readings: cumulative counts by bucket end (`le`), and sums.

        Raises InvalidInput where the buckets differ, or a count fell.
        """
        if before.keys() != after.keys():
            raise InvalidInput("the buckets of a histogram changed between two readings")
        ends = tuple(sorted(after))
        grown = [after[end] - before[end] for end in ends]
        counts = tuple(high - low for low, high in pairwise((0.0, *grown)))
        return cls(upper_s=ends, counts=counts, sum_s=sum_after - sum_before)

    @property
    def total(self) -> float:
        """All observations."""
        return math.fsum(self.counts)

    @property
    def mean_s(self) -> float | None:
        """The exact mean; None where nothing was observed."""
        return self.sum_s / self.total if self.total > 0.0 else None

    def __add__(self, other: BucketCounts) -> BucketCounts:
        """Both together. Raises InvalidInput where the buckets differ."""
        if self.upper_s != other.upper_s:
            raise InvalidInput("histograms with different buckets cannot be added")
        counts = tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        return BucketCounts(upper_s=self.upper_s, counts=counts, sum_s=self.sum_s + other.sum_s)

    def bounds(self, q: float) -> tuple[float, float]:
        """The ends of the bucket that holds the quantile `q`: what is certain of it."""
        index = _bucket_of(np.cumsum(self.counts), q)
        return (self.upper_s[index - 1] if index else 0.0), self.upper_s[index]

    def resolved(self, q: float) -> bool:
        """Whether the bucket of the quantile has a beginning above 0 and an end."""
        low, high = self.bounds(q)
        return low > 0.0 and math.isfinite(high)

    def interpolated(self, q: float) -> float:
        """What `histogram_quantile` says: a straight line through the bucket, the last finite end beyond it."""
        low, high = self.bounds(q)
        if not math.isfinite(high):
            return low
        cumulative = np.cumsum(self.counts)
        index = self.upper_s.index(high)
        before = cumulative[index - 1] if index else 0.0
        return float(low + (high - low) * (q * cumulative[-1] - before) / self.counts[index])


@dataclass(frozen=True, kw_only=True, eq=False)
class _Cells:
    """The occupied buckets cut fine, (n,) each."""

    low_s: Array = field(repr=False)
    high_s: Array = field(repr=False)
    bucket: NDArray[np.intp] = field(repr=False)
    """Which occupied bucket a cell lies in."""
    mass: Array = field(repr=False)
    """Share of the observations in each occupied bucket (m,)."""

    @property
    def middle_s(self) -> Array:
        return 0.5 * (self.low_s + self.high_s)


def law(histogram: BucketCounts) -> LatencyLaw:
    """The law with exactly these counts and, where the buckets allow it, this mean; smooth as a mixture between."""
    if not histogram.total > 0.0:
        raise InvalidInput("an empty histogram has no law", remedy="take a longer window, or one with requests")
    cells = _cells(histogram)
    weights = _project(_mixture_mass(histogram, cells), cells, histogram.sum_s / histogram.total)
    cdf = np.cumsum(weights)
    return LatencyLaw(values_s=cells.high_s, cdf=cdf / cdf[-1], mean_s=histogram.sum_s / histogram.total)


def _bucket_of(cumulative: Array, q: float) -> int:
    if not (0.0 < q < 1.0 and cumulative[-1] > 0.0):
        raise InvalidInput(f"no quantile {q} of {cumulative[-1]:g} observations")
    return int(np.searchsorted(cumulative, q * cumulative[-1] * (1.0 - 1e-12)))


def _cells(histogram: BucketCounts) -> _Cells:
    counts = np.asarray(histogram.counts)
    occupied = np.flatnonzero(counts)
    ends = []
    for index in occupied:
        low = histogram.upper_s[index - 1] if index else 0.0
        high = histogram.upper_s[index]
        if math.isinf(high):
            high = _OPEN_FACTOR * low if low > 0.0 else _OPEN_FACTOR * histogram.sum_s / histogram.total + _TINY
        ends.append(
            np.geomspace(low, high, CELLS + 1)
            if low > 0.0
            else np.concatenate(([0.0], np.geomspace(high / 30.0, high, CELLS)))
        )
    return _Cells(
        low_s=np.concatenate([edge[:-1] for edge in ends]),
        high_s=np.concatenate([edge[1:] for edge in ends]),
        bucket=np.repeat(np.arange(occupied.size), CELLS),
        mass=counts[occupied] / counts.sum(),
    )


def _project(base: Array, cells: _Cells, mean_s: float) -> Array:
    """The law nearest to `base` in relative entropy with each bucket's mass and, where it can be reached, the mean."""
    from scipy.optimize import brentq

    scale = 1.0 / float(cells.middle_s.max())
    logarithm = np.log(np.maximum(base, 1e-300))

    def tilted(theta: float) -> Array:
        exponent = logarithm - theta * scale * cells.middle_s
        top = exponent.reshape(-1, CELLS).max(axis=1)
        weights = np.exp(exponent - top[cells.bucket])
        return np.asarray(weights / np.bincount(cells.bucket, weights)[cells.bucket] * cells.mass[cells.bucket])

    def excess(theta: float) -> float:
        return float(tilted(theta) @ cells.middle_s) - mean_s

    steepest = 1e4
    if excess(-steepest) <= 0.0:  # the mean lies at or beyond what the buckets allow, by rounding or a stray sum
        return tilted(-steepest)
    if excess(steepest) >= 0.0:
        return tilted(steepest)
    return tilted(float(brentq(excess, -steepest, steepest, xtol=1e-9)))


def _mixture_mass(histogram: BucketCounts, cells: _Cells) -> Array:
    """Mass of the likeliest mixture in each cell."""
    from scipy.special import ndtr

    fits = [_fit(histogram, components) for components in range(1, MAX_COMPONENTS + 1)]
    _, means, spreads, weights = min(fits, key=lambda fit: fit[0])
    low, high = np.log(np.maximum(cells.low_s, _TINY)), np.log(cells.high_s)
    return np.asarray(
        (ndtr((high[:, None] - means) / spreads) - ndtr((low[:, None] - means) / spreads)) @ weights + _TINY
    )


def _fit(histogram: BucketCounts, components: int) -> tuple[float, Array, Array, Array]:
    """The information criterion (less is better), and means, deviations (of log-time) and weights of the mixture."""
    from scipy.optimize import minimize

    counts, total = np.asarray(histogram.counts), histogram.total
    edges = np.log(np.asarray(histogram.upper_s[:-1]))
    log_mean = math.log(max(histogram.sum_s / total, _TINY))
    start, bounds = _start(histogram, components)
    found = minimize(_cost, start, args=(counts, edges, log_mean), jac=True, method="L-BFGS-B", bounds=bounds)
    criterion = float(found.fun) * total + 0.5 * (3 * components - 1) * math.log(total + 1.0)
    return criterion, *_parts(np.asarray(found.x))


def _parts(parameters: Array) -> tuple[Array, Array, Array]:
    """Means, deviations and weights from means, logarithms of deviations and of weights beside the first."""
    means, log_spreads, log_weights = np.split(parameters, (size := (parameters.size + 1) // 3, 2 * size))
    weights = np.exp(np.concatenate(([0.0], log_weights)))
    return means, np.exp(log_spreads), weights / weights.sum()


def _cost(parameters: Array, counts: Array, edges: Array, log_mean: float) -> tuple[float, Array]:
    """Negative logarithm of the posterior an observation, and its gradient."""
    from scipy.special import ndtr

    means, spreads, weights = _parts(parameters)
    z = (edges[:, None] - means) / spreads
    below = ndtr(z)
    cdf = below @ weights
    mass = np.diff(cdf, prepend=0.0, append=1.0)
    pull = np.where(mass > _TINY, -counts / np.maximum(mass, _TINY), 0.0)
    by_cdf = pull[:-1] - pull[1:]  # a larger F at an edge moves mass from the bucket above to the one below
    density = np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)

    part_means = np.exp(means + 0.5 * spreads**2)
    mean = float(weights @ part_means)
    off = (math.log(mean) - log_mean) / MEAN_TOLERANCE
    by_mean = off / (MEAN_TOLERANCE * mean)
    unusual = np.log(spreads / USUAL_SPREAD)

    value = -float(counts @ np.log(np.maximum(mass, _TINY))) + 0.5 * off**2 + SPREAD_WEIGHT * float(unusual @ unusual)
    slope = np.concatenate(
        (
            weights * (by_mean * part_means - (by_cdf @ density) / spreads),
            weights * (by_mean * part_means * spreads**2 - by_cdf @ (density * z)) + 2.0 * SPREAD_WEIGHT * unusual,
            (weights * (by_cdf @ (below - cdf[:, None]) + by_mean * (part_means - mean)))[1:],
        )
    )
    total = float(counts.sum())
    return value / total, slope / total


def _start(histogram: BucketCounts, components: int) -> tuple[Array, list[tuple[float, float]]]:
    """Means at quantiles of the buckets' middles, equal weights, and what bounds each parameter."""
    counts = np.asarray(histogram.counts)
    occupied = np.flatnonzero(counts)
    share = counts[occupied] / counts.sum()
    middles = np.array([_log_middle(histogram, int(index)) for index in occupied])
    centre = float(share @ middles)
    spread = max(math.sqrt(float(share @ (middles - centre) ** 2)), 0.1) / components**0.7
    means = np.interp((np.arange(components) + 0.5) / components, np.cumsum(share) - 0.5 * share, middles)
    logarithms = math.log(_SPREADS[0]), math.log(_SPREADS[1])
    start = np.concatenate(
        (means, np.full(components, np.clip(math.log(spread), *logarithms)), np.zeros(components - 1))
    )
    reach = (float(middles.min()) - 10.0, float(middles.max()) + 5.0)
    return start, [reach] * components + [logarithms] * components + [(-6.0, 6.0)] * (components - 1)


def _log_middle(histogram: BucketCounts, index: int) -> float:
    high = histogram.upper_s[index]
    low = histogram.upper_s[index - 1] if index else 0.25 * high
    if math.isinf(high):
        high = 2.0 * low if index else 1.0
    return 0.5 * (math.log(min(low, high)) + math.log(high)) if math.isfinite(low) else 0.0
