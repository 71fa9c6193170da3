"""Dynamic batchers that share one GPU, batch by batch: an independent simulation of how its time may be divided.

Plain Python, nothing shared with the models. Every batcher has one instance: an idle one takes what waits, at most its
largest batch, and then has so many seconds of work to get from the GPU. Three ways to divide the GPU among those that
have work:

- `shares`: each gets its granted share, and of what idle ones leave in proportion (generalised processor sharing);
- `equal turns`: each gets as much as any other (plain time slicing);
- `one at a time`: batches run to their end in the order in which they began to wait (kernels of one queue).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
DISCIPLINES = ("shares", "equal turns", "one at a time")
_WARM_UP = 0.05


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """A batcher on the GPU."""

    rate_per_s: float
    means_s: Array
    """Time of a batch with the GPU alone, by its size (largest + 1,)."""
    share: float


def simulate(neighbours: list[Neighbour], *, discipline: str, requests: int, seed: int) -> list[Array]:
    """Latencies of every neighbour's requests, seconds; the slowest stream has `requests` of them at least."""
    rng = np.random.default_rng(seed)
    horizon = requests / min(each.rate_per_s for each in neighbours)
    arrivals = [_poisson(each.rate_per_s, horizon, rng) for each in neighbours]
    latencies = _run(neighbours, arrivals, discipline)
    return [each[int(_WARM_UP * each.size) :] for each in latencies]


def _poisson(rate_per_s: float, horizon_s: float, rng: np.random.Generator) -> Array:
    gaps = rng.exponential(1.0 / rate_per_s, int(rate_per_s * horizon_s * 1.1 + 100))
    times = np.cumsum(gaps)
    return times[times < horizon_s]


def _run(neighbours: list[Neighbour], arrivals: list[Array], discipline: str) -> list[Array]:
    count = len(neighbours)
    come = [list(map(float, each)) for each in arrivals]
    done: list[list[float]] = [[] for _ in neighbours]
    head, work, size, since = [0] * count, [0.0] * count, [0] * count, [0.0] * count
    means = [list(map(float, each.means_s)) for each in neighbours]
    now = 0.0
    while True:
        for i in range(count):
            if work[i] <= 0.0 and head[i] < len(come[i]) and come[i][head[i]] <= now:
                waiting = head[i]
                while waiting < len(come[i]) and come[i][waiting] <= now and waiting - head[i] < len(means[i]) - 1:
                    waiting += 1
                size[i] = waiting - head[i]
                work[i], since[i] = means[i][size[i]], now
        speeds = _speeds(neighbours, work, since, discipline)
        step, who = _next(come, head, work, speeds, now)
        if step == float("inf"):
            return [np.array(done[i]) - arrivals[i][: len(done[i])] for i in range(count)]
        now += step
        for i in range(count):
            if work[i] > 0.0:
                work[i] -= speeds[i] * step
        if who >= 0:
            work[who] = 0.0
            done[who] += [now] * size[who]
            head[who] += size[who]


def _speeds(neighbours: list[Neighbour], work: list[float], since: list[float], discipline: str) -> list[float]:
    busy = [i for i, left in enumerate(work) if left > 0.0]
    speeds = [0.0] * len(work)
    if not busy:
        return speeds
    if discipline == "one at a time":
        speeds[min(busy, key=lambda i: since[i])] = 1.0
        return speeds
    weights = [neighbours[i].share if discipline == "shares" else 1.0 for i in busy]
    for i, weight in zip(busy, weights, strict=True):
        speeds[i] = weight / sum(weights)
    return speeds


def _next(
    come: list[list[float]], head: list[int], work: list[float], speeds: list[float], now: float
) -> tuple[float, int]:
    """Seconds to the next event, and whose batch ends then; -1 for an arrival at an idle batcher."""
    step, who = float("inf"), -1
    for i, left in enumerate(work):
        if left > 0.0:
            if speeds[i] > 0.0 and left / speeds[i] < step:
                step, who = left / speeds[i], i
        elif head[i] < len(come[i]) and come[i][head[i]] - now < step:
            step, who = come[i][head[i]] - now, -1
    return max(step, 0.0), who
