"""The compiled loop of several stages at once: batchers, some of which share GPUs, and delays between them.

From event to event. Batches on one GPU run at 1/D of their speed while D different stages have one running there
(processor sharing between models; several instances of one model were measured together). Calls that arrive at the same
moment are all there before an instance looks at its queue.
"""

from __future__ import annotations

import heapq

import numpy as np
from numba import njit

DELAYED, RUNS = 1, 2
NO_TIME = 1e-14
"""Of the clock: less work than it can tell apart is done, or the batch would end at this same moment for ever."""


@njit(cache=True)
def _set_speed(g, now, active, stage_of, remaining, speed, since, version, heap):
    """After a change of what runs on a GPU: its speed, and when the next batch there ends."""
    distinct = 0
    slots = active.shape[1]
    for k in range(slots):
        if active[g, k]:
            seen = False
            for m in range(k):
                if active[g, m] and stage_of[g, m] == stage_of[g, k]:
                    seen = True
            if not seen:
                distinct += 1
    since[g] = now
    version[g] += 1
    if distinct == 0:
        return
    speed[g] = 1.0 / distinct
    least = np.inf
    for k in range(slots):
        if active[g, k] and remaining[g, k] < least:
            least = remaining[g, k]
    heapq.heappush(heap, (now + least / speed[g], RUNS, g, version[g]))


@njit(cache=True, nogil=True)
def run(
    external, visited, after, is_delay, delay, calls, replicas, first_gpu, gpus, slots, means, cvs, full, instances,
    in_turn, seed,
):  # fmt: skip
    """Serve every request to its end.

    `external` (s, n) seconds: when what is outside of these stages lets each begin. `visited` (s, n). `after` (s, s):
    whether the column's stage is one that the row's waits for. `delay` (s, n) seconds of stages that are delays.
    `means`, `cvs` (s, largest + 1) of the gamma time of a batch. A replica r of stage s is on GPU `first_gpu[s] + r` of
    `gpus`, each of which has room for `slots` batches.

    Returns when each stage of each request began and ended (s, n); 0 where it is not visited.
    """
    np.random.seed(seed)
    stages, n = external.shape
    ready = np.zeros((stages, n))
    done = np.zeros((stages, n))
    missing = np.ones((stages, n), np.int64)
    left = np.zeros((stages, n), np.int64)
    nodes = 0
    for s in range(stages):
        for i in range(n):
            if visited[s, i]:
                left[s, i] = calls[s]
                if not is_delay[s]:
                    nodes += calls[s]
                for t in range(stages):
                    if after[s, t] and visited[t, i]:
                        missing[s, i] += 1
    owner = np.zeros(nodes, np.int64)
    following = np.full(nodes, -1, np.int64)
    made = 0
    most = replicas.max()
    head = np.full((stages, most), -1, np.int64)
    tail = np.full((stages, most), -1, np.int64)
    waiting = np.zeros((stages, most), np.int64)
    idle = np.zeros((stages, most), np.int64)
    turn = np.zeros(stages, np.int64)
    for s in range(stages):
        idle[s, :] = instances[s]
    active = np.zeros((gpus, slots), np.bool_)
    stage_of = np.zeros((gpus, slots), np.int64)
    replica_of = np.zeros((gpus, slots), np.int64)
    batch_head = np.zeros((gpus, slots), np.int64)
    batch_size = np.zeros((gpus, slots), np.int64)
    remaining = np.zeros((gpus, slots))
    speed = np.ones(gpus)
    since = np.zeros(gpus)
    version = np.zeros(gpus, np.int64)
    least_s = 1e-12
    heap = [(0.0, 0, 0, 0)]
    heap.pop()
    came = external.ravel()
    order = np.argsort(came)
    upcoming = 0
    todo = [(0, 0)]
    todo.pop()
    dirty = [(0, 0)]
    dirty.pop()
    ended = [(0, 0)]
    ended.pop()
    while True:
        while upcoming < order.size and not visited[order[upcoming] // n, order[upcoming] % n]:
            upcoming += 1
        now = np.inf
        if upcoming < order.size:
            now = came[order[upcoming]]
        if len(heap) > 0 and heap[0][0] < now:
            now = heap[0][0]
        if now == np.inf:
            break
        # All that happens at this moment.
        while upcoming < order.size and came[order[upcoming]] <= now:
            s, i = order[upcoming] // n, order[upcoming] % n
            if visited[s, i]:
                todo.append((s, i))
            upcoming += 1
        while len(heap) > 0 and heap[0][0] <= now:
            _, kind, a, b = heapq.heappop(heap)
            if kind == DELAYED:
                ended.append((a, b))
            elif b == version[a]:
                g = a
                for k in range(slots):
                    if active[g, k]:
                        remaining[g, k] -= (now - since[g]) * speed[g]
                for k in range(slots):
                    if active[g, k] and remaining[g, k] <= least_s + now * NO_TIME:
                        active[g, k] = False
                        s, r = stage_of[g, k], replica_of[g, k]
                        idle[s, r] += 1
                        dirty.append((s, r))
                        node = batch_head[g, k]
                        for _ in range(batch_size[g, k]):
                            i = owner[node]
                            left[s, i] -= 1
                            if left[s, i] == 0:
                                ended.append((s, i))
                            node = following[node]
                _set_speed(g, now, active, stage_of, remaining, speed, since, version, heap)
        while len(ended) > 0 or len(todo) > 0:
            if len(ended) > 0:
                s, i = ended.pop()
                done[s, i] = now
                for t in range(stages):
                    if after[t, s] and visited[t, i]:
                        todo.append((t, i))
                continue
            s, i = todo.pop()
            missing[s, i] -= 1
            if missing[s, i] > 0:
                continue
            ready[s, i] = now
            if is_delay[s]:
                heapq.heappush(heap, (now + delay[s, i], DELAYED, s, i))
                continue
            for _ in range(calls[s]):
                if in_turn[s]:
                    r = turn[s] % replicas[s]
                    turn[s] += 1
                else:
                    r = np.random.randint(replicas[s])
                owner[made] = i
                if head[s, r] < 0:
                    head[s, r] = made
                else:
                    following[tail[s, r]] = made
                tail[s, r] = made
                waiting[s, r] += 1
                made += 1
                dirty.append((s, r))
        while len(dirty) > 0:
            s, r = dirty.pop()
            g = first_gpu[s] + r
            while idle[s, r] > 0 and waiting[s, r] > 0:
                size = min(waiting[s, r], full[s])
                k = 0
                while active[g, k]:
                    k += 1
                for m in range(slots):
                    if active[g, m]:
                        remaining[g, m] -= (now - since[g]) * speed[g]
                active[g, k] = True
                stage_of[g, k] = s
                replica_of[g, k] = r
                batch_head[g, k] = head[s, r]
                batch_size[g, k] = size
                mean = means[s, size]
                cv = cvs[s, size]
                remaining[g, k] = mean if cv == 0.0 else np.random.gamma(1.0 / (cv * cv), mean * cv * cv)
                for _ in range(size):
                    head[s, r] = following[head[s, r]]
                waiting[s, r] -= size
                idle[s, r] -= 1
                _set_speed(g, now, active, stage_of, remaining, speed, since, version, heap)
    return ready, done
