"""The compiled loop: replicas that schedule step by step, as vLLM V1's scheduler does.

Order in a step (vLLM `v1/core/sched/scheduler.py`, v0.8 to v0.11): first the running sequences in the order of their
admission, each a decode token or the next chunk of its prompt; a sequence that finds no free KV block preempts the
youngest running one, which goes back to the head of the queue and recomputes; then, unless something was preempted, the
waiting requests first come, first served, while token budget, sequence slots and KV blocks last. Tokens appear when
the step ends. Requests that arrive during a step wait for the next one.
"""

from __future__ import annotations

import heapq

import numpy as np
from numba import njit

ITL_BINS = 12_000
ITL_BINS_PER_E = 500.0
ITL_FLOOR_S = 1e-7

ROUTE_GIVEN = 0
ROUTE_LEAST_OUTSTANDING = 1


@njit(cache=True, inline="always")
def _step_seconds(form, c, sizes, p, d, k):
    if form == 3:
        tokens = p + d
        if sizes.size > 0 and tokens > 0.0:
            i = np.searchsorted(sizes, tokens - 1e-9)
            if i < sizes.size:
                tokens = sizes[i]
        memory = c[1] + c[2] * k
        compute = c[3] * tokens
        return c[0] + max(memory, compute)
    t = c[0] + c[1] * p + c[2] * d + c[3] * k
    if form == 1:
        t += c[4] * np.sqrt(d)
    elif form == 2:
        t += c[4] * c[5] * (1.0 - (1.0 - c[6] / c[5]) ** (p + d))
    return t


