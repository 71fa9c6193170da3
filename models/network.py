"""Small feed-forward networks that stand in for a law without a formula, learned from simulations."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Layer = tuple[Array, Array]

_FADING = 0.5
"""Beyond the range seen, in deviations of the training inputs, where only 1/e of what was learned is used."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """The mean of several networks of tanh units on the same inputs (multilayer perceptrons; Bishop 2006, §5.1).

    Inputs are standardised and held within the range that was seen in training: a network says nothing sensible
    beyond it.
    """

    centre: Array
    scale: Array
    """Mean and deviation of the training inputs (k,)."""
    low: Array
    high: Array
    """Range of the standardised training inputs (k,)."""
    members: tuple[tuple[Layer, ...], ...]
    """For each network its layers: weights (in, out) and offsets (out,)."""

    def __call__(self, inputs: ArrayLike) -> Array:
        """Outputs (…, out) for inputs (…, k)."""
        z = np.clip((np.asarray(inputs, dtype=float) - self.centre) / self.scale, self.low, self.high)
        return np.asarray(sum(_evaluate(layers, z) for layers in self.members) / len(self.members))

    def familiarity(self, inputs: ArrayLike) -> float:
        """1 within the range seen in training, falling to 0 with the distance of the strangest input (k,) beyond it."""
        z = (np.asarray(inputs, dtype=float) - self.centre) / self.scale
        beyond = float(np.max(np.maximum(self.low - z, z - self.high), initial=0.0))
        return float(np.exp(-((beyond / _FADING) ** 2)))

    def to_text(self) -> str:
        """Base64 of half-precision numbers after a line of layer sizes: `from_text` reads it."""
        sizes = [self.members[0][0][0].shape[0], *(offsets.size for _, offsets in self.members[0])]
        parts = [self.centre, self.scale, self.low, self.high]
        numbers = np.concatenate(parts).astype("<f4").tobytes()
        for layers in self.members:
            for weights, offsets in layers:
                numbers += np.concatenate([weights.ravel(), offsets]).astype("<f2").tobytes()
        head = f"{len(self.members)} {' '.join(map(str, sizes))}"
        return f"{head}\n{base64.b64encode(numbers).decode('ascii')}"

    @classmethod
    def from_text(cls, text: str) -> Network:
        """The network that `to_text` wrote. Raises ValueError for anything else."""
        head, body = text.split("\n", 1)
        count, *sizes = map(int, head.split())
        raw = base64.b64decode(body)
        inputs = sizes[0]
        norm = np.frombuffer(raw, "<f4", 4 * inputs).astype(float).reshape(4, inputs)
        rest = np.frombuffer(raw, "<f2", offset=16 * inputs).astype(float)
        members, at = [], 0
        for _ in range(count):
            layers = []
            for size, following in pairwise(sizes):
                weights = rest[at : at + size * following].reshape(size, following)
                at += size * following
                layers.append((weights, rest[at : at + following]))
                at += following
            members.append(tuple(layers))
        if at != rest.size:
            raise ValueError("a network's text does not hold the numbers that its first line announces")
        return cls(centre=norm[0], scale=norm[1], low=norm[2], high=norm[3], members=tuple(members))


def _evaluate(layers: tuple[Layer, ...], z: Array) -> Array:
    for weights, offsets in layers[:-1]:
        z = np.tanh(z @ weights + offsets)
    weights, offsets = layers[-1]
    return np.asarray(z @ weights + offsets)
