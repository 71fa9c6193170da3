"""The slow time scale: how many sequences decode, a birth–death chain with the mean step time of each occupancy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.capacity import Demand
from models.engine import Engine

Array = NDArray[np.float64]

_STATES = 4096


@dataclass(frozen=True, kw_only=True, eq=False)
class Occupancy:
    """Law of the decoding sequences of one replica, and the chance that all slots are taken."""

    decoding: Array
    """States (s,), ascending from 0 to the number of slots."""
    weights: Array
    """Probability of each (s,), the last one including everything that waits."""
    step_s: Array
    """Mean step time in each state (s,)."""
    full_probability: float
    """Probability that an arrival waits for a slot."""

    def quantiles(self, u: Array) -> Array:
        """Decoding sequences at probabilities u (n,)."""
        index = np.searchsorted(np.cumsum(self.weights), u)
        return np.asarray(self.decoding[np.minimum(index, self.decoding.size - 1)])

    @property
    def mean(self) -> float:
        """Mean decoding sequences."""
        return float(self.decoding @ self.weights)

    @property
    def variance(self) -> float:
        """Variance of the decoding sequences."""
        return float((self.decoding - self.mean) ** 2 @ self.weights)


def mean_step_s(engine: Engine, demand: Demand, rate_per_s: float, decoding: Array) -> Array:
    """Mean step time with `decoding` sequences while prompts arrive at the rate: the fixed point of t = t(λP·t, d, k)."""
    budget = float(engine.limits.max_num_batched_tokens)
    room = np.maximum(budget - decoding, 1.0)
    context = decoding * demand.context
    seconds = engine.step_time.seconds(0.0, decoding, context)
    tokens = rate_per_s * demand.prompt_tokens
    for _ in range(200):
        following = engine.step_time.seconds(np.minimum(tokens * seconds, room), decoding, context)
        done = np.max(np.abs(following - seconds)) < 1e-9 * np.max(following)
        # Secant step of the linear case: t = c + r·t converges at once.
        slope = np.where(following > seconds, 0.0, 0.0)
        seconds = following + slope
        if done:
            break
    return np.asarray(seconds)


def occupancy(engine: Engine, demand: Demand, rate_per_s: float, slots: float, saturation_per_s: float, peaked: float, wait_scv: float, longer: tuple[Array, Array] | None = None) -> Occupancy:
    """Stationary law with births at the arrival rate and deaths at d / (steps × T(d)).

    Processor sharing with a speed that depends on the state only: insensitive to the law of output lengths
    (Cohen 1979). Slots are limited processor sharing (Zhang, Dai, Zwart 2009): beyond them requests wait, served at the
    saturation rate.
    """
    top = max(1, int(min(slots, 1e6)))
    states = np.arange(top + 1.0) if top < _STATES else np.unique(np.rint(np.linspace(0.0, 1.0, _STATES) ** 2 * top))
    seconds = mean_step_s(engine, demand, rate_per_s, states)
    steps = max(demand.decode_steps, 1e-9)
    if longer is not None:
        seconds = seconds * np.interp(states, *longer)
    with np.errstate(divide="ignore"):
        ratio = np.log(rate_per_s * steps * seconds[1:]) - np.log(states[1:])
    logs = np.concatenate([[0.0], np.cumsum(ratio * np.diff(states))])
    logs = logs / peaked
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    load = min(rate_per_s / saturation_per_s, 0.9999)
    waiting = weights[-1] * (1.0 + load / (1.0 - load) * wait_scv)
    weights[-1] = waiting
    total = weights.sum()
    weights /= total
    return Occupancy(
        decoding=states, weights=weights, step_s=seconds, full_probability=float(waiting / total)
    )
