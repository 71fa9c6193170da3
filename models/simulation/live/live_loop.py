"""The compiled loop of one replica that goes on: the rules and the order of `models.simulation.step_loop`.

What is between two calls lies in arrays that the caller keeps. A request has a slot from its arrival to its end.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from models.simulation.step_loop import _step_seconds

# Rows of `whole` (whole numbers of a slot) and of `times` (seconds of a slot).
PROMPT, CACHED, OUTPUT, COMPUTED, GENERATED, HELD, SHARE, FOLLOWING = range(8)
ARRIVED, ADMITTED, FIRST, LAST = range(4)
# Entries of `state`, of `clock`, of `totals`, and columns of `ended`.
HEAD, TAIL, WAITING, RUNNING, FREE_BLOCKS, BUSY, FREE_SLOT = range(7)
BEGAN, ENDS = range(2)
PREEMPTIONS, PROMPT_TOKENS, OUTPUT_TOKENS, PREFIX_QUERIES, PREFIX_HITS, GAP_SUM = range(6)
ENDED_COLUMNS = 6
"""Arrival, admission, first token, end (seconds), prompt, output (tokens)."""


@njit(cache=True, nogil=True)
def advance(
    until, arrival, prompt, cached, output, come, whole, times, running, state, clock, totals, gap_edges, gap_counts,
    first_waits, ended, form, coefficients, sizes, max_seqs, budget_tokens, block_size, chunked,
):  # fmt: skip
    """Go on until the time `until`, or until `first_waits` or `ended` is full.

    `arrival` (n,) seconds, ascending, of requests from index `come` on. Returns how far they have come, how many first
    tokens (their waits in `first_waits`) and ends (rows of `ended`) there were, and whether `until` is reached.
    """
    n_first = 0
    n_ended = 0
    while True:
        next_arrival = arrival[come] if come < arrival.size else np.inf
        next_end = clock[ENDS]
        if min(next_arrival, next_end) > until:
            return come, n_first, n_ended, True
        if n_first + max_seqs > first_waits.size or n_ended + max_seqs > ended.shape[0]:
            return come, n_first, n_ended, False
        if next_arrival <= next_end:
            now = next_arrival
            i = state[FREE_SLOT]
            state[FREE_SLOT] = whole[FOLLOWING, i]
            whole[:, i] = 0
            whole[PROMPT, i] = prompt[come]
            whole[CACHED, i] = cached[come]
            whole[OUTPUT, i] = output[come]
            whole[FOLLOWING, i] = -1
            times[:, i] = -1.0
            times[ARRIVED, i] = now
            come += 1
            if state[HEAD] < 0:
                state[HEAD] = i
            else:
                whole[FOLLOWING, state[TAIL]] = i
            state[TAIL] = i
            state[WAITING] += 1
            if state[BUSY]:
                continue
        else:
            now = next_end
            kept = 0
            for j in range(state[RUNNING]):
                i = running[j]
                whole[COMPUTED, i] += whole[SHARE, i]
                leaves = False
                if whole[SHARE, i] > 0 and whole[COMPUTED, i] == whole[PROMPT, i] + whole[GENERATED, i]:
                    whole[GENERATED, i] += 1
                    totals[OUTPUT_TOKENS] += 1.0
                    if whole[GENERATED, i] == 1:
                        times[FIRST, i] = now
                        first_waits[n_first] = now - times[ARRIVED, i]
                        n_first += 1
                        totals[PROMPT_TOKENS] += whole[PROMPT, i]
                    else:
                        gap = now - times[LAST, i]
                        gap_counts[np.searchsorted(gap_edges, gap)] += 1
                        totals[GAP_SUM] += gap
                    times[LAST, i] = now
                    leaves = whole[GENERATED, i] == whole[OUTPUT, i]
                if leaves:
                    ended[n_ended, 0] = times[ARRIVED, i]
                    ended[n_ended, 1] = times[ADMITTED, i]
                    ended[n_ended, 2] = times[FIRST, i]
                    ended[n_ended, 3] = now
                    ended[n_ended, 4] = whole[PROMPT, i]
                    ended[n_ended, 5] = whole[OUTPUT, i]
                    n_ended += 1
                    state[FREE_BLOCKS] += whole[HELD, i]
                    whole[FOLLOWING, i] = state[FREE_SLOT]
                    state[FREE_SLOT] = i
                else:
                    running[kept] = i
                    kept += 1
            state[RUNNING] = kept
            state[BUSY] = 0
            clock[ENDS] = np.inf

        if state[RUNNING] == 0 and state[HEAD] < 0:
            continue
        budget = budget_tokens
        preempted = False
        p = 0.0
        d = 0.0
        k = 0.0
        j = 0
        while j < state[RUNNING]:
            i = running[j]
            need = min(whole[PROMPT, i] + whole[GENERATED, i] - whole[COMPUTED, i], budget)
            new_blocks = (whole[COMPUTED, i] + need + block_size - 1) // block_size - whole[HELD, i]
            evicted = False
            while new_blocks > state[FREE_BLOCKS]:
                victim = running[state[RUNNING] - 1]
                state[RUNNING] -= 1
                state[FREE_BLOCKS] += whole[HELD, victim]
                whole[HELD, victim] = 0
                whole[COMPUTED, victim] = 0
                whole[SHARE, victim] = 0
                whole[FOLLOWING, victim] = state[HEAD]
                if state[HEAD] < 0:
                    state[TAIL] = victim
                state[HEAD] = victim
                state[WAITING] += 1
                totals[PREEMPTIONS] += 1.0
                preempted = True
                if victim == i:
                    evicted = True
                    break
            if evicted:
                break
            whole[HELD, i] += new_blocks
            state[FREE_BLOCKS] -= new_blocks
            whole[SHARE, i] = need
            budget -= need
            if whole[GENERATED, i] > 0 and whole[COMPUTED, i] == whole[PROMPT, i] + whole[GENERATED, i] - 1:
                if need > 0:
                    d += 1.0
                    k += whole[COMPUTED, i] + 1.0
            else:
                p += need
            j += 1
        while not preempted and budget > 0 and state[HEAD] >= 0 and state[RUNNING] < max_seqs:
            i = state[HEAD]
            start = whole[CACHED, i]
            need = whole[PROMPT, i] + whole[GENERATED, i] - start
            if need > budget:
                if not chunked and budget < budget_tokens:
                    break
                need = budget
            new_blocks = (start + need + block_size - 1) // block_size
            if new_blocks > state[FREE_BLOCKS]:
                break
            state[HEAD] = whole[FOLLOWING, i]
            whole[FOLLOWING, i] = -1
            if state[HEAD] < 0:
                state[TAIL] = -1
            state[WAITING] -= 1
            running[state[RUNNING]] = i
            state[RUNNING] += 1
            whole[COMPUTED, i] = start
            whole[HELD, i] = new_blocks
            state[FREE_BLOCKS] -= new_blocks
            whole[SHARE, i] = need
            budget -= need
            p += need
            if times[ADMITTED, i] < 0.0:
                times[ADMITTED, i] = now
                totals[PREFIX_QUERIES] += whole[PROMPT, i]
                totals[PREFIX_HITS] += whole[CACHED, i]
        state[BUSY] = 1
        clock[BEGAN] = now
        clock[ENDS] = now + _step_seconds(form, coefficients, sizes, p, d, k)
