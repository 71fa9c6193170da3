"""Arrivals at a rate that may change at any moment."""

from __future__ import annotations

import math

import numpy as np


class ArrivalStream:
    """A renewal stream whose time runs with the rate: gaps are gamma of mean 1, of which `rate × seconds` pass.

    With `burstiness` 1 that is an inhomogeneous Poisson process; in general, a renewal process under a change of time
    (Çınlar, Introduction to Stochastic Processes, §4.7).
    """

    def __init__(self, rate_per_s: float, burstiness: float, rng: np.random.Generator) -> None:
        self.rate_per_s = rate_per_s
        self._burstiness = burstiness
        self._rng = rng
        self._now_s = 0.0
        self._left = self._gap()

    def until(self, end_s: float) -> list[float]:
        """The times of the arrivals from where it was up to `end_s`, seconds; none at a rate of 0."""
        times: list[float] = []
        while True:
            next_s = self._now_s + self._left / self.rate_per_s if self.rate_per_s > 0.0 else math.inf
            if next_s > end_s:
                self._left -= self.rate_per_s * (end_s - self._now_s)
                self._now_s = end_s
                return times
            times.append(next_s)
            self._now_s = next_s
            self._left = self._gap()

    def _gap(self) -> float:
        return float(self._rng.gamma(1.0 / self._burstiness, self._burstiness)) if self._burstiness > 0.0 else 1.0
