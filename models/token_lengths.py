"""Token lengths of requests: the joint law of prompt and output tokens.

Lengths are whole numbers of at least one token. A lognormal length is rounded to the nearest token, and the
mathematics uses the law *after* rounding, so that a mean of 16 tokens at cv 1.5 is the law that an engine sees.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidInput

Array = NDArray[np.float64]

MAX_TOKENS = 100_000_000
"""No single request is longer than this; a longer one is a mistake of units."""

_ATOMS = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class Atoms:
    """A discrete law: ascending `values` (m,) with `weights` (m,) that add up to 1."""

    values: Array
    weights: Array

    @cached_property
    def mean(self) -> float:
        return float(self.values @ self.weights)

    @cached_property
    def second_moment(self) -> float:
        return float((self.values * self.values) @ self.weights)

    @cached_property
    def scv(self) -> float:
        """Squared coefficient of variation; 0 for a fixed value."""
        return max(0.0, self.second_moment / self.mean**2 - 1.0) if self.mean > 0.0 else 0.0

    def map(self, values: Array) -> Atoms:
        """The law of a function of this variable, given as its values at the atoms (equal values are merged)."""
        distinct, index = np.unique(values, return_inverse=True)
        return Atoms(values=distinct, weights=np.asarray(np.bincount(index, self.weights), dtype=float))


@dataclass(frozen=True, kw_only=True)
class FixedLength:
    """Every request has the same length."""

    tokens: int

    def __post_init__(self) -> None:
        _require_tokens("a token length", self.tokens)

    @cached_property
    def atoms(self) -> Atoms:
        return Atoms(values=np.array([float(self.tokens)]), weights=np.ones(1))


@dataclass(frozen=True, kw_only=True)
class LognormalLength:
    """A lognormal length with the given mean (tokens) and coefficient of variation, before rounding."""

    mean: float
    cv: float

    def __post_init__(self) -> None:
        _require_tokens("the mean token length", self.mean)
        if not (0.0 <= self.cv <= 20.0):
            raise InvalidInput(
                f"the coefficient of variation of a token length must lie between 0 and 20, got {self.cv}"
            )

    @property
    def sigma(self) -> float:
        """Standard deviation of the logarithm."""
        return math.sqrt(math.log1p(self.cv**2))

    @property
    def mu(self) -> float:
        """Mean of the logarithm."""
        return math.log(self.mean) - 0.5 * self.sigma**2

    @cached_property
    def atoms(self) -> Atoms:
        """Quadrature atoms: equal steps in probability in the body, finer and finer steps in the upper tail."""
        if self.cv == 0.0:
            return Atoms(values=np.array([max(1.0, round(self.mean))]), weights=np.ones(1))
        # Cell edges in the normal score: even in the body, reaching 5.5 deviations above so that moments converge.
        edges = np.concatenate([[-np.inf], np.linspace(-3.5, 5.5, _ATOMS - 1), [np.inf]])
        cdf = _normal_cdf(edges)
        weights = np.diff(cdf)
        # Conditional mean of exp(mu + sigma z) in each cell keeps the mean exact whatever the number of cells.
        shifted = np.diff(_normal_cdf(edges - self.sigma))
        values = self.mean * shifted / np.maximum(weights, 1e-300)
        return Atoms(values=np.maximum(values, 1.0), weights=weights / weights.sum()).map(
            np.maximum(1.0, np.where(values < 64.0, np.rint(values), values))
        )


LengthLaw = FixedLength | LognormalLength


@dataclass(frozen=True, kw_only=True, eq=False)
class LengthTable:
    """An empirical joint table: one row a request, `prompt` (m,) and `output` (m,) in tokens."""

    prompt: Array
    output: Array

    def __post_init__(self) -> None:
        if self.prompt.shape != self.output.shape or self.prompt.ndim != 1 or self.prompt.size == 0:
            raise InvalidInput("a table of token lengths needs at least one row with a prompt and an output length")
        for name, column in (("prompt", self.prompt), ("output", self.output)):
            if not np.all(np.isfinite(column)) or column.min() < 1.0 or column.max() > MAX_TOKENS:
                raise InvalidInput(f"{name} lengths must lie between 1 and {MAX_TOKENS} tokens in every row")


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenLengths:
    """The joint law of prompt and output tokens: two independent laws, or an empirical joint `table`."""

    prompt_law: LengthLaw | None = None
    output_law: LengthLaw | None = None
    table: LengthTable | None = None

    def __post_init__(self) -> None:
        independent = self.prompt_law is not None and self.output_law is not None
        if independent == (self.table is not None):
            raise InvalidInput("token lengths are either two laws or one joint table")

    @classmethod
    def of(cls, prompt: float, output: float, *, prompt_cv: float = 0.0, output_cv: float = 0.0) -> TokenLengths:
        """Independent lengths; a coefficient of variation of 0 is a fixed length."""
        return cls(prompt_law=_law(prompt, prompt_cv), output_law=_law(output, output_cv))

    @classmethod
    def from_table(cls, prompt: Array, output: Array) -> TokenLengths:
        """The empirical joint law of the rows of a trace."""
        return cls(table=LengthTable(prompt=np.asarray(prompt, dtype=float), output=np.asarray(output, dtype=float)))

    @cached_property
    def prompt(self) -> Atoms:
        """Law of the prompt length alone, at most a few hundred atoms."""
        if self.table is not None:
            return _compress(self.table.prompt)
        assert self.prompt_law is not None
        return self.prompt_law.atoms

    @cached_property
    def output(self) -> Atoms:
        """Law of the output length alone, at most a few hundred atoms."""
        if self.table is not None:
            return _compress(self.table.output)
        assert self.output_law is not None
        return self.output_law.atoms

    def computed_prompt(self, prefix_hit_rate: float) -> Atoms:
        """Law of the prompt tokens that need computing when that share is found in the prefix cache."""
        share = 1.0 - prefix_hit_rate
        return self.prompt if share == 1.0 else self.prompt.map(np.maximum(1.0, np.rint(self.prompt.values * share)))

    @cached_property
    def mean_product(self) -> float:
        """E[prompt × output] in tokens²: how long prompts and long outputs go together."""
        if self.table is not None:
            return float(np.mean(self.table.prompt * self.table.output))
        return self.prompt.mean * self.output.mean

    @cached_property
    def longest(self) -> float:
        """Prompt plus output of the longest request to plan for (the 99.9th percentile where lengths vary)."""
        if self.table is not None:
            return float(np.max(self.table.prompt + self.table.output))
        return _upper(self.prompt) + _upper(self.output)


def _upper(atoms: Atoms) -> float:
    return float(atoms.values[min(int(np.searchsorted(np.cumsum(atoms.weights), 0.999)), atoms.values.size - 1)])


def _law(mean: float, cv: float) -> LengthLaw:
    if cv == 0.0:
        _require_tokens("a token length", mean)
        return FixedLength(tokens=max(1, round(mean)))
    return LognormalLength(mean=mean, cv=cv)


def _require_tokens(what: str, tokens: float) -> None:
    if not (math.isfinite(tokens) and 1.0 <= tokens <= MAX_TOKENS):
        raise InvalidInput(f"{what} must lie between 1 and {MAX_TOKENS} tokens, got {tokens}")


def _normal_cdf(z: Array) -> Array:
    from scipy.special import ndtr

    return np.asarray(ndtr(z), dtype=float)


def _compress(column: Array) -> Atoms:
    """At most a few hundred atoms with the column's mean: equal shares of rows, finer in the upper tail."""
    ordered = np.sort(column)
    values, counts = np.unique(ordered, return_counts=True)
    if values.size <= 2 * _ATOMS:
        return Atoms(values=values.astype(float), weights=counts / ordered.size)
    body = np.linspace(0.0, 0.99, _ATOMS, endpoint=False)
    tail = 1.0 - np.geomspace(0.01, 1.0 / ordered.size, _ATOMS)
    starts = np.unique((np.concatenate([body, tail]) * ordered.size).astype(int))
    sums = np.add.reduceat(ordered, starts)
    sizes = np.diff(np.append(starts, ordered.size))
    return Atoms(values=sums / sizes, weights=sizes / ordered.size)
