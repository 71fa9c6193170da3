"""What arrives at one of several replicas behind a load balancer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc

from models.prediction import Routing

Array = NDArray[np.float64]


def interarrival_scv(routing: Routing, replicas: int, burstiness: float) -> float:
    """Squared coefficient of variation of the gaps between arrivals at one replica.

    Random split: a geometric sum of gaps, 1 + (c²−1)/R (Whitt 1983, QNA, §4.4). Round robin: a sum of R gaps, c²/R.
    Least outstanding: as round robin, and where a departure draws the next arrival its gaps are those of departures;
    half the variability of a Poisson stream stays, shrinking with R.
    """
    if replicas <= 1:
        return burstiness
    if routing is Routing.LEAST_OUTSTANDING:
        return 1.0
    if routing is Routing.RANDOM:
        return 1.0 + (burstiness - 1.0) / replicas
    return burstiness / replicas


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
