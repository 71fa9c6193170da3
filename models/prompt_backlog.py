"""The backlog of prompt tokens from step to step, with the decoding set held fixed.

A step that starts with `x` tokens waiting serves min(x, room) of them and lasts t(x); meanwhile new prompts arrive.
This is a bulk-service queue whose service time depends on the batch (Bailey 1954; Neuts 1967), solved on a grid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.routing import renewal_counts
from models.token_lengths import Atoms

Array = NDArray[np.float64]

_CELLS = 64
_FINE = 1024
_CLASSES = 7


@dataclass(frozen=True, kw_only=True, eq=False)
class PromptBacklog:
    """Stationary law of the tokens waiting at a step start."""

    grid: Array
    """Tokens waiting, ascending (m,)."""
    weights: Array
    """Share of steps that start so (m,)."""
    mean_step_s: float
    step_variance_rate_s2: float
    """Variance of a long sum of step durations, per step."""
    step_variance_s2: float
    arrivals: ArrivalTokens
    idle_share: float
    """Share of arrivals that find the engine idle."""
    life_weights: Array
    """Law of the backlog over the steps in which a request decodes (m,)."""
    life_step_s: float
    """Mean step while a request decodes."""
    start_excess_s: float
    """Seconds by which a long decode phase exceeds its number of steps times the mean step: it starts busy."""
    start_decay: float
    """How much of that excess is left after each step."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ArrivalTokens:
    """Law of the prompt tokens that arrive in windows of several lengths, as quantile tables."""

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
        stretched = np.where(u < part, u / np.maximum(part, 1e-12), (u - part) / np.maximum(1.0 - part, 1e-12))
        chosen = np.where(u < part, low + 1, low)
        levels = self.table.shape[1]
        column = np.minimum((stretched * levels).astype(int), levels - 1)
        return np.asarray(self.table[chosen, column])


def _tokens_law(prompt: Atoms, delta: float, size: int) -> Array:
    """The prompt law split onto a grid of spacing delta, mean kept."""
    position = np.minimum(prompt.values / delta, size - 2.0)
    low = position.astype(int)
    part = position - low
    law = np.bincount(low, prompt.weights * (1.0 - part), minlength=size)
    law += np.bincount(low + 1, prompt.weights * part, minlength=size)
    return law[:size]


def _compound(transform: Array, expected: Array, scv: float, *, after_arrival: bool = False) -> Array:
    """Transforms (g, f) of the prompt tokens that arrive in windows with `expected` (g,) arrivals in the mean."""
    if abs(scv - 1.0) < 1e-9:
        return np.exp(expected[:, None] * (transform - 1.0)[None, :])
    largest = float(expected[-1])
    most = int(largest + 6.0 * np.sqrt(max(scv, 0.3) * largest) + 6.0 * max(scv, 1.0)) + 1
    if most > 64:
        if scv > 1.0:
            excess = scv - 1.0
            return np.exp(-(expected[:, None] / excess) * np.log1p(excess * (1.0 - transform))[None, :])
        trials = np.maximum(np.rint(expected / (1.0 - scv)), np.ceil(expected))
        share = np.where(trials > 0.0, expected / np.maximum(trials, 1.0), 0.0)
        return (1.0 - share[:, None] * (1.0 - transform)[None, :]) ** trials[:, None]
    pmf = renewal_counts(scv, expected, most, after_arrival=after_arrival)
    total = np.zeros((expected.size, transform.size), dtype=complex) + pmf[:, -1:]
    for n in range(most - 1, -1, -1):
        total *= transform
        total += pmf[:, n : n + 1]
    return total


