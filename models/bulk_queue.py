"""Bulk service: the queue that a batcher finds when it starts a batch.

An embedded Markov chain (Bailey 1954, On queueing processes with bulk service; Neuts 1967, A general class of bulk
queues with Poisson input; Chaudhry and Templeton 1983, A First Course in Bulk Queues, ch. 4). Its states are the number
waiting when a batch starts, and the phase of the arrivals. Exact for one instance. Of several, while all are busy, one
ends after each c-th part of a service time (Tijms 2003, A First Course in Stochastic Models, §9.6.2, for M/G/c); while
some are idle, each that is busy ends at a steady rate. Beyond a few batches the law is geometric; it is cut there and
continued at the exact rate of its decay.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.batcher import Batcher
from models.renewal_counts import Counts, Phases, phases
from models.workload import OpenArrivals

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class BulkQueue:
    """The stationary chain. Masses are per batch started."""

    waiting: Array
    """Mass by number waiting when a batch starts that makes all instances busy, and phase (n, m); row 0 is empty."""
    lone: float
    """Batches of one that start while another instance is idle still."""
    found_idle: float
    """Arrivals that find an instance idle, these included."""
    stream: Phases

    def mean_batch(self, batcher: Batcher) -> float:
        """Requests over batches."""
        mass = self.waiting.sum(axis=1)
        taken = np.array([batcher.taken(waiting) for waiting in range(mass.size)])
        return max(1.0, float((mass @ taken + self.lone) / (mass.sum() + self.lone)))


def decay_rate(batcher: Batcher, arrivals: OpenArrivals) -> float:
    """η of the tail P(n) ~ ηⁿ: the root of z^B = E z^(arrivals in a part of a service), z = 1/η > 1.

    With `z = 1 / E e^(−δA)` of the gap's law both sides are known in closed form in δ.
    """
    from scipy.optimize import brentq

    size, instances = batcher.full_batch, batcher.instances
    mean, cv = float(batcher.means_s[size]) / instances, float(batcher.cvs[size]) / np.sqrt(instances)
    scv_gap, rate = max(arrivals.burstiness, 1.0 / 6.0), arrivals.rate_per_s

    def log_z(delta: float) -> float:
        return float(np.log1p(delta * scv_gap / rate) / scv_gap)

    def excess(delta: float) -> float:
        served = delta * mean if cv < 1e-4 else -np.log1p(-delta * mean * cv * cv) / (cv * cv)
        return float(served - size * log_z(delta))

    top = 1e3 / mean if cv < 1e-4 else (1.0 - 1e-12) / (mean * cv * cv)
    low = 1e-9 / mean
    while top > 2.0 * low and excess(0.5 * top) > 0.0 and excess(low) >= 0.0:
        top *= 0.5
    return float(np.exp(-log_z(brentq(excess, low, top)))) if excess(low) < 0.0 < excess(top) else 0.0


def bulk_queue(batcher: Batcher, arrivals: OpenArrivals) -> BulkQueue:
    """The chain of a stable batcher without a queue delay."""
    stream = phases(arrivals, float(batcher.means_s[1]))
    eta = decay_rate(batcher, arrivals)
    most = batcher.max_batch_size + 28 + int(16 * max(1.0, arrivals.burstiness))
    moves = _moves(batcher, arrivals, stream, most, eta)
    # π = πP; one of these equations follows from the others and gives way to the total.
    states, m = moves.shape[:2]
    total = np.zeros((states, m))
    total[1 : most + 1] = 1.0
    total[most] += eta / (1.0 - eta)
    system = moves.reshape(states * m, states * m).T - np.eye(states * m)
    system[0] = total.ravel()
    unit = np.zeros(states * m)
    unit[0] = 1.0
    mass = np.maximum(np.linalg.solve(system, unit), 0.0).reshape(states, m)
    service = float(batcher.means_s[1])
    lone = sum(
        float(mass[_idle_row(idle, most)] @ _arrival_first(stream, (batcher.instances - idle) / service))
        for idle in range(2, batcher.instances + 1)
    )
    last = float(mass[0] @ _arrival_first(stream, (batcher.instances - 1) / service))
    beyond = mass[most] * eta ** np.arange(1, 1 + _tail_length(eta))[:, None]
    return BulkQueue(
        waiting=np.vstack([np.zeros((1, m)), mass[1 : most + 1], beyond]),
        lone=lone,
        found_idle=lone + last,
        stream=stream,
    )


def _moves(batcher: Batcher, arrivals: OpenArrivals, stream: Phases, most: int, eta: float) -> Array:
    """Transition probabilities (states, m, states, m).

    State 0: one instance idle. State n from 1 to `most`: n wait, a batch starts and all are busy. After them: two
    instances idle, three …
    """
    m, c, full = stream.start.size, batcher.instances, batcher.full_batch
    expected = arrivals.rate_per_s * float(batcher.means_s.max()) * (1.0 + 8.0 * float(batcher.cvs.max()))
    size = 2 * most + expected + 12.0 * math.sqrt(expected * max(1.0, arrivals.burstiness))
    counts = Counts(stream, 1 << math.ceil(math.log2(size)))
    law = counts.over(batcher.means_s[1:] / c, batcher.cvs[1:] / math.sqrt(c), most + 1).swapaxes(1, 2)
    moves = np.zeros((most + c, m, most + c, m))
    for waiting in range(1, most + 1):
        taken = batcher.taken(waiting)
        left = waiting - taken
        moves[waiting, :, left : most + 1] = law[taken - 1, :, : most + 1 - left]
    for beyond in range(1, full + 1):
        left = most + beyond - full
        moves[most, :, left : most + 1] += eta**beyond * law[full - 1, :, : most + 1 - left]
    for idle in range(1, c + 1):
        ends = (c - idle) / float(batcher.means_s[1])
        here, fewer = _idle_row(idle, most), 1 if idle == 1 else _idle_row(idle - 1, most)
        moves[here, :, fewer] = np.outer(_arrival_first(stream, ends), stream.start)
        if idle < c:
            moves[here, :, _idle_row(idle + 1, most)] = ends * np.linalg.inv(ends * np.eye(m) - stream.within)
    return moves


def _idle_row(idle: int, most: int) -> int:
    return 0 if idle == 1 else most + idle - 1


def _arrival_first(stream: Phases, ends: float) -> Array:
    """Probability by phase that an arrival comes before an event of this rate (m,)."""
    return np.asarray(np.linalg.solve(ends * np.eye(stream.start.size) - stream.within, stream.exit))


def _tail_length(eta: float) -> int:
    return 0 if eta <= 0.0 else min(_LONGEST_TAIL, math.ceil(math.log(_NEGLIGIBLE) / math.log(eta)))


_NEGLIGIBLE = 1e-6
_LONGEST_TAIL = 8_000