@njit(cache=True, nogil=True)
def run(
    arrival, prompt, cached, output, replica_of, routing, replicas, think, users,
    form, coefficients, sizes, max_seqs, budget_tokens, blocks, block_size, chunked, seed, first, last,
):  # fmt: skip
    """Serve every request to its end.

    `arrival` (n,) seconds, ascending; ignored in a closed loop (`users` > 0), where `think` (n,) holds think times.
    `replica_of` (n,) is read when `routing` is ROUTE_GIVEN. Requests with index in [first, last) count for the gaps.

    Returns admitted, first-token and done times (n,), arrival times (n,), gap histogram (ITL_BINS,), gap sum and
    count, and a vector of totals: preemptions, steps, busy seconds, mean running × seconds, KV blocks × seconds,
    outstanding at the last arrival, horizon seconds.
    """
    np.random.seed(seed)
    n = prompt.size
    when = arrival.copy()
    admitted = np.full(n, -1.0)
    first_token = np.zeros(n)
    done = np.zeros(n)
    last_token = np.zeros(n)
    computed = np.zeros(n, np.int64)
    generated = np.zeros(n, np.int64)
    held = np.zeros(n, np.int64)
    share = np.zeros(n, np.int64)
    following = np.full(n, -1, np.int64)
    owner = np.zeros(n, np.int64)

    head = np.full(replicas, -1, np.int64)
    tail = np.full(replicas, -1, np.int64)
    outstanding = np.zeros(replicas, np.int64)
    running = np.zeros((replicas, max_seqs), np.int64)
    count = np.zeros(replicas, np.int64)
    free = np.full(replicas, blocks, np.int64)
    busy = np.zeros(replicas, np.bool_)
    ends = np.full(replicas, np.inf)
    began = np.zeros(replicas)

    histogram = np.zeros(ITL_BINS, np.int64)
    gap_sum = 0.0
    gap_count = 0
    totals = np.zeros(7)

    closed = users > 0
    pending = [(0.0, 0)]
    pending.pop()
    if closed:
        for user in range(min(users, n)):
            pending.append((think[user], user))
        heapq.heapify(pending)
    issued = min(users, n) if closed else 0
    upcoming = 0
    turn = 0
    finished = 0
    to_start = -1

    while finished < n:
        # The earliest of the next arrival and the ends of the steps under way.
        next_arrival = np.inf
        if closed:
            if len(pending) > 0:
                next_arrival = pending[0][0]
        elif upcoming < n:
            next_arrival = when[upcoming]
        who = 0
        if replicas == 1:
            next_end = ends[0]
        else:
            next_end = np.inf
            for r in range(replicas):
                if ends[r] < next_end:
                    next_end = ends[r]
                    who = r
        if next_arrival <= next_end:
            if closed:
                now, i = heapq.heappop(pending)
                when[i] = now
            else:
                i = upcoming
                now = when[i]
            upcoming += 1
            if routing == ROUTE_LEAST_OUTSTANDING:
                who = turn % replicas
                best = outstanding[who]
                for step in range(1, replicas):
                    r = (turn + step) % replicas
                    if outstanding[r] < best:
                        best = outstanding[r]
                        who = r
                turn += 1 + np.random.randint(replicas)
            else:
                who = replica_of[i]
            owner[i] = who
            outstanding[who] += 1
            if head[who] < 0:
                head[who] = i
            else:
                following[tail[who]] = i
            tail[who] = i
            if upcoming == n:
                totals[5] = upcoming - finished
            if busy[who]:
                continue
            to_start = who
        else:
            now = next_end
            began_at = began[who]
            duration = now - began_at
            kept = 0
            emitted = 0
            for j in range(count[who]):
                i = running[who, j]
                computed[i] += share[i]
                leaves = False
                if share[i] > 0 and computed[i] == prompt[i] + generated[i]:
                    generated[i] += 1
                    if generated[i] == 1:
                        first_token[i] = now
                    elif i >= first and i < last:
                        if last_token[i] == began_at:
                            emitted += 1
                        else:
                            gap = now - last_token[i]
                            gap_sum += gap
                            gap_count += 1
                            b = int(np.log(gap / ITL_FLOOR_S) * ITL_BINS_PER_E)
                            histogram[min(max(b, 0), ITL_BINS - 1)] += 1
                    last_token[i] = now
                    leaves = generated[i] == output[i]
                if leaves:
                    done[i] = now
                    free[who] += held[i]
                    held[i] = 0
                    outstanding[who] -= 1
                    finished += 1
                    if closed and issued < n:
                        heapq.heappush(pending, (now + think[issued], issued))
                        issued += 1
                else:
                    running[who, kept] = i
                    kept += 1
            count[who] = kept
            if emitted > 0:
                gap_sum += emitted * duration
                gap_count += emitted
                b = int(np.log(duration / ITL_FLOOR_S) * ITL_BINS_PER_E)
                histogram[min(max(b, 0), ITL_BINS - 1)] += emitted
            busy[who] = False
            ends[who] = np.inf
            to_start = who

        # Schedule the next step of that replica.
        r = to_start
        if count[r] == 0 and head[r] < 0:
            continue
        budget = budget_tokens
        preempted = False
        p = 0.0
        d = 0.0
        k = 0.0
        j = 0
        while j < count[r]:
            i = running[r, j]
            need = min(prompt[i] + generated[i] - computed[i], budget)
            new_blocks = (computed[i] + need + block_size - 1) // block_size - held[i]
            evicted = False
            while new_blocks > free[r]:
                victim = running[r, count[r] - 1]
                count[r] -= 1
                free[r] += held[victim]
                held[victim] = 0
                computed[victim] = 0
                share[victim] = 0
                following[victim] = head[r]
                if head[r] < 0:
                    tail[r] = victim
                head[r] = victim
                totals[0] += 1
                preempted = True
                if victim == i:
                    evicted = True
                    break
            if evicted:
                break
            held[i] += new_blocks
            free[r] -= new_blocks
            share[i] = need
            budget -= need
            if generated[i] > 0 and computed[i] == prompt[i] + generated[i] - 1:
                if need > 0:
                    d += 1.0
                    k += computed[i] + 1.0
            else:
                p += need
            j += 1
        while not preempted and budget > 0 and head[r] >= 0 and count[r] < max_seqs:
            i = head[r]
            start = cached[i]
            need = prompt[i] + generated[i] - start
            if need > budget:
                if not chunked and budget < budget_tokens:
                    break
                need = budget
            new_blocks = (start + need + block_size - 1) // block_size
            if new_blocks > free[r]:
                break
            head[r] = following[i]
            following[i] = -1
            if head[r] < 0:
                tail[r] = -1
            running[r, count[r]] = i
            count[r] += 1
            computed[i] = start
            held[i] = new_blocks
            free[r] -= new_blocks
            share[i] = need
            budget -= need
            p += need
            if admitted[i] < 0.0:
                admitted[i] = now
        duration = _step_seconds(form, coefficients, sizes, p, d, k)
        busy[r] = True
        began[r] = now
        ends[r] = now + duration
        totals[1] += 1
        totals[2] += duration
        totals[3] += duration * count[r]
        totals[4] += duration * (blocks - free[r])
    totals[6] = done.max() - when.min()
    return when, admitted, first_token, done, histogram, gap_sum, gap_count, totals
