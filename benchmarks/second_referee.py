"""A second simulator of continuous batching, to referee predictions beside the step simulator of `models.simulation`.

It shares no code with the first and was written from vLLM V1's scheduling rules alone (of which version: `VERSION` in
`benchmarks.referees`), so that a model which agrees with both is not tuned to the quirks of one. Every sequence of
every step is played out. Time moves from arrival to arrival: before a request is routed, replicas play the steps that
ended before it.

    python -m benchmarks.second_referee --cases 60    how far apart the two simulators and the predictions are
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from benchmarks.request_trace import Floats, Ints, Trace, draw
from models.engine import Engine
from models.errors import InvalidInput
from models.objective import Metric
from models.prediction import Routing
from models.step_time import LinearStepTime
from models.workload import Workload

Compiled = TypeVar("Compiled", bound=Callable[..., object])

NOBODY = -1
AMPLE = 1 << 40
"""Blocks of KV memory where it never runs short."""
GAP_LOWEST_S, GAP_GRAIN, GAP_BINS = 1e-7, 5e-4, 52_000
"""Gaps between tokens are counted in bins 0.05 % wide, from 0.1 µs to a few hours."""
WARM_UP, DRAIN = 0.10, 0.05
"""Shares of the requests left out: the first find the replicas emptier than usual, the last leave them so."""


class World(NamedTuple):
    """The rules, the requests and the replicas as numba likes them: one tuple of numbers and arrays."""

    seqs: int
    budget: int
    block: int
    chunked: bool
    terms: Floats  # seconds of a step: base, per prompt token, per decoding sequence, per KV token read
    # Each request: what it asks, then how far it is.
    prompt: Ints
    output: Ints
    cached: Ints
    counted: NDArray[np.bool_]
    computed: Ints  # tokens whose KV is in memory
    generated: Ints
    room: Ints  # tokens that its KV blocks can hold
    preempted: Ints
    behind: Ints  # who waits behind it: the waiting queue is a linked list
    admitted_s: Floats
    first_s: Floats
    last_s: Floats
    # Each replica: its queues, then its step in progress.
    running: Ints  # (replica, place) → request, in order of admission
    planned: Ints  # (replica, place) → tokens that the step computes for it
    head: Ints
    tail: Ints
    crowd: Ints  # how many are running
    inside: Ints
    free: Ints  # blocks
    end_s: Floats  # infinite where the replica is idle
    gaps: Ints  # counted gaps between tokens, by size


def compiled(function: Compiled) -> Compiled:
    """The function in machine code, with its types kept for the reader."""
    return cast("Compiled", numba.njit(cache=True)(function))


@compiled
def _grow(tokens: int, s: int, r: int, w: World) -> bool:
    """Make room for `tokens` tokens of request `s`, in whole blocks; False (and nothing taken) where they lack."""
    lacking = max(0, -(-(tokens - w.room[s]) // w.block))
    if lacking > w.free[r]:
        return False
    w.free[r] -= lacking
    w.room[s] += lacking * w.block
    return True


@compiled
def _preempt_youngest(r: int, w: World) -> int:
    """The youngest running request loses its KV and waits before all others. It will compute all its tokens anew."""
    w.crowd[r] -= 1
    s = w.running[r, w.crowd[r]]
    w.free[r] += w.room[s] // w.block
    w.room[s] = w.computed[s] = 0
    w.preempted[s] += 1
    w.behind[s] = w.head[r]
    w.head[r] = s
    if w.tail[r] == NOBODY:
        w.tail[r] = s
    return int(s)


@compiled
def _plan_running(r: int, budget: int, w: World) -> int:
    """Tokens for the running, oldest first; the youngest make room where memory lacks. The budget that is left."""
    place = 0
    while place < w.crowd[r]:
        s = w.running[r, place]
        tokens = min(w.prompt[s] + w.generated[s] - w.computed[s], budget)
        while w.computed[s] + tokens > w.room[s] and not _grow(w.computed[s] + tokens, s, r, w):
            if _preempt_youngest(r, w) == s:
                return budget
        w.planned[r, place] = tokens
        budget -= tokens
        place += 1
    return budget


@compiled
def _admit(r: int, now: float, budget: int, w: World) -> None:
    """First come, first served, until the head of the queue finds no slot, no budget or no memory."""
    while w.head[r] != NOBODY and w.crowd[r] < w.seqs and budget > 0:
        s = w.head[r]
        tokens = w.prompt[s] + w.generated[s] - w.cached[s]
        if tokens > budget and not w.chunked and budget < w.budget:
            return
        if w.chunked:
            tokens = min(tokens, budget)
        if not _grow(w.cached[s] + tokens, s, r, w):
            return
        w.head[r] = w.behind[s]
        if w.tail[r] == s:
            w.head[r] = w.tail[r] = NOBODY
        w.computed[s] = w.cached[s]
        if w.preempted[s] == 0:
            w.admitted_s[s] = now
        w.running[r, w.crowd[r]] = s
        w.planned[r, w.crowd[r]] = tokens
        w.crowd[r] += 1
        budget -= tokens


@compiled
def _start(r: int, now: float, w: World) -> None:
    """Plan a step and set when it ends; idle where there is nothing to do."""
    before = w.crowd[r]
    budget = _plan_running(r, w.budget, w)
    if w.crowd[r] == before:  # nobody was preempted
        _admit(r, now, budget, w)
    prefilled, decoding, read = 0, 0, 0
    for place in range(w.crowd[r]):
        s, tokens = w.running[r, place], w.planned[r, place]
        context = w.prompt[s] + w.generated[s]
        if tokens == 1 and w.generated[s] > 0 and context - w.computed[s] == 1:
            decoding += 1
            read += context
        else:
            prefilled += tokens
    seconds = w.terms[0] + w.terms[1] * prefilled + w.terms[2] * decoding + w.terms[3] * read
    w.end_s[r] = now + seconds if w.crowd[r] > 0 else np.inf


@compiled
def _finish(r: int, w: World) -> None:
    """The step's tokens appear; who has all of them leaves; the others close ranks."""
    now, kept = w.end_s[r], 0
    for place in range(w.crowd[r]):
        s = w.running[r, place]
        w.computed[s] += w.planned[r, place]
        if w.computed[s] == w.prompt[s] + w.generated[s]:
            w.generated[s] += 1
            if w.generated[s] == 1:
                w.first_s[s] = now
            elif w.counted[s]:
                w.gaps[_gap_bin(now - w.last_s[s])] += 1
            w.last_s[s] = now
        if w.generated[s] == w.output[s]:
            w.free[r] += w.room[s] // w.block
            w.inside[r] -= 1
        else:
            w.running[r, kept] = s
            kept += 1
    w.crowd[r] = kept


