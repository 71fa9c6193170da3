"""The slow time scale: how many sequences decode, a birth–death chain with the mean step time of each occupancy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.replica_load import ReplicaLoad

Array = NDArray[np.float64]

_STATES = 2048
_CROWDING = 4
_NEWTON = 100
_BEYOND = 40.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Occupancy:
    """Law of the decoding sequences of one replica, and of the wait for a slot."""

    decoding: Array
    """States (s,), ascending from 0 to the number of slots."""
    weights: Array
    """Probability of each (s,); the last includes everything that waits."""
    full_probability: float
    """Probability that an arrival finds every slot taken and waits."""
    mean_wait_s: float
    """Mean of that wait, given that there is one."""
    crowded_probability: float
    """Probability that every seat is taken, whether or not somebody waits for memory with seats free."""
    population: bool = False
    """Whether the occupancy is that of a fixed population, which an arriving request is already part of."""

    def quantiles(self, u: Array) -> Array:
        """Decoding sequences at probabilities u (n,)."""
        index = np.searchsorted(np.cumsum(self.weights), u)
        return np.asarray(self.decoding[np.minimum(index, self.decoding.size - 1)])

    def quantiles_by_sequence(self, u: Array) -> Array:
        """Decoding sequences that a decoding sequence finds, itself included, at probabilities u (n,)."""
        weights = self.decoding * self.weights
        if weights.sum() <= 0.0:
            return np.ones(u.size)
        index = np.searchsorted(np.cumsum(weights) / weights.sum(), u)
        return np.asarray(self.decoding[np.minimum(index, self.decoding.size - 1)])

    @cached_property
    def mean(self) -> float:
        """Mean decoding sequences."""
        return float(self.decoding @ self.weights)


def mean_step_s(load: ReplicaLoad, decoding: Array) -> Array:
    """Mean step time (s,) with so many sequences decoding while prompts arrive, by a fixed point.

    A share of steps carries prompt tokens, 1 − exp(−λt · steps of a prompt), and all of them; the rest carry none. A
    step time that is concave in its prompt tokens is not that of the mean step.
    """
    room = load.room(decoding)
    tokens = load.rate_per_s * load.demand.prompt_tokens
    steps = np.maximum(1.0, load.demand.prompt_tokens / room)
    low = load.step_s(0.0, decoding)
    high = load.step_s(room, decoding)
    # t(λP·t) − t changes sign between the empty and the full step unless prompts outrun the room: regula falsi.
    seconds = low
    for _ in range(60):
        carried = np.minimum(tokens * seconds, room)
        loaded = np.maximum(-np.expm1(-load.rate_per_s * seconds * steps), carried / room)
        loaded = np.maximum(loaded, 1e-300)
        following = (1.0 - loaded) * low + loaded * load.step_s(np.minimum(carried / loaded, room), decoding)
        share = np.minimum((following - low) / np.maximum(seconds, 1e-300), 0.999999)
        solved = np.minimum(np.maximum(low / (1.0 - share), following), high)
        settled = np.all(np.abs(solved - seconds) <= 1e-10 * seconds)
        seconds = solved
        if settled:
            break
    return np.asarray(seconds)


def open_occupancy(load: ReplicaLoad, *, peakedness: float, slowdown: tuple[Array, Array] | None = None) -> Occupancy:
    """Stationary law with births at the arrival rate and deaths at d / (steps × T(d)).

    Processor sharing with a speed that depends on the state only: insensitive to the law of output lengths
    (Cohen 1979). `peakedness` widens it for arrivals other than Poisson, as for an infinite-server system.
    `slowdown`: (d, factor) tables by which steps are longer during a request's life than at large. Slots make it
    limited processor sharing (Zhang, Dai, Zwart 2009): beyond them requests wait, served at the saturation rate, with
    the Allen–Cunneen factor for variability.
    """
    top = max(1, int(min(load.slots, load.budget, 1e7)))
    states = np.arange(top + 1.0) if top < _STATES else np.unique(np.rint(np.linspace(0.0, 1.0, _STATES) ** 2 * top))
    seconds = mean_step_s(load, states)
    if slowdown is not None:
        seconds = seconds * np.interp(states, *slowdown)
    steps = max(load.demand.decode_steps, 1e-9)
    if load.memory_bound:
        # What short memory costs at saturation it costs in proportion less with fewer sequences.
        seconds = seconds * (1.0 + (load.waste - 1.0) * (states / states[-1]) ** _CROWDING)
    ratio = np.log(load.rate_per_s * steps * seconds[1:]) - np.log(states[1:])
    logs = np.concatenate([[0.0], np.cumsum(ratio * np.diff(states))])
    share = min(load.rate_per_s / load.saturation_per_s, 0.99999)
    tail = 1.0 + share / (1.0 - share) * load.wait_scv
    weights, full = _capped(_spread(logs, peakedness, states), tail)
    if load.memory_bound:
        # Memory in use varies more than the number of sequences that hold it: a random sum of what each holds.
        # An arrival waits while its own prompt does not fit, and everyone behind it.
        wide = _capped(_spread(logs, peakedness * (1.0 + load.held_scv), states), tail)[0]
        beyond = np.cumsum(wide[::-1])[::-1]
        need = load.prompt.values * (load.demand.decode_steps + 1.0) / load.demand.kv_token_steps
        at = np.minimum(np.searchsorted(states, states[-1] - need), states.size - 1)
        full = float(beyond[at] @ load.prompt.weights)
    return Occupancy(
        decoding=states,
        weights=weights,
        full_probability=full,
        crowded_probability=float(weights[-1]),
        mean_wait_s=load.wait_scv / (load.saturation_per_s * (1.0 - share)) / load.stream.pooled,
    )


def _spread(logs: Array, peakedness: float, states: Array) -> Array:
    """Log-weights with their variance times `peakedness` or so.

    The mean is kept by a tilt (Little's law: how arrivals bunch does not change it); without it a law of few sequences
    would move to its mode when narrowed, and to the middle of its range when widened.
    """
    if abs(peakedness - 1.0) < 1e-9:
        return logs
    plain = np.exp(logs - logs.max())
    mean = float(plain @ states) / float(plain.sum())
    spread = logs / peakedness
    return np.asarray(spread + _tilt(spread, states, mean) * states)


def _tilt(logs: Array, states: Array, mean: float) -> float:
    """The θ for which weights exp(logs + θ·states) have this mean, which rises with θ: Newton inside a bracket."""
    # Neighbouring weights swap order at the steepest slope of the logarithms; beyond it all mass is at one end.
    steepest = float(np.abs(np.diff(logs) / np.diff(states)).max()) + _BEYOND
    low, high, tilt = -steepest, steepest, 0.0
    for _ in range(_NEWTON):
        weights = logs + tilt * states
        weights = np.exp(weights - weights.max())
        weights /= weights.sum()
        at = float(weights @ states)
        if abs(at - mean) <= 1e-6 * mean:
            break
        low, high = (tilt, high) if at < mean else (low, tilt)
        variance = float(weights @ (states - at) ** 2)
        # On the logarithm of the mean, which a law of hardly any sequences moves in proportion to the tilt.
        guess = tilt + math.log(mean / at) * at / variance if at > 0.0 and variance > 1e-12 * at else math.inf
        tilt = guess if low < guess < high else 0.5 * (low + high)
    return tilt


def _capped(logs: Array, tail: float) -> tuple[Array, float]:
    """Normalised weights with everything that waits in the last state, and the probability of waiting."""
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    weights[-1] *= tail
    weights /= weights.sum()
    return weights, float(weights[-1])


def closed_occupancy(load: ReplicaLoad, *, mean: float, variance: float) -> Occupancy:
    """A closed system holds its population: a narrow law around the mean, never beyond the slots."""
    top = max(1, int(min(load.slots, load.budget, mean + 8.0 * variance**0.5 + 2.0)))
    low = max(0.0, np.floor(mean - 8.0 * variance**0.5 - 1.0))
    states = np.unique(np.rint(np.linspace(low, top, min(512, int(top - low) + 1))))
    weights = np.exp(-0.5 * (states - mean) ** 2 / max(variance, 0.05))
    weights /= weights.sum()
    return Occupancy(
        decoding=states,
        weights=weights,
        full_probability=0.0,
        mean_wait_s=0.0,
        crowded_probability=float(weights[states >= load.slots - 1.0].sum()),
        population=True,
    )
