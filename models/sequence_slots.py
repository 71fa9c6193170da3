"""Sequences and streams that hold a place: Triton's sequence batching, and decoupled models that stream.

A sequence of requests holds its slot from its first request to its last, so that no other can start in it; a streamed
answer holds its request's place until its last response. Waiting is for a slot, not for a batch. The more slots are
held, the longer each may be, as all share the GPU: a birth–death chain on the sequences present, with deaths at
`k/T(k)` while `k` of `c` slots are held (Kleinrock 1975, Queueing Systems I, §3.2). Exact for Poisson arrivals and
exponential times. For others the wait of those that wait stays exponential, with its mean times half the sum of both
squared coefficients of variation (Allen–Cunneen; Allen 1990, §5.2.6; Whitt 1993, Approximations for the GI/G/m queue,
§3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidInput
from models.latency_law import LatencyLaw
from models.service_time import ServiceTime
from models.workload import OpenArrivals

Array = NDArray[np.float64]

_SHARES = np.concatenate([np.linspace(0.005, 0.945, 189), 1.0 - np.geomspace(0.05, 2e-5, 120)])
_EDGES = np.concatenate([np.linspace(0.0, 0.88, 23), 1.0 - np.geomspace(0.1, 5e-4, 24), [1.0]])
"""Of shares of sequences by the time that they hold a slot."""
NEARLY_FULL = 0.999
"""Beyond this load no steady state is told apart from growth without end."""


class SlotStrategy(StrEnum):
    """How Triton gives out places that are held (`sequence_batching`, `model_transaction_policy` in `config.pbtxt`)."""

    DIRECT = "direct"
    """A sequence has a batch slot of an instance to itself: `max_batch_size` an instance (1 where that is 0)."""
    OLDEST = "oldest"
    """Up to `max_candidate_sequences` sequences of an instance are in work; batches are made among them."""
    STREAM = "stream"
    """Decoupled: a request holds its place in a running batch until its last response."""

    def slots(self, *, instances: int, max_batch_size: int, candidates: int = 1) -> int:
        """Places of a replica; `candidates` is `max_candidate_sequences` of `oldest`."""
        return instances * (candidates if self is SlotStrategy.OLDEST else max(1, max_batch_size))


@dataclass(frozen=True, kw_only=True)
class Slots:
    """Places of one replica, and how long one is held by how many are (gamma)."""

    count: int
    held: ServiceTime
    """Seconds by slots held at the replica; known at one number alone, it is the same at all."""

    def __post_init__(self) -> None:
        if not 1 <= self.count <= 1_000_000:
            raise InvalidInput(f"a replica has 1 to 1,000,000 slots, got {self.count}")
        known = self.held.batches
        if len(known) > 1 and (known[0] > 1 or known[-1] < self.count):
            raise InvalidInput(
                f"the time that a slot is held is known for {known[0]} to {known[-1]} held, and there are {self.count}",
                remedy="measure it with one sequence and with every slot held",
            )

    @property
    def means_s(self) -> Array:
        """Mean time by slots held (count + 1,); 0 for none."""
        return np.concatenate([[0.0], self._read(self.held.means_s)[1:]])

    @property
    def cvs(self) -> Array:
        """Coefficient of variation of the time by slots held (count + 1,)."""
        return self._read(self.held.cvs)

    def _read(self, known: tuple[float, ...]) -> Array:
        return np.asarray(np.interp(np.arange(self.count + 1.0), self.held.batches, known), dtype=float)

    @property
    def capacity_per_s(self) -> float:
        """Sequences (or streams) a second that end while every slot is held."""
        return self.count / float(self.means_s[-1])


@dataclass(frozen=True, kw_only=True, eq=False)
class SlotPrediction:
    """Of one replica; without a steady state `stable` is False and there are no laws."""

    stable: bool
    load: float
    """Arrival rate over capacity."""
    held: float
    """Mean number of slots that are held."""
    queue: LatencyLaw | None
    """Arrival of a sequence to its slot."""
    e2e: LatencyLaw | None
    """Arrival of a sequence to its end."""


def predict_slots(slots: Slots, arrivals: OpenArrivals) -> SlotPrediction:
    """What slots do under a load of sequences, or of streams."""
    load = arrivals.rate_per_s / slots.capacity_per_s
    if load >= NEARLY_FULL:
        return SlotPrediction(stable=False, load=load, held=float(slots.count), queue=None, e2e=None)
    found = _occupancy(slots, arrivals.rate_per_s, load)
    waits = float(found[-1])
    counts = np.arange(slots.count + 1.0)
    held = float(found @ counts)
    cv = float(np.interp(held, counts, slots.cvs))
    variability = 0.5 * (arrivals.burstiness + cv**2)
    wait_s = variability / (slots.capacity_per_s * (1.0 - load))  # mean of those that wait
    late = -wait_s * np.log1p(-_SHARES)  # of those that wait
    mass = np.diff(_SHARES, prepend=0.0)
    beyond = LatencyLaw.from_atoms(np.concatenate([[0.0], late]), np.concatenate([[1.0 - waits], waits * mass]))
    queue = replace(beyond, mean_s=waits * wait_s)
    times = _times(slots, found, held / arrivals.rate_per_s)  # Little's law
    spread, weight = _spread(cv)
    at_once = times[1:, None] * spread
    waited = late[None, :] + times[-1] * spread[:, None]
    values = np.concatenate([at_once.ravel(), waited.ravel()])
    weights = np.concatenate(
        [
            (found[:-1, None] * weight).ravel(),
            np.broadcast_to(waits * mass / mass.sum() * weight[:, None], waited.shape).ravel(),
        ]
    )
    return SlotPrediction(stable=True, load=load, held=held, queue=queue, e2e=LatencyLaw.from_atoms(values, weights))


def _occupancy(slots: Slots, rate_per_s: float, load: float) -> Array:
    """Shares of time, and of Poisson arrivals, with 0 to all slots held (count + 1,), of the chain."""
    counts = np.arange(1, slots.count + 1)
    log_mass = np.concatenate([[0.0], np.cumsum(np.log(rate_per_s * slots.means_s[1:] / counts))])
    mass = np.exp(log_mass - log_mass.max())
    mass[-1] /= 1.0 - load  # and one, two … waiting: geometric
    return np.asarray(mass / mass.sum())


def _times(slots: Slots, occupancy: Array, mean_s: float) -> Array:
    """Mean time held by what an arrival makes the number held (count + 1,); over all arrivals `mean_s`.

    The number held changes while a slot is held. Near its mean it forgets at about the rate at which slots are given
    back, and of such a process a mean over that time keeps 2/e of the variance (Taylor 1922, eq. 18).
    """
    means_s = slots.means_s
    seen = np.concatenate([means_s[1:], means_s[-1:]])
    plain = float(occupancy @ seen)
    kept = mean_s + math.sqrt(2.0 / math.e) * (means_s - plain) * mean_s / plain
    return np.asarray(np.maximum(kept, means_s[1:].min()))


def _spread(cv: float) -> tuple[Array, Array]:
    """Multiples of the mean time that a slot is held, and their shares: gamma."""
    if cv < 1e-4:
        return np.array([1.0]), np.array([1.0])
    from scipy.special import gammaincinv

    times = gammaincinv(cv**-2, 0.5 * (_EDGES[1:] + _EDGES[:-1]))
    weights = np.diff(_EDGES)
    return np.asarray(times / (times @ weights)), weights
