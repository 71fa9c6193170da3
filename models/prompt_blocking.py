"""Prompts that may not be split: how a long one holds up those behind it until enough decodes have ended.

A prompt of p tokens fits a step beside at most budget − p decodes. When it reaches the head of the queue with more,
nothing is admitted until the level has drained to that. A saturated engine goes through cycles: the level climbs by
what a step admits less what ends, to the most that there is room for; at any moment the next prompt may be too long
for the level; then it drains. Where a drain ends, the next climb begins: a Markov chain on those levels (renewal
reward; Ross 1996, Stochastic Processes, §3.6). Climbs are fluid; chance is in the prompts alone. How lives just begun
and lives of any age mix in what drains is an interpolation.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from models.token_lengths import Atoms

Array = NDArray[np.float64]

_LEVELS = 64
_LOWEST = 0.5


def admissions_per_step(prompt: Atoms, output: Atoms, *, seats: int, budget: int, fill: float) -> float:
    """The most requests a step, in the mean over cycles; infinite where every prompt fits beside full seats.

    `fill`: prompts that a step takes while more wait and none is too long.
    """
    if float(prompt.values[-1]) <= budget - seats + 1:
        return math.inf
    key = (prompt.values.tobytes(), prompt.weights.tobytes(), output.values.tobytes(), output.weights.tobytes())
    return _cycles(*key, seats, budget, fill)


@lru_cache(maxsize=256)
def _cycles(lengths: bytes, chances: bytes, lives: bytes, shares: bytes, seats: int, budget: int, fill: float) -> float:
    length, chance = np.frombuffer(lengths), np.frombuffer(chances)
    steps, share = np.maximum(np.frombuffer(lives) - 1.0, 0.0), np.frombuffer(shares)
    life = float(steps @ share)
    if life <= 0.0:
        return math.inf
    top = min(float(seats), fill * life * 0.999)
    level = np.geomspace(_LOWEST, max(top, 2.0 * _LOWEST), _LEVELS)
    # Chance that the next prompt is too long for a level, and where the drain that it causes ends.
    fits = np.searchsorted(level, budget - length, side="right") - 1
    ends = np.bincount(np.maximum(fits, 0), chance, _LEVELS)
    ends[-1] = 0.0
    too_long = np.concatenate([[0.0], np.cumsum(ends)[:-1]])
    if too_long[-1] <= 0.0:
        return math.inf
    climb = np.diff(level) / (fill - 0.5 * (level[1:] + level[:-1]) / life)
    clock = np.concatenate([[0.0], np.cumsum(climb)])
    hazard = np.concatenate([[0.0], np.cumsum(climb * fill * 0.5 * (too_long[1:] + too_long[:-1]))])
    stay = life / (level[-1] * too_long[-1])
    reached = np.triu(np.exp(np.minimum(hazard[:, None] - hazard[None, :], 0.0)))
    stopped = reached.copy()
    stopped[:, :-1] -= reached[:, 1:]
    stopped = np.triu(stopped)
    drains_to = np.tril(np.broadcast_to(ends, (_LEVELS, _LEVELS)), -1) + 1e-300 * np.eye(_LEVELS)
    drains_to = drains_to / drains_to.sum(axis=1, keepdims=True)
    system = (stopped @ drains_to).T - np.eye(_LEVELS)
    system[-1] = 1.0
    start = np.maximum(np.linalg.solve(system, np.eye(_LEVELS)[-1]), 0.0)
    climbing = np.maximum(clock[None, :] - clock[:, None], 0.0)
    atop = np.zeros(_LEVELS)
    atop[-1] = stay
    begun = (1.0 - level[:, None] / level[None, :]).clip(0.0) * np.exp(-(climbing + atop) / life)
    kept = np.minimum(level[None, :] / level[:, None], 1.0)
    fresh, residual = drain_steps(steps, share, kept)
    drain = begun[:, :, None] * fresh[None] + (1.0 - begun[:, :, None]) * residual[None]
    joint = start[:, None] * stopped
    draining = float(np.einsum("ij,jm,ijm->", joint, drains_to, drain))
    duration = float((joint * (climbing + atop)).sum()) + draining
    if duration <= 0.0:  # cycles too short to be seen: a prompt is taken as soon as one that runs has ended
        return min(float((budget - length) @ chance), float(level[-1])) / life
    admitted = float((joint * (fill * climbing + atop * level[-1] / life)).sum())
    return admitted / duration


def drain_steps(steps: Array, share: Array, kept: Array) -> tuple[Array, Array]:
    """Steps until a share `kept` of sequences is left: of lives just begun, and of lives met at any age."""
    ends = np.concatenate([[0.0], steps])
    life = max(float(steps @ share), 1e-12)
    fresh = 1.0 - np.concatenate([[0.0], np.cumsum(share)])
    residual = 1.0 - np.concatenate([[0.0], np.cumsum(fresh[:-1] * np.diff(ends))]) / life
    return (
        np.interp(kept, fresh[::-1], ends[::-1]),
        np.interp(kept, residual[::-1], ends[::-1]),
    )
