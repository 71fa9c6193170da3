"""Which of many possible measurements to make: exact D-optimal designs by exchange.

A design is a few candidates out of many; each brings an information matrix (for one observation `x·terms` with unit
noise, `x xᵀ`), and those of a design add up with what is known beforehand. The design with the greatest determinant of
the sum leaves the smallest ellipsoid of terms that the measurements do not exclude (Wald 1943; Atkinson, Donev &
Tobias, Optimum Experimental Designs, 2007, ch. 10). With the inverse covariance of a prior in the sum it is Bayesian
D-optimality (Chaloner & Verdinelli 1995, §2), and designs of fewer points than terms are comparable too.

Found by Fedorov's exchange (Theory of Optimal Experiments, 1972, §3.3; Cook & Nachtsheim 1980): swap the pair of a
chosen and an unchosen candidate that gains most, until none gains. That is a local optimum, so it starts from several
designs: the greedy one, an evenly spaced one, and random ones of a fixed seed. Not proven optimal; never worse than
the evenly spaced design, nor than any start.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidInput

Array = NDArray[np.float64]

STARTS = 12
"""Random designs to start from, beside the greedy and the even one."""
_SEED = 1972
_MAX_EXCHANGES = 1000
_GAIN = 1e-9
"""Least gain of the log determinant that counts as one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidates:
    """What could be measured, and what is known before."""

    information: Array
    """(candidates, terms, terms): what each would add, symmetric and positive semidefinite."""
    prior: Array
    """(terms, terms): inverse covariance of what is known beforehand, positive definite."""
    required: tuple[frozenset[int], ...] = ()
    """Disjoint sets of candidates, of each of which a design holds at least one."""

    def __post_init__(self) -> None:
        count, terms = self.information.shape[0], self.prior.shape[0]
        if self.information.shape != (count, terms, terms) or count == 0:
            raise InvalidInput(f"information of candidates must be (n, {terms}, {terms}), is {self.information.shape}")
        if not (np.isfinite(self.information).all() and np.isfinite(self.prior).all()):
            raise InvalidInput("information of a design must be finite")
        if not np.linalg.eigvalsh(self.prior).min() > 0.0:
            raise InvalidInput("the prior of a design must be positive definite", remedy="give every term some spread")
        together: frozenset[int] = frozenset().union(*self.required)
        if any(not wanted for wanted in self.required) or not together <= frozenset(range(count)):
            raise InvalidInput("a required set of a design names no candidate, or one that is not there")
        if len(together) < sum(map(len, self.required)):
            raise InvalidInput("the required sets of a design must be disjoint")

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self.information.shape[0])

    def log_det(self, design: Sequence[int]) -> float:
        """Log determinant of what is known after measuring a design."""
        total = self.prior + self.information[list(design)].sum(axis=0)
        return float(np.linalg.slogdet(total)[1])


@dataclass(frozen=True, kw_only=True)
class Design:
    """Candidates to measure, ascending by index, and the log determinant that they reach."""

    chosen: tuple[int, ...]
    log_det: float


def best_design(candidates: Candidates, size: int) -> Design:
    """The best design of `size` different candidates that the exchange finds."""
    least = len(candidates.required)
    if not max(1, least) <= size <= candidates.count:
        raise InvalidInput(
            f"a design of {size} of {candidates.count} candidates cannot hold its {least} required points",
            remedy=f"ask for {max(1, least)} to {candidates.count} points",
        )
    best: tuple[float, list[int]] | None = None
    for start in _starts(candidates, size):
        found = _exchanged(candidates, start)
        value = candidates.log_det(found)
        if best is None or value > best[0] + _GAIN:
            best = value, found
    assert best is not None
    return Design(chosen=tuple(sorted(best[1])), log_det=best[0])


def worthwhile_design(candidates: Candidates, *, least: int, most: int, gain: float) -> Design:
    """The smallest design that one more point does not improve by `gain`.

    The gain of a point is that of the determinant's root of as many terms: of the geometric mean of the precisions of
    the terms (Atkinson, Donev & Tobias 2007, §11.2: D-efficiency). Points alike gain about 1 / points, so `gain` bounds
    the size; how soon a design comes below it depends on how much the later points tell that the first did not.
    """
    if not (0.0 < gain < 1.0):
        raise InvalidInput(f"the gain that another point is worth must lie between 0 and 1, got {gain}")
    terms = candidates.prior.shape[0]
    size = max(least, len(candidates.required), 1)
    design = best_design(candidates, size)
    while len(design.chosen) < min(most, candidates.count):
        larger = best_design(candidates, len(design.chosen) + 1)
        if math.expm1((larger.log_det - design.log_det) / terms) < gain:
            break
        design = larger
    return design


def _starts(candidates: Candidates, size: int) -> Iterator[list[int]]:
    yield _completed(candidates, [], size)
    even = np.linspace(0, candidates.count - 1, size).round().astype(int)
    yield _with_required(candidates, list(dict.fromkeys(even.tolist())), size)
    chance = np.random.default_rng(_SEED)
    for _ in range(STARTS):
        drawn = chance.permutation(candidates.count)[:size].tolist()
        yield _with_required(candidates, drawn, size)


def _with_required(candidates: Candidates, design: list[int], size: int) -> list[int]:
    """A design with a point of each required set, in place of others where it lacks them."""
    needed = [next((i for i in design if i in wanted), min(wanted)) for wanted in candidates.required]
    rest = [index for index in design if index not in needed]
    return _completed(candidates, [*needed, *rest][:size], size)


def _completed(candidates: Candidates, design: list[int], size: int) -> list[int]:
    """A design filled up greedily, required sets first."""
    design = list(design)
    for wanted in candidates.required:
        if wanted.isdisjoint(design):
            design.append(_best_addition(candidates, design, sorted(wanted)))
    while len(design) < size:
        design.append(_best_addition(candidates, design, [i for i in range(candidates.count) if i not in design]))
    return design


def _best_addition(candidates: Candidates, design: list[int], choice: list[int]) -> int:
    total = candidates.prior + candidates.information[design].sum(axis=0)
    return choice[int(np.argmax(np.linalg.slogdet(total + candidates.information[choice])[1]))]


def _exchanged(candidates: Candidates, start: list[int]) -> list[int]:
    """The local optimum that the best exchanges lead to."""
    design = list(start)
    value = candidates.log_det(design)
    for _ in range(_MAX_EXCHANGES):
        swap = _best_swap(candidates, design, value)
        if swap is None:
            break
        place, candidate, value = swap
        design[place] = candidate
    return design


def _best_swap(candidates: Candidates, design: list[int], value: float) -> tuple[int, int, float] | None:
    total = candidates.prior + candidates.information[design].sum(axis=0)
    best: tuple[int, int, float] | None = None
    for place, leaving in enumerate(design):
        without = total - candidates.information[leaving]
        after = np.linalg.slogdet(without + candidates.information)[1]
        rest = [*design[:place], *design[place + 1 :]]
        after[design] = -np.inf
        for candidate in np.argsort(-after, kind="stable"):
            if not after[candidate] > (value if best is None else best[2]) + _GAIN:
                break
            if _holds_required(candidates, [*rest, int(candidate)]):
                best = place, int(candidate), float(after[candidate])
                break
    return best


def _holds_required(candidates: Candidates, design: Sequence[int]) -> bool:
    return all(not wanted.isdisjoint(design) for wanted in candidates.required)
