"""Waiting time in a single-server queue, GI/G/1: renewal arrivals, independent service, first come first served."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc

from models.token_lengths import Atoms

Array = NDArray[np.float64]

_METRONOME = 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class WaitingLaw:
    """Law of the wait on a grid from 0: `values` (m,) with cumulative probability `cdf` (m,)."""

    values: Array
    cdf: Array

    def quantile(self, u: Array) -> Array:
        """Waits at probabilities u (n,)."""
        index = np.searchsorted(self.cdf, u)
        return np.asarray(self.values[np.minimum(index, self.values.size - 1)])


def waiting_law(service: Atoms, mean_gap: float, gap_scv: float, *, top: float, cells: int = 1024) -> WaitingLaw:
    """The stationary law of Lindley's recursion W' = (W + S − A)⁺ up to `top`, gaps A gamma with the given variability.

    Spitzer's identity through the cepstrum of the law of S − A on a grid (Ackroyd 1980, Computing the waiting time
    distribution for the G/G/1 queue by signal processing methods). Needs a load below 1 and a
    `top` well beyond the last quantile of interest.
    """
    if gap_scv < _METRONOME and float(service.values[-1]) <= mean_gap:
        return WaitingLaw(values=np.zeros(1), cdf=np.ones(1))
    delta = top / cells
    size = 4 * cells
    position = np.minimum(service.values / delta, 2.0 * cells - 2.0)
    low = position.astype(int)
    part = position - low
    law = np.bincount(low, service.weights * (1.0 - part), minlength=size)
    law += np.bincount(low + 1, service.weights * part, minlength=size)[:size]
    # Gap law split onto the grid with its mean kept: second differences of its stop-loss transform.
    if gap_scv < _METRONOME:
        gaps = np.zeros(size)
        at = min(mean_gap / delta, 2.0 * cells - 2.0)
        gaps[int(at)] += 1.0 - (at - int(at))
        gaps[int(at) + 1] += at - int(at)
    else:
        shape = 1.0 / gap_scv
        y = delta * np.arange(2.0 * cells + 1.0)
        x = y * shape / mean_gap
        stop = mean_gap * (1.0 - gammainc(shape + 1.0, x)) - y * (1.0 - gammainc(shape, x))
        slope = np.diff(stop) / delta
        gaps = np.zeros(size)
        gaps[0] = 1.0 + slope[0]
        gaps[1 : 2 * cells] = np.diff(slope)
        gaps[2 * cells - 1] += max(0.0, 1.0 - gaps.sum())
    # Tilted by the saddle point of E e^(θ(S − A)), the sum over customers in Spitzer's identity falls geometrically:
    # no singular frequency, and nothing of the negative side wraps around to the positive.
    theta = _saddle_point(service, mean_gap, gap_scv, top) * delta
    index = np.arange(float(size))
    difference = np.fft.rfft(law * np.exp(theta * index)) * np.conj(np.fft.rfft(gaps * np.exp(-theta * index)))
    cepstrum = np.fft.irfft(-np.log(1.0 - difference), size) * np.exp(-theta * index)
    cepstrum[0] = 0.0
    cepstrum[size // 2 :] = 0.0
    transform = np.fft.rfft(cepstrum)
    weights = np.maximum(np.fft.irfft(np.exp(transform - transform[0].real), size)[: size // 2], 0.0)
    cdf = np.cumsum(weights)
    return WaitingLaw(values=np.asarray(delta * np.arange(size // 2), dtype=float), cdf=cdf / cdf[-1])


def _saddle_point(service: Atoms, mean_gap: float, gap_scv: float, top: float) -> float:
    """The tilt that makes E e^(θ(S − A)) least, on a geometric ladder; gaps gamma, or fixed for a metronome."""
    ladder = np.geomspace(0.01, 30.0, 48) / top
    log_service = np.log(np.exp(ladder[:, None] * np.minimum(service.values, 1.999 * top)[None, :]) @ service.weights)
    fixed = gap_scv < _METRONOME
    log_gap = -ladder * mean_gap if fixed else -np.log1p(ladder * mean_gap * gap_scv) / gap_scv
    return float(ladder[int(np.argmin(log_service + log_gap))])
