"""What was observed so far, counted into buckets: all that a replica needs to keep of the requests that are gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(kw_only=True, eq=False)
class Histogram:
    """Observations by bucket: bucket `i` counts those in (edges[i − 1], edges[i]], the last those above all edges."""

    edges: NDArray[np.float64]
    counts: NDArray[np.int64] = field(init=False)
    sum: float = 0.0

    def __post_init__(self) -> None:
        self.counts = np.zeros(self.edges.size + 1, dtype=np.int64)

    @classmethod
    def of(cls, edges: Sequence[float]) -> Histogram:
        """An empty one with these upper bounds, ascending."""
        return cls(edges=np.asarray(edges, dtype=float))

    def add(self, values: ArrayLike) -> None:
        """Count them."""
        seen = np.asarray(values, dtype=float)
        np.add.at(self.counts, np.searchsorted(self.edges, seen, side="left"), 1)
        self.sum += float(seen.sum())

    @property
    def count(self) -> int:
        """All observations."""
        return int(self.counts.sum())


@dataclass(frozen=True, kw_only=True)
class Buckets:
    """Upper bounds of the buckets of each histogram, seconds and tokens."""

    ttft: Sequence[float]
    itl: Sequence[float]
    tpot: Sequence[float]
    e2e: Sequence[float]
    queue: Sequence[float]
    prompt_length: Sequence[float]
    output_length: Sequence[float]
