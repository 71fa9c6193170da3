"""How many prompt tokens arrive in a window: the compound law of a renewal count of prompts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.routing import renewal_counts
from models.token_lengths import Atoms

Array = NDArray[np.float64]
Transform = NDArray[np.complex128]

FINE = 512
"""Cells of the token grid; transforms use twice as many so that sums do not wrap."""

_LEVELS = 192
_MOST_COUNTED = 40
_POISSON_ENOUGH = 1e-9


@dataclass(frozen=True, kw_only=True, eq=False)
class ArrivalTokens:
    """Prompt tokens that arrive in windows of several lengths around an arrival, as quantile tables."""

    windows_s: Array
    """(g,) ascending."""
    table: Array
    """(g, levels) tokens at evenly spaced probabilities."""

    def sample(self, window_s: Array, u: Array) -> Array:
        """Tokens that arrive in windows (n,) at probabilities u (n,)."""
        row = np.interp(window_s, self.windows_s, np.arange(float(self.windows_s.size)))
        low = np.minimum(row.astype(int), self.windows_s.size - 2)
        part = row - low
        # Mixing the two laws (rather than averaging their quantiles) keeps the atom at zero.
        upper = u < part
        within = np.where(upper, u / np.maximum(part, 1e-12), (u - part) / np.maximum(1.0 - part, 1e-12))
        column = np.minimum((within * _LEVELS).astype(int), _LEVELS - 1)
        return np.asarray(self.table[np.where(upper, low + 1, low), column], dtype=float)


def prompt_transform(prompt: Atoms, delta: float) -> Transform:
    """Transform of the prompt law split onto a grid of spacing `delta` with its mean kept."""
    position = np.minimum(prompt.values / delta, FINE - 2.0)
    low = position.astype(int)
    part = position - low
    law = np.bincount(low, prompt.weights * (1.0 - part), minlength=FINE)
    law += np.bincount(low + 1, prompt.weights * part, minlength=FINE)
    return np.asarray(np.fft.rfft(law, 2 * FINE), dtype=complex)


def arriving_cdf(transform: Transform, expected: Array, scv: float, *, after_arrival: bool) -> Array:
    """Cumulative law (g, 2·FINE) of the tokens in windows with `expected` (g,) arrivals in the mean."""
    laws = np.fft.irfft(_compound(transform, expected, scv, after_arrival=after_arrival), 2 * FINE, axis=1)
    cdf = np.cumsum(np.maximum(laws, 0.0), axis=1)
    return np.asarray(cdf / cdf[:, -1:], dtype=float)


def quantile_table(cdf: Array, delta: float) -> Array:
    """Tokens (g, levels) at evenly spaced probabilities."""
    probability = (np.arange(_LEVELS) + 0.5) / _LEVELS
    return np.stack([delta * np.minimum(np.searchsorted(row, probability), row.size - 1) for row in cdf]).astype(float)


def is_poisson(scv: float) -> bool:
    """Whether counts need no memory of the last arrival."""
    return abs(scv - 1.0) < _POISSON_ENOUGH


def _compound(transform: Transform, expected: Array, scv: float, *, after_arrival: bool) -> Transform:
    """Transforms (g, f) of compound sums: E[φ^N], N the count of the renewal stream.

    For large counts a count of Panjer's class with the same mean and dispersion (Panjer 1981).
    """
    if is_poisson(scv):
        return np.asarray(np.exp(expected[:, None] * (transform - 1.0)[None, :]), dtype=complex)
    largest = float(expected[-1])
    most = int(largest + 6.0 * np.sqrt(max(scv, 0.3) * largest) + 6.0 * max(scv, 1.0)) + 1
    if most > _MOST_COUNTED:
        return _panjer(transform, expected, scv)
    pmf = renewal_counts(scv, expected, most, after_arrival=after_arrival)
    total: Transform = np.repeat(pmf[:, -1:].astype(complex), transform.size, axis=1)
    for n in range(most - 1, -1, -1):
        np.multiply(total, transform, out=total)
        np.add(total, pmf[:, n : n + 1], out=total)
    return total


def _panjer(transform: Transform, expected: Array, scv: float) -> Transform:
    if scv > 1.0:
        base = np.log1p((scv - 1.0) * (1.0 - transform))
        return np.asarray(np.exp(-(expected[:, None] / (scv - 1.0)) * base[None, :]), dtype=complex)
    trials = np.maximum(np.rint(expected / (1.0 - scv)), np.ceil(expected))
    share = np.where(trials > 0.0, expected / np.maximum(trials, 1.0), 0.0)
    return np.asarray((1.0 - share[:, None] * (1.0 - transform)[None, :]) ** trials[:, None], dtype=complex)
