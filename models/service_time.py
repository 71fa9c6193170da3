"""Time of an executed batch by its size, of a server that batches requests whole (Triton's dynamic batcher)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.errors import InvalidInput


@dataclass(frozen=True, kw_only=True)
class ServiceTime:
    """Seconds that an instance is busy with a batch, known at some sizes."""

    batches: tuple[int, ...]
    """Sizes, ascending."""
    means_s: tuple[float, ...]
    cvs: tuple[float, ...]
    """Coefficient of variation at each size."""

    def __post_init__(self) -> None:
        sizes = self.batches
        if not sizes or len({len(sizes), len(self.means_s), len(self.cvs)}) != 1:
            raise InvalidInput(
                f"a service time at {len(sizes)} batch sizes", remedy="give at least one, each with a mean"
            )
        if sizes[0] < 1 or list(sizes) != sorted(set(sizes)):
            raise InvalidInput("batch sizes of a service time must ascend from 1 or more, each once")
        if not all(math.isfinite(mean) and mean > 0.0 for mean in self.means_s):
            raise InvalidInput("a service time must be finite and above 0")

    def seconds(self, batch: ArrayLike) -> NDArray[np.float64]:
        """Mean time of batches, by straight lines between the sizes. Raises outside of them."""
        sizes = np.asarray(batch, dtype=float)
        if np.any(sizes < self.batches[0]) or np.any(sizes > self.batches[-1]):
            raise InvalidInput(f"service times are known for batches of {self.batches[0]} to {self.batches[-1]}")
        return np.asarray(np.interp(sizes, self.batches, self.means_s), dtype=float)
