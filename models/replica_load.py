"""What one replica is asked to carry, in the quantities that its laws depend on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.capacity import Demand
from models.engine import Engine
from models.routing import POISSON, ReplicaStream
from models.token_lengths import Atoms, TokenLengths

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class ReplicaLoad:
    """Arrivals at one replica and the work that they bring."""

    engine: Engine
    lengths: TokenLengths
    prefix_hit_rate: float
    rate_per_s: float
    stream: ReplicaStream = POISSON
    """How regularly they come."""
    slots: float
    """Sequences that fit: the sequence limit, or what KV memory holds of them."""
    saturation_per_s: float
    packing: float = 1.0
    """Share of a step's room that prompts fill while more wait: 1 where they may be split."""
    waste: float = 1.0
    """How many times longer short KV memory makes the work of a request at saturation."""
    memory_bound: bool = False
    """Whether it is KV memory that limits the slots."""

    @cached_property
    def demand(self) -> Demand:
        """Mean work of a request."""
        return Demand.of(self.lengths, self.prefix_hit_rate, self.engine.limits.kv_block_size)

    @cached_property
    def prompt(self) -> Atoms:
        """Law of the prompt tokens that need computing."""
        return self.lengths.computed_prompt(self.prefix_hit_rate)

    @property
    def budget(self) -> float:
        """Token budget of a step."""
        return float(self.engine.limits.max_num_batched_tokens)

    def step_s(self, prompt_tokens: Array | float, decoding: Array | float) -> Array:
        """Seconds of steps with so many prompt tokens and decoding sequences of average context."""
        return np.asarray(
            self.engine.step_time.seconds(prompt_tokens, decoding, np.asarray(decoding) * self.demand.context)
        )

    def room(self, decoding: Array) -> Array:
        """Prompt tokens that a step takes beside its decodes while more wait."""
        return np.maximum(self.packing * (self.budget - decoding), 1.0)

    @cached_property
    def overlap(self) -> float:
        """(1/E[S])·∫(1−F)²: how much of the arrivals' variability reaches the occupancy; 1 for a fixed length.

        Heavy-traffic peakedness of an infinite-server system (Whitt 1983, QNA, §5; Eick, Massey, Whitt 1993).
        """
        output = self.lengths.output
        steps = np.maximum(output.values - 1.0, 0.0)
        mean = float(steps @ output.weights)
        if mean <= 0.0:
            return 1.0
        survival = 1.0 - np.concatenate([[0.0], np.cumsum(output.weights)[:-1]])
        return float(survival**2 @ np.diff(np.concatenate([[0.0], steps])) / mean)

    @cached_property
    def held_scv(self) -> float:
        """Squared coefficient of variation of the KV tokens that a running sequence holds, over decode steps."""
        prompt, output = self.lengths.prompt, self.lengths.output
        length = output.values
        step_weights = output.weights * length / output.mean
        first = prompt.mean + 0.5 * float(length @ step_weights)
        second = (
            prompt.second_moment + prompt.mean * float(length @ step_weights) + float(length**2 @ step_weights) / 3.0
        )
        return max(0.0, second / first**2 - 1.0)

    @cached_property
    def wait_scv(self) -> float:
        """Mean of the variabilities of arrivals and holding times: the Allen–Cunneen factor of waiting for a slot."""
        return 0.5 * (self.stream.occupancy_scv + self.lengths.output.scv)