@compiled
def _gap_bin(seconds: float) -> int:
    return min(max(int(math.log(max(seconds, GAP_LOWEST_S) / GAP_LOWEST_S) / GAP_GRAIN), 0), GAP_BINS - 1)


@compiled
def _advance(r: int, until: float, w: World) -> None:
    """Play the steps that end before `until`."""
    while w.end_s[r] < until:
        now = w.end_s[r]
        _finish(r, w)
        _start(r, now, w)


@compiled
def _arrive(s: int, r: int, now: float, w: World) -> None:
    """Request `s` joins the queue of a replica, which starts at once if it is idle."""
    w.inside[r] += 1
    if w.tail[r] == NOBODY:
        w.head[r] = s
    else:
        w.behind[w.tail[r]] = s
    w.tail[r] = s
    if w.end_s[r] == np.inf:
        _start(r, now, w)


@compiled
def _play(arrival_s: Floats, chance: Floats, turns: bool, least: bool, w: World) -> None:
    """Every arrival in turn, then what is left inside."""
    replicas = w.crowd.size
    for s in range(arrival_s.size):
        if least:
            for each in range(replicas):
                _advance(each, arrival_s[s], w)
            fewest = np.flatnonzero(w.inside == w.inside.min())
            r = fewest[min(int(chance[s] * fewest.size), fewest.size - 1)]
        else:
            r = s % replicas if turns else min(int(chance[s] * replicas), replicas - 1)
            _advance(r, arrival_s[s], w)
        _arrive(s, r, arrival_s[s], w)
    for each in range(replicas):
        _advance(each, np.inf, w)


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """Latencies of the counted requests, seconds."""

    ttft: Floats
    e2e: Floats
    tpot: Floats
    queue: Floats
    gaps: Ints
    preemptions_per_request: float

    def quantiles(self, metric: Metric, levels: Sequence[float]) -> list[float]:
        """The least latency that a share `level` of requests (of gaps for `itl`) does not exceed, for each level."""
        if metric == "itl":
            reached = np.cumsum(self.gaps)
            bins = [int(np.searchsorted(reached, level * reached[-1])) for level in levels]
            return [GAP_LOWEST_S * math.exp((index + 0.5) * GAP_GRAIN) for index in bins]
        return [float(value) for value in np.quantile(getattr(self, metric), levels, method="inverted_cdf")]


