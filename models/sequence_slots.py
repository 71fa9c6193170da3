"""Sequences and streams that hold a place: Triton's sequence batching, and decoupled models that stream.

A sequence of requests holds its slot from its first request to its last, so that no other can start in it; a streamed
answer holds its request's place until its last response. Waiting is for a slot, not for a batch: a queue GI/G/c with as
many servers as slots and the time that one is held as service. Approximate: Erlang's C for who waits, and an
exponential wait of those with the mean of Allen and Cunneen (Allen 1990, §5.2.6; Whitt 1993, Approximations for the
GI/G/m queue, §3): exact for Poisson arrivals and exponential times, else within about a tenth of simulated percentiles,
most often below.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidInput
from models.latency_law import LatencyLaw
from models.workload import OpenArrivals

Array = NDArray[np.float64]

_SHARES = np.concatenate([np.linspace(0.0005, 0.9495, 950), 1.0 - np.geomspace(0.05, 2e-5, 200)])
_TIMES = 40


class SlotStrategy(StrEnum):
    """How Triton's sequence batcher gives out slots (`sequence_batching` in `config.pbtxt`)."""

    DIRECT = "direct"
    """A sequence has a batch slot of an instance to itself: `max_batch_size` an instance (1 where that is 0)."""
    OLDEST = "oldest"
    """Up to `max_candidate_sequences` sequences of an instance are in work; batches are made among them."""


@dataclass(frozen=True, kw_only=True)
class Slots:
    """Places of one replica, and how long one is held: mean in seconds and coefficient of variation (gamma)."""

    count: int
    held_s: float
    held_cv: float = 0.0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InvalidInput("a replica needs at least one slot", remedy="give one instance and a batch of 1 or more")
        if not (math.isfinite(self.held_s) and self.held_s > 0.0 and 0.0 <= self.held_cv <= 100.0):
            raise InvalidInput("the time that a slot is held must be above 0, its coefficient of variation 0 to 100")

    @property
    def capacity_per_s(self) -> float:
        """Sequences (or streams) a second that the slots carry."""
        return self.count / self.held_s


@dataclass(frozen=True, kw_only=True, eq=False)
class SlotPrediction:
    """Of one replica; without a steady state `stable` is False and there are no laws."""

    stable: bool
    load: float
    """Mean share of the slots that are held, where that is below 1."""
    queue: LatencyLaw | None
    """Arrival of a sequence to its slot."""
    e2e: LatencyLaw | None
    """Arrival of a sequence to its end."""


def sequence_slots(strategy: SlotStrategy, *, instances: int, max_batch_size: int, candidates: int = 1) -> int:
    """Slots of a replica with sequence batching; `candidates` is `max_candidate_sequences` of `oldest`."""
    return instances * (candidates if strategy is SlotStrategy.OLDEST else max(1, max_batch_size))


def stream_slots(*, instances: int, max_batch_size: int) -> int:
    """Places for streamed answers of a decoupled model: each request of a running batch holds its own."""
    return instances * max(1, max_batch_size)


def erlang_c(servers: int, offered: float) -> float:
    """Share of arrivals that wait in M/M/c at `offered` erlangs, below `servers` (Erlang 1917; by B's recursion)."""
    blocked = 1.0
    for server in range(1, servers + 1):
        blocked = offered * blocked / (server + offered * blocked)
    return blocked / (1.0 - offered / servers * (1.0 - blocked))


def predict_slots(slots: Slots, arrivals: OpenArrivals) -> SlotPrediction:
    """What slots do under a load of sequences, or of streams."""
    load = arrivals.rate_per_s / slots.capacity_per_s
    if load >= 1.0:
        return SlotPrediction(stable=False, load=load, queue=None, e2e=None)
    waits = erlang_c(slots.count, load * slots.count)
    variability = 0.5 * (arrivals.burstiness + slots.held_cv**2)
    mean_s = variability * slots.held_s / (slots.count * (1.0 - load))  # of those that wait
    beyond = np.clip((1.0 - _SHARES) / waits, 1e-300, 1.0)
    values = -mean_s * np.log(beyond)
    queue = LatencyLaw(values_s=values, cdf=_SHARES, mean_s=waits * mean_s)
    mass = np.diff(_SHARES, prepend=0.0)
    held = _held(slots)
    e2e = LatencyLaw.from_atoms(values[:, None] + held, np.broadcast_to(mass[:, None], (mass.size, held.size)))
    return SlotPrediction(stable=True, load=load, queue=queue, e2e=e2e)


def _held(slots: Slots) -> Array:
    """Equally likely times that a slot is held."""
    if slots.held_cv < 1e-4:
        return np.array([slots.held_s])
    from scipy.special import gammaincinv

    shape = slots.held_cv**-2
    times = gammaincinv(shape, (np.arange(_TIMES) + 0.5) / _TIMES)
    return np.asarray(times * slots.held_s / times.mean())
