"""How many requests arrive in a time, where arrivals are a renewal stream with gamma gaps.

The gap is made of exponential phases, so that the state of the stream between arrivals is one of a few. More variable
than Poisson: two exponential laws with the mean and the variance of the gap, and its chance to be shorter than an
exponential time as long as a service, which decides on who finds the server busy. More regular: a mixture of Erlang
laws of k − 1 and k phases with the same two moments (Tijms 2003, A First Course in Stochastic Models, §B.2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.workload import OpenArrivals

Array = NDArray[np.float64]

_MOST_PHASES = 6
"""Gaps more regular than an Erlang law of so many phases count as such."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Phases:
    """Gaps of phase type: the phase that a gap starts in, (m,), the rates among phases, (m, m), and to an arrival."""

    start: Array
    within: Array

    @property
    def exit(self) -> Array:
        """Rate of an arrival in each phase (m,)."""
        return np.asarray(-self.within.sum(axis=1))


def phases(arrivals: OpenArrivals, service_s: float) -> Phases:
    """The stream in phases, truest over times of about `service_s`."""
    scv, mean = arrivals.burstiness, 1.0 / arrivals.rate_per_s
    if abs(scv - 1.0) < 1e-6:
        return Phases(start=np.ones(1), within=np.array([[-1.0 / mean]]))
    if scv > 1.0:
        rates, weights = _two_exponentials(scv, service_s / mean)
        return Phases(start=weights, within=np.diag(-rates / mean))
    scv = max(scv, 1.0 / _MOST_PHASES)
    k = math.ceil(1.0 / scv - 1e-9)
    skip = (k * scv - math.sqrt(max(0.0, k * (1.0 + scv) - k * k * scv))) / (1.0 + scv)
    rate = (k - skip) / mean
    start = np.zeros(k)
    start[0], start[1] = 1.0 - skip, skip
    return Phases(start=start, within=rate * (np.eye(k, k=1) - np.eye(k)))


def _two_exponentials(scv: float, time: float) -> tuple[Array, Array]:
    """Rates and weights of two exponential laws, of mean 1 together; `time` in mean gaps."""
    from scipy.optimize import brentq

    wanted = float((1.0 + scv / time) ** (-1.0 / scv))  # E e^(−A/time)

    def laws(short: float) -> tuple[Array, Array]:
        long = 1.0 + 0.5 * (scv - 1.0) / (1.0 - short)
        return np.array([short, long]), np.array([long - 1.0, 1.0 - short]) / (long - short)

    def excess(short: float) -> float:
        means, weights = laws(short)
        return float(weights @ (1.0 / (1.0 + means / time)) - wanted)

    low, high = 1e-9, 1.0 - 1e-9
    short = brentq(excess, low, high) if excess(low) * excess(high) < 0.0 else (low if excess(low) < 0.0 else high)
    means, weights = laws(float(short))
    return 1.0 / means, weights


class Counts:
    """Laws of the number of arrivals, below `size`, jointly with the phase before and after.

    The generating function exp((T + z t α) s) at roots of unity, inverted by a fast Fourier transform.
    """

    def __init__(self, stream: Phases, size: int) -> None:
        """`size` bounds the counts: those beyond fold back, so that they must be rare."""
        self.size = size
        self.phases = stream.start.size
        z = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
        matrix = stream.within + z[:, None, None] * np.outer(stream.exit, stream.start)
        if self.phases == 1:
            self._values, self._left, self._right = matrix[:, 0], np.ones_like(matrix), np.ones_like(matrix)
        else:
            self._values, self._left = np.linalg.eig(matrix)
            self._right = np.linalg.inv(self._left)

    def over(self, means: Array, cvs: Array, below: int) -> Array:
        """In gamma times of means and coefficients of variation (j,): (j, below, m, m)."""
        mu = self._values[None] * means[:, None, None]
        scv = np.maximum(cvs, 0.0)[:, None, None] ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = np.where(scv > 1e-8, np.exp(-np.log1p(-mu * scv) / np.where(scv > 1e-8, scv, 1.0)), np.exp(mu))
        if self.phases == 1:
            law = np.fft.irfft(factor[:, :, 0], self.size, axis=1)[:, :below]
            return np.asarray(np.maximum(law, 0.0))[:, :, None, None]
        joint = (self._left[None] * factor[:, :, None, :]) @ self._right[None]
        return np.asarray(np.maximum(np.fft.irfft(joint, self.size, axis=1)[:, :below], 0.0))

    def flow(self, left: Array, exit_rates: Array, moments: Array) -> Array:
        """Rate of arrivals at moments (g,) after a start with `left` (n, m) waiting, by place in line: (g, size)."""
        transform = np.fft.rfft(left, self.size, axis=0)  # (f, m)
        before = np.einsum("fm,fmk->fk", transform, self._left)
        after = np.einsum("fkm,m->fk", self._right, exit_rates)
        moved = np.exp(self._values[None] * moments[:, None, None])
        return np.asarray(
            np.maximum(np.fft.irfft(np.einsum("gfk,fk->gf", moved, before * after), self.size, axis=1), 0.0)
        )