def solve_backlog(
    step_s: Callable[[Array], Array],
    *,
    room: float,
    rate_per_s: float,
    decode_steps: float,
    scv: float,
    prompt: Atoms,
    idle: bool,
) -> PromptBacklog:
    """Solve for the law of the backlog.

    `step_s` gives the seconds of steps with (m,) prompt tokens. `room` tokens fit a step. `idle`: without waiting
    tokens there is nothing to do (no decodes), and the next step begins with the next arrival.
    """
    full_s = float(step_s(np.array([room]))[0])
    load = rate_per_s * prompt.mean * full_s / room
    spread = prompt.second_moment / prompt.mean * max(scv, 0.3)
    slack = max(1.0 - load, 0.004)
    longest = prompt.values[-1] if prompt.values.size < 3 else prompt.values[np.searchsorted(np.cumsum(prompt.weights), 0.9995, side="left").clip(max=prompt.values.size - 1)]
    top = 1.3 * longest + 6.0 * (0.5 * spread * load / slack + rate_per_s * prompt.mean * full_s)
    top = max(top, 2.5 * prompt.mean)
    delta = top / _FINE
    law = _tokens_law(prompt, delta, _FINE)
    transform = np.fft.rfft(law, 2 * _FINE)
    grid = top * (np.arange(_CELLS) / (_CELLS - 1.0)) ** 2
    served = np.minimum(grid, room)
    seconds = step_s(served)
    shortest = float(seconds[0])
    ends = np.linspace(shortest, max(float(seconds[-1]), shortest * 1.0001), _CLASSES)
    windows = np.concatenate([[0.0, shortest * 0.5], ends])
    expected = rate_per_s * windows
    laws = np.fft.irfft(_compound(transform, expected, scv), 2 * _FINE, axis=1)[:, : 2 * _FINE]
    laws = np.maximum(laws, 0.0)
    laws /= laws.sum(axis=1, keepdims=True)
    fine = delta * np.arange(2 * _FINE)
    cdf = np.cumsum(laws, axis=1)
    # Stop-loss transform E[(A − y)⁺] on the fine grid; second differences of it are the weights of hat functions.
    survival = 1.0 - cdf
    stop = delta * np.cumsum(survival[:, ::-1], axis=1)[:, ::-1]
    means = laws @ fine
    rows = np.searchsorted(grid, room)
    left = grid - served
    kernel = np.empty((_CELLS, _CELLS))
    at_grid = np.stack([np.interp(grid, fine, stop[g]) for g in range(2, 2 + _CLASSES)])
    position = np.clip((seconds[:rows] - ends[0]) / (ends[1] - ends[0]), 0.0, _CLASSES - 1.0001)
    low = position.astype(int)
    part = (position - low)[:, None]
    partial = (1.0 - part) * at_grid[low] + part * at_grid[low + 1]
    gap = np.diff(grid)

    def hats(stop_loss: Array) -> Array:
        slope = np.diff(stop_loss, axis=1) / gap
        inner = np.diff(slope, axis=1)
        first = 1.0 + slope[:, :1]
        last = -slope[:, -1:]
        return np.concatenate([first, inner, last], axis=1)

    if rows > 0:
        kernel[:rows] = hats(partial)
    if rows < _CELLS:
        y = grid[None, :] - left[rows:, None]
        full = np.where(y < 0.0, means[-1] - y, np.interp(y, fine, stop[-1]))
        kernel[rows:] = hats(full)
    if idle:
        base = np.maximum(0.0, prompt.values[None, :] - grid[:, None]) @ prompt.weights
        kernel[0] = hats(base[None, :])[0]
    kernel = np.maximum(kernel, 0.0)
    kernel /= kernel.sum(axis=1, keepdims=True)
    system = kernel.T - np.eye(_CELLS)
    system[-1] = 1.0
    target = np.zeros(_CELLS)
    target[-1] = 1.0
    weights = np.maximum(np.linalg.solve(system, target), 0.0)
    weights /= weights.sum()
    mean = float(weights @ seconds)
    variance = float(weights @ (seconds - mean) ** 2)
    # Poisson equation (I − K + 1π) g = t − E t gives the variance rate of sums (Glynn & Meyn 1996).
    potential = np.linalg.solve(np.eye(_CELLS) - kernel + weights[None, :], seconds - mean)
    rate = max(0.0, float(2.0 * (weights * (seconds - mean)) @ potential - variance))
    finishing = (weights * served) @ kernel
    finishing /= finishing.sum()
    stay = 1.0 - 1.0 / max(decode_steps, 1.0)
    life = np.linalg.solve(np.eye(_CELLS) - stay * kernel.T, (1.0 - stay) * finishing)
    start_excess = float(finishing @ potential)
    first_excess = float(finishing @ seconds) - mean
    decay = min(max(1.0 - first_excess / start_excess, 0.0), 1.0) if abs(start_excess) > 1e-12 * mean else 0.0
    idle_share = 0.0
    if idle:
        arrivals_idle = float(weights[0])
        idle_share = arrivals_idle / (arrivals_idle + rate_per_s * (mean - weights[0] * seconds[0]) + 1e-300)
        weights_busy = weights.copy()
        weights_busy[0] = 0.0
        if weights_busy.sum() > 0.0:
            weights = weights_busy / weights_busy.sum()
    palm = cdf
    if abs(scv - 1.0) > 1e-9:
        around = np.fft.irfft(_compound(transform, expected, scv, after_arrival=True), 2 * _FINE, axis=1)
        palm = np.cumsum(np.maximum(around, 0.0), axis=1)
        palm /= palm[:, -1:]
    levels = 192
    probability = (np.arange(levels) + 0.5) / levels
    table = np.stack([fine[np.searchsorted(c, probability).clip(max=fine.size - 1)] for c in palm])
    return PromptBacklog(
        grid=grid, weights=weights, mean_step_s=mean, step_variance_rate_s2=rate, step_variance_s2=variance,
        arrivals=ArrivalTokens(windows_s=windows, table=table), idle_share=idle_share,
        life_weights=np.maximum(life, 0.0), life_step_s=float(life @ seconds), start_excess_s=start_excess, start_decay=decay,
    )
