"""Simulate slots that sequences hold, sequence by sequence, without the formulas of `models.sequence_slots`."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.errors import InvalidInput
from models.latency_law import LatencyLaw
from models.sequence_slots import Slots
from models.simulation.batching import gaps
from models.workload import OpenArrivals

Array = NDArray[np.float64]

_WARM_UP = 0.1
_COOL_DOWN = 0.02


@dataclass(frozen=True, kw_only=True, eq=False)
class SlotSimulation:
    """What was observed of one replica, warm-up and cool-down left out."""

    queue_s: Array = field(repr=False)
    """Arrival to the slot (n,)."""
    e2e_s: Array = field(repr=False)
    """Arrival to the end (n,)."""
    held: float
    """Mean number of slots that are held."""
    stable: bool

    @property
    def queue(self) -> LatencyLaw:
        """The law of waiting."""
        return LatencyLaw.from_samples(self.queue_s)

    @property
    def e2e(self) -> LatencyLaw:
        """The law of the whole."""
        return LatencyLaw.from_samples(self.e2e_s)


def simulate_slots(slots: Slots, arrivals: OpenArrivals, *, requests: int = 200_000, seed: int = 1) -> SlotSimulation:
    """Serve `requests` sequences at one replica, first come first served. Deterministic for a seed."""
    if not 100 <= requests <= 1_000_000_000:
        raise InvalidInput("a simulation needs 100 to 1e9 sequences")
    rng = np.random.default_rng(seed)
    when = np.cumsum(gaps(arrivals, requests, rng))
    started, done = _run(when, slots.means_s, slots.cvs, slots.count, int(rng.integers(2**31)))
    window = slice(int(requests * _WARM_UP), int(requests * (1.0 - _COOL_DOWN)))
    return SlotSimulation(
        queue_s=(started - when)[window],
        e2e_s=(done - when)[window],
        held=float((done - started).sum() / (done.max() - when[0])),
        stable=arrivals.rate_per_s < slots.capacity_per_s,
    )


@njit(cache=True, nogil=True)
def _run(arrival, means, cvs, count, seed):
    """Start and end of every sequence (n,).

    All held slots go on at one speed, `1 / means[held]`, so a sequence that begins at progress `v` with work `w`
    (gamma, mean 1) ends when progress reaches `v + w`.
    """
    np.random.seed(seed)
    n = arrival.size
    started = np.empty(n)
    done = np.empty(n)
    ends = [(np.inf, -1)]
    held = 0
    head = 0  # next to get a slot
    come = 0  # next to arrive
    now = 0.0
    progress = 0.0
    while head < n or held > 0:
        next_end = now + (ends[0][0] - progress) * means[held] if held > 0 else np.inf
        next_come = arrival[come] if come < n else np.inf
        if next_come < next_end:
            if held > 0:
                progress += (next_come - now) / means[held]
            now = next_come
            come += 1
        else:
            progress = ends[0][0]
            now = next_end
            done[heapq.heappop(ends)[1]] = now
            held -= 1
        while held < count and head < come:
            held += 1
            cv = cvs[held]
            work = 1.0 if cv == 0.0 else np.random.gamma(1.0 / (cv * cv), cv * cv)
            heapq.heappush(ends, (progress + work, head))
            started[head] = now
            head += 1
    return started, done
