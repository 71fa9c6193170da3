"""The law of how many GPUs are needed: which numbers, in which share of the slots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.errors import InvalidInput

Array = NDArray[np.float64]

MOST_GPUS = 100_000
"""A need beyond it is taken for a mistake of units."""
_WHOLE = 1e-9


@dataclass(frozen=True, kw_only=True, eq=False)
class NeedLaw:
    """Ascending numbers of GPUs and the share of slots that needs each. As means of a slot they need not be whole."""

    gpus: Array
    share: Array

    @classmethod
    def of_slots(cls, needed: ArrayLike, weights: ArrayLike | None = None) -> NeedLaw:
        """The law of what was needed slot by slot; NaN is a slot without data and left out.

        `needed` may hold scenarios, one a row; `weights` of whatever shape fits it (one a scenario: a column).
        """
        values = np.asarray(needed, dtype=float)
        try:
            shares = np.broadcast_to(np.asarray(1.0 if weights is None else weights, dtype=float), values.shape)
        except ValueError as error:
            raise InvalidInput("the weights of the slots have not the shape of the slots") from error
        values, shares = values.ravel(), shares.ravel()
        known = ~np.isnan(values)
        return _law(values[known], shares[known])

    @property
    def mean(self) -> float:
        """GPUs needed in the mean of all slots."""
        return float(self.gpus @ self.share)

    @property
    def peak(self) -> float:
        """The most that any slot needs."""
        return float(self.gpus[-1])

    def quantile(self, share: float) -> float:
        """The least number that is enough in this share of the slots."""
        place = np.searchsorted(np.cumsum(self.share), share - _WHOLE)
        return float(self.gpus[min(int(place), self.gpus.size - 1)])

    def mean_above(self, counts: ArrayLike) -> Array:
        """The mean of what is needed beyond each count, `E[(N − c)⁺]`: the loss function of inventory theory."""
        asked = np.asarray(counts, dtype=float)
        first = np.searchsorted(self.gpus, asked, side="right")
        shares = np.append(np.cumsum(self.share[::-1])[::-1], 0.0)
        sums = np.append(np.cumsum((self.gpus * self.share)[::-1])[::-1], 0.0)
        above: Array = np.maximum(sums[first] - asked * shares[first], 0.0)
        return above

    def use(self, count: int) -> Array:
        """Share of the time in which the first, second … GPU is needed; of whole needs `P(N ≥ k)`. Never grows."""
        return -np.diff(self.mean_above(np.arange(count + 1)))

    def mapped(self, change: Callable[[Array], Array]) -> NeedLaw:
        """The law of a function of the need."""
        return _law(change(self.gpus), self.share)

    def beyond(self, gpus: float) -> NeedLaw:
        """The law of what is needed beyond so many, 0 where they are enough."""
        return self.mapped(lambda needed: np.maximum(needed - gpus, 0.0))

    def scaled(self, factor: float) -> NeedLaw:
        """Needs times a factor, rounded up to whole GPUs: what is left where the need's own curve is not known."""
        if not 0.0 <= factor < np.inf:
            raise InvalidInput(f"needs cannot be scaled by {factor}")
        return self.mapped(lambda gpus: np.ceil(gpus * factor - _WHOLE))


def mixed(laws: Sequence[NeedLaw], weights: Sequence[float]) -> NeedLaw:
    """One law out of several, each with its weight."""
    parts = [law.share * weight for law, weight in zip(laws, weights, strict=True)]
    return _law(np.concatenate([law.gpus for law in laws]), np.concatenate(parts))


def _law(values: Array, shares: Array) -> NeedLaw:
    if not np.all((values >= 0.0) & (values <= MOST_GPUS)):
        raise InvalidInput(f"GPUs needed must lie between 0 and {MOST_GPUS:,}")
    total = float(shares.sum())
    if not (np.all(shares >= 0.0) and np.isfinite(total)):
        raise InvalidInput("weights of slots must be finite and not negative")
    if total <= 0.0:
        raise InvalidInput(
            "no slot tells how many GPUs were needed", remedy="give a period with history, or a stated demand"
        )
    distinct, which = np.unique(values, return_inverse=True)
    return NeedLaw(gpus=distinct, share=np.bincount(which.ravel(), shares, distinct.size) / total)
