"""Latency at a batcher, from the queue that its batches find: the argument of an arrival within an interval.

A request that arrives `u` after a batch started, as the p-th that waits, goes with the ⌈p/B⌉-th batch from then (Bailey
1954; Chaudhry and Templeton 1983, §4.3). With one instance that is when the running batch ends, at S − u, and full
batches after. With c instances, all busy, the ends of what runs lie at random within a service time: the k-th of them
at S·Beta(k, c + 1 − k), and so on a whole service time later. How long the request's own batch takes depends on who
joins it: on arrivals during its wait, which are those of a stream that has just had an arrival.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, gammainc, gammaincinv

from models.batcher import Batcher
from models.bulk_queue import BulkQueue
from models.latency_law import LatencyLaw
from models.renewal_counts import Counts
from models.workload import OpenArrivals

Array = NDArray[np.float64]

_MOMENTS, _CELLS = 20, 48
"""Moments of a running batch at which arrivals are counted, and cells of the wait that is left."""
_FINE = 4
"""Bins of the laws in a cell."""
_TIMES, _LONE, _MORE_TIMES, _MORE_LONE = 5, 9, 15, 200
"""Equally likely times that stand for those of a batch, and of one that starts at once; of fine laws."""
_SINGLE, _GROUPS = 12, 12
"""Batches up to this size are told apart; larger ones count in so many groups."""
_RARE = 1e-7
_NEAR = 8
_METRONOME = 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class Waits:
    """Mass of arrivals by batches before their own, cell of the first wait, and place in their own batch."""

    mass: Array
    """(q, cell, place)."""
    cell_s: float
    found_idle: float
    """Mass of arrivals that are served at once."""


def _gamma_points(cv: float, count: int) -> Array:
    """Equally likely values of a gamma law of mean 1 (count,)."""
    if cv < 1e-4:
        return np.ones(1)
    shape = 1.0 / (cv * cv)
    points = gammaincinv(shape, (np.arange(count) + 0.5) / count) / shape
    points = 1.0 + (points - points.mean()) * cv / max(points.std(), 1e-12)
    return np.asarray(np.maximum(points, 1e-6))


def _runs(batcher: Batcher, queue: BulkQueue) -> list[tuple[int, Array]]:
    """What runs and what it left waiting: batch size, and mass by number left and phase."""
    mass, full = queue.waiting, batcher.full_batch
    bounds = [*range(1, min(full, _SINGLE))]
    if full > _SINGLE:
        bounds = [*bounds, *np.unique(np.geomspace(_SINGLE, full, _GROUPS).round().astype(int)).tolist()]
    else:
        bounds = [*bounds, full]
    runs = []
    for low, high in pairwise(bounds):
        part = mass[low:high]
        weight = float(part.sum())
        if weight > 0.0:
            middle = round(float(np.arange(low, high) @ part.sum(axis=1)) / weight)
            runs.append((middle, part.sum(axis=0)[None]))
    return [*runs, (full, mass[full:])]


def waits(batcher: Batcher, arrivals: OpenArrivals, queue: BulkQueue, *, fine: bool = False) -> Waits:
    """Masses of all arrivals, per batch started; `fine` as in `latency_laws`."""
    c, full = batcher.instances, batcher.full_batch
    several = _MORE_TIMES if fine else _TIMES
    spread = _gamma_points(float(batcher.cvs[full]), several)
    longest = float(batcher.means_s[1:].max()) * float(spread.max())
    cell = longest / _CELLS
    step = longest / c / _MOMENTS
    begins: Array = np.asarray(step * np.arange(_MOMENTS), dtype=float)
    ends: Array = np.asarray(cell * np.arange(1, _CELLS + 1), dtype=float)
    middles: Array = np.asarray(begins + 0.5 * step, dtype=float)
    far = queue.waiting.shape[0]
    expected = arrivals.rate_per_s * longest / c
    room = expected + 8.0 * math.sqrt(expected * max(1.0, arrivals.burstiness)) + 20.0
    near = Counts(queue.stream, 1 << math.ceil(math.log2(room + 1)))
    wide = Counts(queue.stream, 1 << math.ceil(math.log2(room + far)))
    rows = math.ceil((far - full + room) / full)
    mass = np.zeros((rows, _CELLS, full))
    for size, left in _runs(batcher, queue):
        counts = near if left.shape[0] == 1 else wide
        flow = counts.flow(left, queue.stream.exit, middles)  # (moments, position)
        flow = np.pad(flow, ((0, 0), (0, max(0, rows * full - flow.shape[1]))))[:, : rows * full]
        flow = flow.reshape(_MOMENTS, rows, full)
        times = float(batcher.means_s[size]) * _gamma_points(float(batcher.cvs[size]), several)
        for k in range(c):
            onto = _first_wait(times, c, k, begins, ends)
            mass[k::c] += np.tensordot(onto, flow[:, k::c], 1).swapaxes(0, 1)
    return Waits(mass=mass, cell_s=cell, found_idle=queue.found_idle)


def _first_wait(times_s: Array, instances: int, earlier: int, begins: Array, ends: Array) -> Array:
    """Mean seconds of each moment, (cell, moment), by the wait then for the end of a batch after `earlier` others.

    A batch of one of `times_s`, equally likely, started at the first moment; cells of waits end at `ends`.
    """
    step, cell, time = begins[1], ends[0], times_s[:, None]
    covered = np.clip(time / instances - begins, 0.0, step)
    if instances == 1:
        until = (time - begins)[:, None]
        low, high = np.maximum(until - covered[:, None], ends[:, None] - cell), np.minimum(until, ends[:, None])
        return np.asarray(np.maximum(high - low, 0.0).mean(axis=0))
    edges = np.clip(np.append(0.0, ends) / time, 0.0, 1.0)
    law = np.diff(betainc(earlier + 1, instances - earlier, edges), axis=1)
    return np.asarray(law.T @ covered / times_s.size)


def latency_laws(
    batcher: Batcher, arrivals: OpenArrivals, seen: Waits, *, fine: bool = False
) -> tuple[LatencyLaw, LatencyLaw]:
    """The laws of waiting and of the whole latency; `fine` has the times of batches stand for themselves more closely.

    Where a network puts the laws right, they are as coarse as those that it was learned from.
    """
    full, mean, cv = batcher.full_batch, batcher.means_s, batcher.cvs
    cycles = np.arange(seen.mass.shape[0]) // batcher.instances
    start = cycles[:, None] * float(mean[full]) + seen.cell_s * np.arange(_CELLS)  # of each cell, (q, cell)
    joined = _joined(arrivals, seen, start + 0.5 * seen.cell_s, full)
    total = float(joined.sum()) + seen.found_idle
    bin_s = seen.cell_s / _FINE
    bins = math.ceil((start.max() + float(mean.max()) * (1.0 + 8.0 * float(cv.max()))) / bin_s) + 2 * _FINE
    several, lone = (_MORE_TIMES, _MORE_LONE) if fine else (_TIMES, _LONE)
    points = several if float(cv.max()) > 0.0 else 1
    own_s, heavy = mean[1 : full + 1], joined.sum(axis=(1, 2)) > _RARE * total
    e2e = np.zeros(bins)
    # Far from the front what a few more batches vary by makes no difference: rows there go together.
    near = np.minimum(cycles, _NEAR) + np.floor(4.0 * np.log2(np.maximum(cycles, _NEAR) / _NEAR))
    together = near if points > 1 else np.zeros(cycles.size)
    for group in np.unique(together[heavy]):
        rows = heavy & (together == group)
        cycle = float(cycles[rows].mean())
        # What full batches before it vary by is counted as if its own batch did.
        noise = np.hypot(cv[1 : full + 1] * own_s, math.sqrt(cycle) * cv[full] * mean[full]) / own_s
        times = own_s[:, None] * np.array([_gamma_points(float(each), points) for each in noise])
        for time in times.T:
            e2e += _histogram(start[rows][:, :, None] + time, joined[rows] / times.shape[1], bin_s, bins)
    alone = float(mean[1]) * _gamma_points(float(cv[1]), lone)
    at_once = np.zeros(bins)
    np.add.at(at_once, np.minimum((alone / bin_s).astype(int), bins - 1), seen.found_idle / alone.size)
    grid = np.asarray(bin_s * np.arange(bins + 1.0), dtype=float)
    waited = _boxed(_histogram(start, joined.sum(axis=2), bin_s, bins))
    queue_cdf = seen.found_idle + np.append(0.0, np.cumsum(waited))
    e2e_cdf = np.append(0.0, np.cumsum(_boxed(e2e) + at_once))
    return _law(grid, queue_cdf / total), _law(grid, e2e_cdf / e2e_cdf[-1])


def _joined(arrivals: OpenArrivals, seen: Waits, wait_s: Array, full: int) -> Array:
    """Mass by batches before, cell of the wait and size of the request's own batch less one (q, cell, full)."""
    shape = 1.0 / max(arrivals.burstiness, _METRONOME)
    behind = np.ones((*wait_s.shape, full + 1))  # P(at least so many arrive in the wait), after an arrival
    behind[:, :, 1:] = gammainc(shape * np.arange(1.0, full + 1.0), shape * arrivals.rate_per_s * wait_s[:, :, None])
    exactly = behind[:, :, :-1] - behind[:, :, 1:]
    joined = np.zeros((*wait_s.shape, full))
    for place in range(1, full + 1):
        at = seen.mass[:, :, place - 1]
        joined[:, :, place - 1 : full - 1] += at[:, :, None] * exactly[:, :, : full - place]
        joined[:, :, full - 1] += at * behind[:, :, full - place]
    return joined


def _histogram(values: Array, mass: Array, bin_s: float, top: int) -> Array:
    where = values.ravel() / bin_s
    low = np.minimum(where.astype(int), top - 2)
    part = np.minimum(where - low, 1.0)
    weight = mass.ravel()
    found = np.bincount(low, weight * (1.0 - part), minlength=top) + np.bincount(low + 1, weight * part, minlength=top)
    return np.asarray(found[:top])


def _boxed(mass: Array) -> Array:
    """Each cell's mass spread evenly over the cell."""
    return np.convolve(mass, np.full(_FINE, 1.0 / _FINE))[: mass.size]


def _law(grid: Array, cdf: Array) -> LatencyLaw:
    cdf = np.minimum(cdf, 1.0)
    mean = float(np.trapezoid(1.0 - cdf, grid))
    shares = np.concatenate([np.linspace(0.0, 0.95, 475, endpoint=False), 1.0 - np.geomspace(0.05, 2e-5, 250)])
    return LatencyLaw(values_s=np.interp(shares, cdf, grid), cdf=shares, mean_s=mean)
