"""A pipeline as an open network without loops: stages, what each comes after, and which of them a request visits.

A stage runs where one of those that it comes after ran, with its own probability, and not where its `unless` ran; it
begins when all that ran before it have ended, and all before its `unless`: by then it is known which of the two runs.
Rates are visit ratios (Jackson 1957; for a network without loops the traffic equations are solved by going through it
once).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidInput

Array = NDArray[np.float64]
Truth = NDArray[np.bool_]

MOST_CHANCES = 12
"""Stages with a probability: visit ratios are exact sums over all their outcomes."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage; others are named by their place in the network, which is before its own."""

    after: tuple[int, ...] = ()
    """Empty: begins when the request arrives."""
    probability: float = 1.0
    """Of running, where it could."""
    unless: int | None = None
    """A stage in whose place it runs, as soon as that one would have begun."""


@dataclass(frozen=True, kw_only=True)
class StageNetwork:
    """Stages in an order in which each comes after those that it waits for."""

    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        for place, stage in enumerate(self.stages):
            before = (*stage.after, *(() if stage.unless is None else (stage.unless,)))
            if any(not 0 <= each < place for each in before):
                raise InvalidInput("a stage comes after one that is not before it")
            if not 0.0 < stage.probability <= 1.0:
                raise InvalidInput(f"a stage's probability lies above 0 and at most at 1, got {stage.probability}")
        if len(self.chances) > MOST_CHANCES:
            raise InvalidInput(
                f"{len(self.chances)} stages have a probability, and at most {MOST_CHANCES} may",
                remedy="leave out the probabilities that are nearly 1",
            )

    @property
    def chances(self) -> tuple[int, ...]:
        """Stages that run by chance."""
        return tuple(place for place, stage in enumerate(self.stages) if stage.probability < 1.0)

    @cached_property
    def visit_ratios(self) -> Array:
        """Share of the requests that each stage serves (stages,): exact."""
        chances = self.chances
        outcomes = np.indices((2,) * len(chances)).reshape(len(chances), -1) if chances else np.zeros((0, 1))
        drawn = np.zeros((len(self.stages), outcomes.shape[1]))
        weight = np.ones(outcomes.shape[1])
        for row, place in enumerate(chances):
            drawn[place] = outcomes[row]  # 0 is below every probability, 1 above
            weight *= np.where(outcomes[row] == 0, self.stages[place].probability, 1.0 - self.stages[place].probability)
        return np.asarray(self.visited(drawn) @ weight, dtype=float)

    def visited(self, uniforms: Array) -> Truth:
        """Which stages each request visits (stages, requests), from uniform numbers of that shape."""
        found = np.zeros(uniforms.shape, dtype=bool)
        for place, stage in enumerate(self.stages):
            could: Truth = np.ones(uniforms.shape[1], dtype=bool)
            if stage.after:
                could = np.asarray(found[list(stage.after)].any(axis=0))
            if stage.unless is not None:
                could &= ~found[stage.unless]
            found[place] = could if stage.probability == 1.0 else could & (uniforms[place] < stage.probability)
        return found

    def waits(self, place: int) -> tuple[int, ...]:
        """Stages that, where they ran, end before one begins: before it, and before that in whose place it runs."""
        stage = self.stages[place]
        decided = () if stage.unless is None else self.waits(stage.unless)
        return tuple(dict.fromkeys((*stage.after, *decided)))

    def last_of(self, chosen: Sequence[int], visited: Truth) -> Truth:
        """Of the chosen stages that each request visits those that no other chosen one follows (stages, requests)."""
        followed = np.zeros_like(visited)
        is_chosen = np.isin(np.arange(len(self.stages)), chosen)[:, None]
        for place in reversed(range(len(self.stages))):
            for each in self.waits(place):
                followed[each] |= visited[place] & (is_chosen[place] | followed[place])
        return np.asarray(visited & is_chosen & ~followed)

    def leading_to(self, ends: Truth, visited: Truth) -> Truth:
        """Those stages, and the visited ones that they wait for, directly or not (stages, requests)."""
        found = ends.copy()
        for place in reversed(range(len(self.stages))):
            for each in self.waits(place):
                found[each] |= found[place] & visited[each]
        return found

    def before(self, place: int) -> Truth:
        """Which stages a stage waits for, directly or not, and itself (stages,)."""
        found = np.zeros(len(self.stages), dtype=bool)
        found[place] = True
        for each in reversed(range(place + 1)):
            if found[each]:
                found[list(self.waits(each))] = True
        return found

    def ready(self, place: int, done: Sequence[Array] | Array) -> Array:
        """When a stage may begin: all it waits for that ran have ended. `done` is 0 for those that did not."""
        waits = self.waits(place)
        return np.asarray(np.max([done[each] for each in waits], axis=0)) if waits else np.zeros_like(done[0])
