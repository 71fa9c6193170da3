"""The backlog of prompt tokens from step to step, with the decoding set held fixed.

A step that starts with `x` tokens waiting serves min(x, room) of them and lasts t(x); meanwhile new prompts arrive.
This is a bulk-service queue whose service time depends on the batch (Bailey 1954; Neuts 1967), solved on a grid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.arrival_tokens import FINE, ArrivalTokens, arriving_cdf, is_poisson, prompt_transform, quantile_table
from models.token_lengths import Atoms

Array = NDArray[np.float64]

_CELLS = 64
_CLASSES = 7
_LEAST_SLACK = 0.004


@dataclass(frozen=True, kw_only=True, eq=False)
class PromptBacklog:
    """Stationary law of the tokens waiting at a step start, and what a request lives through."""

    grid: Array
    """Tokens waiting, ascending (m,)."""
    weights: Array
    """Share of steps that start so (m,)."""
    mean_step_s: float
    step_variance_rate_s2: float
    """Variance of a long sum of step durations, per step."""
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
class _Steps:
    """Steps by the backlog (m,) that they start with."""

    grid: Array
    served: Array
    seconds: Array


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

    `step_s` gives the seconds of steps with (m,) prompt tokens; `room` tokens fit one. `scv`: squared coefficient of
    variation of the gaps between arrivals. `decode_steps`: mean steps of a request after its first token. `idle`:
    without waiting tokens there is nothing to do (no decodes), and the next step begins with the next arrival.
    """
    top = _reach(float(step_s(np.array([room]))[0]), room, rate_per_s, scv, prompt)
    grid = top * (np.arange(_CELLS) / (_CELLS - 1.0)) ** 2
    served = np.minimum(grid, room)
    steps = _Steps(grid=grid, served=served, seconds=step_s(served))
    delta = top / FINE
    transform = prompt_transform(prompt, delta)
    shortest = float(steps.seconds[0])
    ends = np.linspace(shortest, max(float(steps.seconds[-1]), shortest * 1.0001), _CLASSES)
    windows = np.concatenate([[0.0, 0.5 * shortest], ends])
    cdf = arriving_cdf(transform, rate_per_s * windows, scv, after_arrival=False)
    kernel = _kernel(steps, ends, cdf[2:], delta, prompt if idle else None)
    weights = _stationary(kernel)
    around = cdf if is_poisson(scv) else arriving_cdf(transform, rate_per_s * windows, scv, after_arrival=True)
    arrivals = ArrivalTokens(windows_s=windows, table=quantile_table(around, delta))
    return _summarise(steps, kernel, weights, arrivals, decode_steps, rate_per_s if idle else None)


def _reach(full_s: float, room: float, rate_per_s: float, scv: float, prompt: Atoms) -> float:
    """The largest backlog worth a cell: a long prompt and six means of the wait in heavy traffic (Kingman 1962)."""
    load = rate_per_s * prompt.mean * full_s / room
    spread = prompt.second_moment / prompt.mean * max(scv, 0.3)
    longest = float(prompt.values[-1])
    if prompt.values.size > 2:
        longest = float(
            prompt.values[min(int(np.searchsorted(np.cumsum(prompt.weights), 0.9995)), prompt.values.size - 1)]
        )
    wait = 0.5 * spread * load / max(1.0 - load, _LEAST_SLACK) + rate_per_s * prompt.mean * full_s
    return max(1.3 * longest + 6.0 * wait, 2.5 * prompt.mean)


