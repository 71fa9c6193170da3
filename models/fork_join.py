"""End-to-end latency of a network of stages, from samples of each stage's latency: sums, maxima and mixtures at once.

A series adds latencies, a join waits for the slowest, a branch mixes. Samples of a fixed Latin hypercube (McKay,
Beckman and Conover 1979) go through the network request by request, so that stages that several paths share, which a
product of distribution functions would count as independent, are right for every shape of network.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.stage_network import StageNetwork, Truth

Array = NDArray[np.float64]

DRAWS = 16_384
"""A percentile p of a sum of stages is then within about √(p(1−p)/DRAWS) of the right share: p99 within ±0.1 %."""
_SEED = 20_260


@dataclass(frozen=True, kw_only=True, eq=False)
class Sampling:
    """The fixed numbers that every evaluation of one network shares: what differs between plans is then no chance."""

    network: StageNetwork
    shares: Array = field(repr=False)
    """Shares in (0, 1) at which each stage's law is read (stages, draws)."""
    visited: Truth = field(repr=False)
    """Which stages each draw visits (stages, draws)."""

    @classmethod
    def of(cls, network: StageNetwork, draws: int = DRAWS) -> Sampling:
        """Deterministic."""
        rng = np.random.default_rng(_SEED)
        count = len(network.stages)
        shares, chances = (np.array([(rng.permutation(draws) + 0.5) / draws for _ in range(count)]) for _ in range(2))
        return cls(network=network, shares=shares, visited=network.visited(chances))


@dataclass(frozen=True, kw_only=True, eq=False)
class Passage:
    """Requests through the network: seconds after arrival (stages, draws)."""

    network: StageNetwork
    visited: Truth
    ready: Array
    done: Array

    @property
    def end_to_end(self) -> Array:
        """Arrival to the end of the last stage (draws,)."""
        return np.asarray(self.done.max(axis=0))

    def critical_s(self, chosen: Truth) -> Array:
        """Mean seconds that each stage takes of the longest path, over the chosen requests (stages,).

        They add up to the mean end-to-end latency of those requests.
        """
        found = np.zeros(len(self.network.stages))
        done, ready = self.done[:, chosen], self.ready[:, chosen]
        at = done.argmax(axis=0)
        for place in range(len(found) - 1, -1, -1):
            here = at == place
            found[place] = float((done[place] - ready[place])[here].sum()) / max(at.size, 1)
            waits = self.network.waits(place)
            if waits:
                before = np.array(waits)[done[list(waits)].argmax(axis=0)]
                at = np.where(here, before, at)
            else:
                at = np.where(here, -1, at)
        return found


def pass_through(network: StageNetwork, visited: Truth, latencies: Array) -> Passage:
    """Send requests through: `latencies` (stages, draws) of each stage for each request, read where it is visited."""
    ready = np.zeros_like(latencies)
    done = np.zeros_like(latencies)
    for place in range(len(network.stages)):
        ready[place] = network.ready(place, done)
        done[place] = np.where(visited[place], ready[place] + latencies[place], 0.0)
    return Passage(network=network, visited=visited, ready=ready, done=done)
