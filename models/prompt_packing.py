"""Prompts that may not be split: how many of them fill a step.

Without chunked prefill the scheduler takes prompts in their order until the next does not fit; that one begins the
following step. With always more waiting this is next-fit bin packing (Coffman, Garey and Johnson 1984), whose heads
are a Markov chain: with U the renewal function of the prompt lengths, a head h leaves r = room − h, is followed by
U(r) − 1 further prompts in the mean, and the next head is p with probability w(p)·(U(r) − U(r − p)).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from models.token_lengths import Atoms

Array = NDArray[np.float64]

_CELLS = 1024
_HEADS = 96


def packed_prompts(prompt: Atoms, room: float) -> float:
    """Mean prompts that a step with `room` tokens takes while more wait. Longer prompts count as just filling it."""
    if prompt.values.size == 1:
        return max(1.0, float(room // prompt.values[0]))
    return _packed(prompt.values.tobytes(), prompt.weights.tobytes(), round(max(room, 1.0)))


@lru_cache(maxsize=256)
def _packed(values: bytes, weights: bytes, room: int) -> float:
    length, chance = _grouped(np.frombuffer(values), np.frombuffer(weights), float(room))
    cells = length / room * _CELLS
    # Between two cells in proportion, so that the mean length stays.
    low = np.minimum(cells.astype(int), _CELLS - 1)
    above = cells - low
    law = np.bincount(low, chance * (1.0 - above), _CELLS + 1) + np.bincount(low + 1, chance * above, _CELLS + 1)
    renewals = _renewal_function(law.astype(float))
    cell = np.clip(np.rint(cells).astype(int), 1, _CELLS)
    left = _CELLS - cell
    before = np.where(left[:, None] >= cell[None, :], renewals[np.maximum(left[:, None] - cell[None, :], 0)], 0.0)
    heads = np.maximum(chance[None, :] * (renewals[left][:, None] - before), 0.0)
    heads /= heads.sum(axis=1, keepdims=True)
    system = heads.T - np.eye(chance.size)
    system[-1] = 1.0
    share = np.linalg.solve(system, np.eye(chance.size)[-1])
    return float(np.maximum(share, 0.0) @ renewals[left])


def _grouped(length: Array, chance: Array, room: float) -> tuple[Array, Array]:
    """At most some hundred lengths with their mean kept, none beyond the room."""
    length = np.minimum(length, room)
    if length.size <= _HEADS:
        return length, chance
    group = np.minimum((np.cumsum(chance) - 0.5 * chance) * _HEADS, _HEADS - 1).astype(int)
    weights = np.bincount(group, chance, minlength=_HEADS)
    means = np.bincount(group, chance * length, minlength=_HEADS)
    kept = weights > 0.0
    return means[kept] / weights[kept], weights[kept] / weights[kept].sum()


def _renewal_function(law: Array) -> Array:
    """U(y) = Σ over n ≥ 0 of P(the first n prompts take at most y cells), for y = 0 … cells.

    By the transform of Σ φⁿ = 1/(1 − φ), damped so that what is beyond the grid does not wrap around.
    """
    size = 4 * law.size
    index = np.arange(float(size))
    damping = 12.0 / size
    transform = np.fft.rfft(np.concatenate([law, np.zeros(size - law.size)]) * np.exp(-damping * index))
    density = np.fft.irfft(1.0 / (1.0 - transform), size) * np.exp(damping * index)
    return np.cumsum(np.maximum(density[: law.size], 0.0))
