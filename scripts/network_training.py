"""Train small networks on simulated cases: plain back-propagation in numpy, so that nobody needs a framework for it."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.network import Layer, Network

Array = NDArray[np.float64]

_BATCH, _RATE = 512, 4e-3
_SMOOTH = 0.02
_COMMON = 0.1
_RARE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Training:
    """How long and how wide."""

    hidden: tuple[int, ...]
    members: int
    steps: int
    decay: float
    jobs: int
    """Processes that train, each a network of its own; 1 for this process."""


def train(inputs: Array, low: Array, high: Array, gates: Array, how: Training) -> Network:
    """A network whose outputs for `inputs` (n, k), times `gates` (n,), lie between `low` and `high` (n, out).

    An error is the distance to that interval. The loss log(1 + error / 0.1) grows ever more slowly, so that a
    percentile at a jump of a law, which may be off by a factor of ten, does not bend what is learned of all others.
    """
    centre, scale = inputs.mean(axis=0), inputs.std(axis=0) + 1e-6
    z = (inputs - centre) / scale
    least, most = np.quantile(z, [_RARE, 1.0 - _RARE], axis=0)
    z = np.clip(z, least, most)
    fit, seeds = partial(_fit, z, low, high, gates, how), range(how.members)
    if how.jobs == 1:
        members = list(map(fit, seeds))
    else:
        with ProcessPoolExecutor(how.jobs) as pool:
            members = list(pool.map(fit, seeds))
    return Network(centre=centre, scale=scale, low=least, high=most, members=tuple(members))


def _fit(z: Array, low: Array, high: Array, gates: Array, how: Training, seed: int) -> tuple[Layer, ...]:
    rng = np.random.default_rng(seed)
    sizes = [z.shape[1], *how.hidden, low.shape[1]]
    numbers = []
    for size, following in pairwise(sizes):
        spread = size**-0.5
        numbers += [rng.normal(0.0, spread, (size, following)), np.zeros(following)]
    mean, square = [np.zeros_like(each) for each in numbers], [np.zeros_like(each) for each in numbers]
    for step in range(1, how.steps + 1):
        rows = rng.integers(0, z.shape[0], min(_BATCH, z.shape[0]))
        slopes = _slopes(numbers, z[rows], low[rows], high[rows], gates[rows])
        rate = _RATE * 0.5 * (1.0 + np.cos(np.pi * step / how.steps))
        # Adam with decoupled weight decay (Loshchilov and Hutter 2019).
        for i, slope in enumerate(slopes):
            mean[i] = 0.9 * mean[i] + 0.1 * slope
            square[i] = 0.999 * square[i] + 0.001 * slope**2
            move = mean[i] / (1.0 - 0.9**step) / (np.sqrt(square[i] / (1.0 - 0.999**step)) + 1e-8)
            numbers[i] = numbers[i] - rate * (move + how.decay * numbers[i])
    return tuple((numbers[i], numbers[i + 1]) for i in range(0, len(numbers), 2))


def _slopes(numbers: list[Array], z: Array, low: Array, high: Array, gates: Array) -> list[Array]:
    """Gradient of the mean loss in every weight and offset."""
    values = [z]
    for i in range(0, len(numbers) - 2, 2):
        values.append(np.tanh(values[-1] @ numbers[i] + numbers[i + 1]))
    output = gates[:, None] * (values[-1] @ numbers[-2] + numbers[-1])
    error = np.minimum(output - low, 0.0) + np.maximum(output - high, 0.0)
    error[~np.isfinite(error)] = 0.0
    length = np.sqrt(error**2 + _SMOOTH**2)
    back = error / length / (_COMMON + length - _SMOOTH) * gates[:, None] / error.size
    slopes: list[Array] = []
    for i in range(len(numbers) - 2, -1, -2):
        below = values[i // 2]
        slopes = [below.T @ back, back.sum(axis=0), *slopes]
        if i:
            back = (back @ numbers[i].T) * (1.0 - below**2)
    return slopes
