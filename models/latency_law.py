"""The law of one latency: mean and any quantile, whether predicted or observed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.errors import InvalidInput

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class LatencyLaw:
    """A distribution as ascending `values_s` (m,) with cumulative probability `cdf` (m,) at each, linear between.

    The mean is kept apart because a finite grid cuts the far tail.
    """

    values_s: Array = field(repr=False)
    cdf: Array = field(repr=False)
    mean_s: float

    @classmethod
    def from_atoms(cls, values_s: ArrayLike, weights: ArrayLike) -> LatencyLaw:
        """From weighted values in any order."""
        values = np.asarray(values_s, dtype=float).ravel()
        mass = np.asarray(weights, dtype=float).ravel()
        keep = mass > 0.0
        values, mass = values[keep], mass[keep]
        if values.size == 0:
            raise InvalidInput("a latency law needs at least one value")
        order = np.argsort(values)
        values, mass = values[order], mass[order] / mass.sum()
        return cls(values_s=values, cdf=np.cumsum(mass), mean_s=float(values @ mass))

    @classmethod
    def from_samples(cls, samples_s: ArrayLike) -> LatencyLaw:
        """The empirical law of observed latencies."""
        samples = np.asarray(samples_s, dtype=float).ravel()
        return cls.from_atoms(samples, np.ones(samples.size))

    def quantile(self, q: float) -> float:
        """The latency that a share `q` of requests (or tokens) does not exceed, seconds."""
        return float(self.quantiles(q))

    def quantiles(self, q: ArrayLike) -> Array:
        """The same at several shares (n,)."""
        index = np.searchsorted(self.cdf, np.asarray(q, dtype=float) - 1e-12)
        return np.asarray(self.values_s[np.minimum(index, self.values_s.size - 1)])

    def statistic(self, quantile: float | None) -> float:
        """The mean (None) or a quantile, seconds."""
        return self.mean_s if quantile is None else self.quantile(quantile)

    def later(self, seconds: float) -> LatencyLaw:
        """The law of latencies that are all so much longer."""
        if seconds == 0.0:
            return self
        return LatencyLaw(values_s=self.values_s + seconds, cdf=self.cdf, mean_s=self.mean_s + seconds)

    def exceedance(self, limit_s: float) -> float:
        """The share of requests (or tokens) slower than `limit_s`."""
        index = int(np.searchsorted(self.values_s, limit_s, side="right"))
        return 1.0 if index == 0 else float(max(0.0, 1.0 - self.cdf[index - 1]))


def slower_of(laws: Sequence[LatencyLaw]) -> LatencyLaw:
    """The least law that no given one exceeds at any share: at each share the slowest of them.

    Its mean is the highest of the given means, a lower bound of its own that is exact where one law is the slowest
    throughout.
    """
    if len(laws) == 1:
        return laws[0]
    values = np.unique(np.concatenate([law.values_s for law in laws]))
    below = np.array([_cdf_at(law, values) for law in laws]).min(axis=0)
    keep = below > 0.0
    return LatencyLaw(values_s=values[keep], cdf=below[keep], mean_s=max(law.mean_s for law in laws))


def _cdf_at(law: LatencyLaw, values_s: Array) -> Array:
    index = np.searchsorted(law.values_s, values_s, side="right")
    return np.where(index == 0, 0.0, law.cdf[np.maximum(index - 1, 0)])
