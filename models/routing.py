"""What arrives at one of several replicas behind a load balancer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc

from models.prediction import Routing

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ReplicaStream:
    """Arrivals at one of the replicas."""

    gap_scv: float = 1.0
    """Squared coefficient of variation of the gaps between arrivals at this replica."""
    occupancy_scv: float = 1.0
    """The same of the stream that moves the occupancy: under least-outstanding routing that of all replicas."""
    pooled: int = 1
    """Replicas among which the balancer evens out the occupancy."""
    drawn: float = 0.0
    """How far arrivals avoid a busy replica: 0 under random routing, 1 where the balancer always finds an idle one."""


POISSON = ReplicaStream()
"""Arrivals at random."""


def stream_at_one(routing: Routing, replicas: int, burstiness: float, decoding: float) -> ReplicaStream:
    """What of a stream with the squared coefficient of variation `burstiness` arrives at one of the replicas.

    Random split: a geometric sum of gaps, 1 + (c²−1)/R (Whitt 1983, QNA, §4.4). Round robin: a sum of R gaps, c²/R.
    Least outstanding: the replica with a departure draws the next arrival. With many sequences `decoding` its arrivals
    look like their departures, near Poisson; with few, arrivals avoid the busy replicas and come as evenly as in turn.
    The weight 1/(1 + decoding) between the two is an interpolation without a proof.
    """
    if replicas <= 1:
        return ReplicaStream(gap_scv=burstiness, occupancy_scv=burstiness)
    if routing is Routing.RANDOM:
        scv = 1.0 + (burstiness - 1.0) / replicas
        return ReplicaStream(gap_scv=scv, occupancy_scv=scv)
    in_turn = burstiness / replicas
    if routing is Routing.ROUND_ROBIN:
        return ReplicaStream(gap_scv=in_turn, occupancy_scv=in_turn)
    evenly = 1.0 / (1.0 + decoding)
    return ReplicaStream(
        gap_scv=evenly * in_turn + (1.0 - evenly),
        occupancy_scv=in_turn,
        pooled=replicas,
        drawn=1.0 / (1.0 + 0.25 * decoding),
    )


def renewal_counts(scv: float, expected: Array, most: int, *, after_arrival: bool) -> Array:
    """P(N = n), n = 0 … most, of the arrivals in windows with `expected` (g,) arrivals in the mean: (g, most + 1).

    Gaps are gamma with the given squared coefficient of variation. `after_arrival` False: the window starts at any
    time, P(N ≥ n) = λ∫(F_{n−1} − F_n) (Cox 1962, Renewal Theory, §3.2); True: it starts right after an arrival,
    P(N ≥ n) = F_n. The last column holds all that is beyond.
    """
    shape = 1.0 / min(max(scv, 0.02), 50.0)
    n = np.arange(1.0, most + 1.0)
    x = expected[:, None] * shape
    reached = gammainc(n * shape, x)
    if not after_arrival:
        # ∫₀ᵗ P(a, s) ds = t·P(a, t) − a·P(a + 1, t), in units of the scale of the gamma law.
        area = x * reached - n * shape * gammainc(n * shape + 1.0, x)
        area = np.concatenate([x, area], axis=1)
        reached = np.clip((area[:, :-1] - area[:, 1:]) / shape, 0.0, 1.0)
    tail = np.concatenate([np.ones((expected.size, 1)), reached, np.zeros((expected.size, 1))], axis=1)
    tail[:, -1] = 0.0
    return np.asarray(np.maximum(tail[:, :-1] - tail[:, 1:], 0.0), dtype=float)