def _kernel(steps: _Steps, ends: Array, cdf: Array, delta: float, arriving: Atoms | None) -> Array:
    """Transition matrix (m, m) from step start to step start; `arriving` starts the step after an idle spell."""
    grid, rows = steps.grid, int(np.searchsorted(steps.grid, float(steps.served[-1])))
    fine = delta * np.arange(cdf.shape[1], dtype=float)
    # Stop-loss transform E[(A − y)⁺]; its second differences are the weights of hat functions, which keep the mean.
    stop = delta * np.cumsum((1.0 - cdf)[:, ::-1], axis=1)[:, ::-1]
    position = np.clip((steps.seconds[:rows] - ends[0]) / (ends[1] - ends[0]), 0.0, _CLASSES - 1.0001)
    low = position.astype(int)
    part = (position - low)[:, None]
    at_grid = np.stack([np.interp(grid, fine, row) for row in stop])
    losses = np.empty((grid.size, grid.size))
    losses[:rows] = (1.0 - part) * at_grid[low] + part * at_grid[low + 1]
    if rows < grid.size:
        y = grid[None, :] - (grid - steps.served)[rows:, None]
        losses[rows:] = np.where(y < 0.0, stop[-1, 0] - y, np.interp(y, fine, stop[-1]))
    if arriving is not None:
        losses[0] = np.maximum(0.0, arriving.values[None, :] - grid[:, None]) @ arriving.weights
    slope = np.diff(losses, axis=1) / np.diff(grid)
    kernel = np.concatenate([1.0 + slope[:, :1], np.diff(slope, axis=1), -slope[:, -1:]], axis=1)
    kernel = np.maximum(kernel, 0.0)
    return np.asarray(kernel / kernel.sum(axis=1, keepdims=True), dtype=float)


def _stationary(kernel: Array) -> Array:
    system = kernel.T - np.eye(kernel.shape[0])
    system[-1] = 1.0
    target = np.zeros(kernel.shape[0])
    target[-1] = 1.0
    weights = np.maximum(np.linalg.solve(system, target), 0.0)
    return np.asarray(weights / weights.sum(), dtype=float)


def _summarise(
    steps: _Steps,
    kernel: Array,
    weights: Array,
    arrivals: ArrivalTokens,
    decode_steps: float,
    idle_rate_per_s: float | None,
) -> PromptBacklog:
    """Means and variances of steps, at large and over a request's life, which starts where its prompt ended.

    The Poisson equation (I − K + 1π) g = t − E t gives the variance rate of sums of steps, and what a start in another
    law than the stationary one adds (Glynn & Meyn 1996). A life of geometric length visits ν(I − qK)⁻¹(1 − q).
    """
    seconds, size = steps.seconds, kernel.shape[0]
    mean = float(weights @ seconds)
    deviation = seconds - mean
    potential = np.linalg.solve(np.eye(size) - kernel + weights[None, :], deviation)
    rate = float(2.0 * (weights * deviation) @ potential - weights @ deviation**2)
    finishing = (weights * steps.served) @ kernel
    finishing /= max(finishing.sum(), 1e-300)
    stay = 1.0 - 1.0 / max(decode_steps, 1.0)
    life = np.maximum(np.linalg.solve(np.eye(size) - stay * kernel.T, (1.0 - stay) * finishing), 0.0)
    excess, first = float(finishing @ potential), float(finishing @ deviation)
    idle_share = 0.0
    if idle_rate_per_s is not None:
        ends_idle = float(weights[0])
        busy_s = mean - ends_idle * float(seconds[0])
        idle_share = ends_idle / (ends_idle + idle_rate_per_s * busy_s + 1e-300)
        busy = weights.copy()
        busy[0] = 0.0
        weights = busy / busy.sum() if busy.sum() > 0.0 else weights
    return PromptBacklog(
        grid=steps.grid,
        weights=weights,
        mean_step_s=mean,
        step_variance_rate_s2=max(0.0, rate),
        arrivals=arrivals,
        idle_share=idle_share,
        life_weights=life,
        life_step_s=float(life @ seconds / life.sum()) if life.sum() > 0.0 else mean,
        start_excess_s=excess,
        start_decay=min(max(1.0 - first / excess, 0.0), 1.0) if abs(excess) > 1e-12 * mean else 0.0,
    )
