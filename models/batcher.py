"""A server that batches requests whole: Triton's dynamic batcher, as its `config.pbtxt` sets it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidInput
from models.service_time import ServiceTime

Array = NDArray[np.float64]


class DispatchRule(StrEnum):
    """When the next batch is closed, where requests may be held back for a fuller one (a queue delay above 0).

    Without a delay both are the same: an idle instance takes what waits.
    """

    WHEN_IDLE = "when-idle"
    """Textbook: an idle instance looks at the queue; it starts once a preferred size is there or the oldest has waited
    long enough."""
    WHILE_RUNNING = "while-running"
    """The next batch is looked at from the moment that the one before it started, and closes by the same two
    conditions; closed, it waits for an instance and grows no more. So Triton's batcher thread: a payload that waits is
    added to only when something wakes the thread (triton-inference-server/core, dynamic_batch_scheduler.cc)."""


@dataclass(frozen=True, kw_only=True)
class Batcher:
    """One replica: `instances` of the model that take batches from one queue, first come first served."""

    service_time: ServiceTime
    max_batch_size: int
    preferred_batch_sizes: tuple[int, ...] = ()
    """Sizes to wait for and to cut batches to; empty: only the largest."""
    max_queue_delay_s: float = 0.0
    instances: int = 1

    def __post_init__(self) -> None:
        if self.max_batch_size < 1 or self.instances < 1:
            raise InvalidInput("a batcher needs a largest batch and a number of instances of 1 or more")
        if not (math.isfinite(self.max_queue_delay_s) and self.max_queue_delay_s >= 0.0):
            raise InvalidInput(f"a queue delay must be finite and 0 or more, got {self.max_queue_delay_s}")
        wrong = [size for size in self.preferred_batch_sizes if not 1 <= size <= self.max_batch_size]
        if wrong:
            raise InvalidInput(
                f"a preferred batch size of {wrong[0]} with a largest batch of {self.max_batch_size}",
                remedy="preferred sizes lie between 1 and max_batch_size",
            )
        known = self.service_time.batches
        if known[0] > 1 or known[-1] < self.max_batch_size:
            raise InvalidInput(
                f"the time of a batch is known for {known[0]} to {known[-1]} requests, and batches are of 1 to "
                f"{self.max_batch_size}",
                remedy="measure a batch of 1 and one of max_batch_size",
            )

    @property
    def wanted(self) -> tuple[int, ...]:
        """Sizes at which a batch starts at once, ascending: the preferred ones, or the largest."""
        return tuple(sorted(set(self.preferred_batch_sizes))) or (self.max_batch_size,)

    @property
    def means_s(self) -> Array:
        """Mean time of a batch by its size (max_batch_size + 1,); 0 for none."""
        return np.concatenate([[0.0], self.service_time.seconds(np.arange(1, self.max_batch_size + 1))])

    @property
    def cvs(self) -> Array:
        """Coefficient of variation of the time of a batch by its size (max_batch_size + 1,)."""
        known = self.service_time
        return np.asarray(np.interp(np.arange(self.max_batch_size + 1.0), known.batches, known.cvs), dtype=float)

    def taken(self, waiting: int) -> int:
        """Requests of the batch that an instance takes where so many wait and none is held back any longer.

        The largest preferred size among them, or all that fit where fewer than the smallest wait.
        """
        fitting = [size for size in self.wanted if size <= waiting]
        return fitting[-1] if fitting else min(waiting, self.max_batch_size)

    @property
    def full_batch(self) -> int:
        """Requests of a batch where more wait than can be taken.

        With a queue delay all of them have waited that long, and then no preferred size is looked at any more.
        """
        return self.max_batch_size if self.holds_back else self.wanted[-1]

    @property
    def holds_back(self) -> bool:
        """Whether requests may be held back for a fuller batch; one of a single request is always full."""
        return self.max_queue_delay_s > 0.0 and self.max_batch_size > 1

    @property
    def least_s(self) -> float:
        """A time that hardly any batch (1 in 1,000 of the quickest size) is shorter than."""
        from scipy.special import gammaincinv

        means, cvs = self.means_s[1:], self.cvs[1:]
        shape = 1.0 / np.maximum(cvs, 1e-4) ** 2
        return float(np.min(means * np.where(cvs > 1e-4, gammaincinv(shape, 1e-3) / shape, 1.0)))

    @property
    def capacity_per_s(self) -> float:
        """The rate that the instances carry together, always with enough waiting."""
        return self.instances * self.full_batch / float(self.means_s[self.full_batch])