def referee(
    engine: Engine, workload: Workload, *, replicas: int, routing: Routing, requests: int = 100_000, seed: int = 1
) -> Seen:
    """Simulate a random stream of requests."""
    return replay(engine, draw(workload, requests, seed), replicas=replicas, routing=routing)


def replay(engine: Engine, trace: Trace, *, replicas: int, routing: Routing, all_count: bool = False) -> Seen:
    """Simulate given requests; what is longer than KV memory is cut to it, prompt first. `all_count`: no warm-up."""
    step, limits, size = engine.step_time, engine.limits, trace.arrival_s.size
    if not isinstance(step, LinearStepTime):
        raise InvalidInput("the second referee knows the linear step time only")
    blocks = int(min(limits.kv_blocks, AMPLE))
    room = blocks * limits.kv_block_size
    output = np.minimum(trace.output, room - 1)
    prompt = np.minimum(trace.prompt, room - output)
    place = np.arange(size)
    counted = (place >= WARM_UP * size) & (place < (1.0 - DRAIN) * size) | all_count
    w = World._make(
        [
            *(limits.max_num_seqs, limits.max_num_batched_tokens, limits.kv_block_size, limits.chunked_prefill),
            np.array([step.base_s, step.per_prefill_token_s, step.per_decode_s, step.per_kv_token_s]),
            *(prompt, output, np.minimum(trace.cached, prompt - 1), counted),
            *np.zeros((5, size), dtype=np.int64),
            *np.zeros((3, size)),
            *np.zeros((2, replicas, limits.max_num_seqs), dtype=np.int64),
            *np.full((2, replicas), NOBODY),
            *np.zeros((2, replicas), dtype=np.int64),
            *(np.full(replicas, blocks), np.full(replicas, np.inf), np.zeros(GAP_BINS, dtype=np.int64)),
        ]
    )
    turns, least = routing is Routing.ROUND_ROBIN, routing is Routing.LEAST_OUTSTANDING
    _play(trace.arrival_s, trace.chance, turns, least, w)
    ttft, e2e, gaps = w.first_s - trace.arrival_s, w.last_s - trace.arrival_s, output - 1
    several = counted & (gaps > 0)
    return Seen(
        ttft=ttft[counted],
        e2e=e2e[counted],
        tpot=(e2e - ttft)[several] / gaps[several],
        queue=(w.admitted_s - trace.arrival_s)[counted],
        gaps=w.gaps,
        preemptions_per_request=float(np.mean(w.preempted[counted])),
    )


if __name__ == "__main__":
    from benchmarks.referees import main

    main()
