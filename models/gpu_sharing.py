"""Stages that share the GPUs of one server: how much longer a batch takes while others run.

Processor sharing between models: while K others have a batch running, a batch proceeds at 1/(1 + K) of its speed, so
that shares add up to 1 at any moment. A stage's mean speed is E[1/(1 + K)] with the others busy independently of it,
each for the share of time that its own stretched batches take: a fixed point. Independence is an approximation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_ROUNDS = 500
_CLOSE = 1e-9
_PERSISTENCE = 0.5
"""Share of the spread of speeds that lasts for a whole batch; the rest averages out within it."""


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """How much longer batches take, and by how much that varies."""

    factor: float
    cv: float


def stretches(alone: Sequence[float]) -> tuple[Stretch, ...] | None:
    """By stage, from the shares of time that their batches would run alone; None where these add up to 1 or more."""
    if sum(alone) >= 1.0:
        return None
    busy = np.array(alone, dtype=float)
    for _ in range(_ROUNDS):
        speeds = np.array([_speed(np.delete(busy, place))[0] for place in range(busy.size)])
        found = np.minimum(np.array(alone) / speeds, 1.0)
        settled = float(np.abs(found - busy).max()) < _CLOSE
        busy = 0.5 * (busy + found)
        if settled:
            break
    return tuple(_stretch(np.delete(busy, place)) for place in range(busy.size))


def _stretch(others: np.ndarray) -> Stretch:
    speed, cv = _speed(others)
    return Stretch(factor=1.0 / speed, cv=_PERSISTENCE * cv)


def _speed(others: np.ndarray) -> tuple[float, float]:
    """Mean of 1/(1 + K), and the coefficient of variation of 1 + K."""
    law = np.ones(1)
    for share in others:
        law = np.convolve(law, [1.0 - share, share])
    slow = np.arange(1.0, law.size + 1.0)
    mean = float(law @ slow)
    return float(law @ (1.0 / slow)), float(np.sqrt(max(0.0, law @ slow**2 - mean**2))) / mean
