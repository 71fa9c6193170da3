"""The compiled loop of the dynamic batcher: from dispatch to dispatch, for these follow in the order of arrival.

The rules are those of `models.batcher.DispatchRule`. Tests hold it, request by request, against a second simulator that
goes from event to event (`tests.batching_referee`).
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, inline="always")
def _largest(wanted, waiting):
    size = 0
    for each in wanted:
        if each <= waiting:
            size = each
    return size


@njit(cache=True, inline="always")
def _busy_until(free, when):
    """The instance that is free first gets busy until `when`; `free` is a heap of when each gets idle."""
    at = 0
    while 2 * at + 1 < free.size:
        child = 2 * at + 1
        if child + 1 < free.size and free[child + 1] < free[child]:
            child += 1
        if free[child] >= when:
            break
        free[at] = free[child]
        at = child
    free[at] = when


@njit(cache=True, nogil=True)
def run(arrival, means, cvs, wanted, largest, delay, instances, while_running, seed):
    """Serve every request to its end.

    `arrival` (n,) seconds, ascending. `means`, `cvs` (largest + 1,) of the gamma time of a batch by its size.
    `wanted` ascending sizes at which a batch starts at once. `while_running`: the next batch closes while the one
    before it runs.

    Returns for each request when its batch started and ended, and that batch's size (n,); then the busy seconds of all
    instances.
    """
    np.random.seed(seed)
    n = arrival.size
    started = np.empty(n)
    done = np.empty(n)
    batch = np.empty(n, np.int64)
    free = np.zeros(instances)
    busy = 0.0
    head = 0
    come = 0
    looked = 0.0
    while head < n:
        # From when on the batch may close: an instance is idle, or, while running, the batch before has started.
        open_from = looked if while_running else free[0]
        closes = max(open_from, arrival[head])
        while come < n and arrival[come] <= closes:
            come += 1
        waiting = come - head
        size = _largest(wanted, waiting)
        if delay == 0.0:
            if size == 0:
                size = min(waiting, largest)
        elif closes >= arrival[head] + delay:
            size = min(waiting, largest)
        elif size == 0:
            closes = arrival[head] + delay
            size = wanted[0]
            if head + size - 1 < n and arrival[head + size - 1] <= closes:
                closes = arrival[head + size - 1]
            else:
                while come < n and arrival[come] <= closes:
                    come += 1
                size = come - head
        start = max(closes, free[0])
        mean = means[size]
        cv = cvs[size]
        seconds = mean if cv == 0.0 else np.random.gamma(1.0 / (cv * cv), mean * cv * cv)
        busy += seconds
        _busy_until(free, start + seconds)
        looked = start
        for each in range(head, head + size):
            started[each] = start
            done[each] = start + seconds
            batch[each] = size
        head += size
    return started, done, batch, busy
