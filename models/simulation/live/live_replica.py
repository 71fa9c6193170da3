"""One replica of a token-making engine, advanced from moment to moment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.engine import Engine
from models.simulation.live import live_loop as loop
from models.simulation.live.observations import Buckets, Histogram
from models.simulation.replicas import _coefficients

_AMPLE_BLOCKS = 2**60
_SLOTS = 1024
MAX_WAITING = 100_000
"""A request that finds so many waiting is refused, as a bounded queue does."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """Tokens of one request; `cached` of the prompt are in the prefix cache."""

    prompt: int
    cached: int
    output: int


class LiveReplica:
    """Serves what it is given. All times are seconds from one origin; latencies include the engine's overhead."""

    def __init__(self, engine: Engine, buckets: Buckets) -> None:
        self.engine = engine
        self.rejected = 0
        self.ttft, self.itl, self.tpot, self.e2e, self.queue, self.prompt_length, self.output_length = (
            Histogram.of(edges)
            for edges in (
                buckets.ttft, buckets.itl, buckets.tpot, buckets.e2e, buckets.queue, buckets.prompt_length,
                buckets.output_length,
            )
        )  # fmt: skip
        limits = engine.limits
        self._blocks = _AMPLE_BLOCKS if limits.kv_cache_tokens is None else int(limits.kv_blocks)
        self._form = _coefficients(engine.step_time)
        self._whole = np.zeros((8, 0), np.int64)
        self._times = np.zeros((4, 0))
        self._running = np.zeros(limits.max_num_seqs, np.int64)
        self._state = np.array([-1, -1, 0, 0, self._blocks, 0, -1], np.int64)
        self._clock = np.array([0.0, np.inf])
        self._totals = np.zeros(6)
        self._first_waits = np.empty(4 * limits.max_num_seqs)
        self._ended = np.empty((4 * limits.max_num_seqs, loop.ENDED_COLUMNS))
        self._coming: list[tuple[float, int, int, int]] = []

    def accept(self, when_s: float, request: Request) -> None:
        """A request that arrives at `when_s`, not before those given already."""
        if self.waiting + len(self._coming) >= MAX_WAITING:
            self.rejected += 1
        else:
            self._coming.append((when_s, request.prompt, request.cached, request.output))

    def advance(self, until_s: float) -> NDArray[np.float64]:
        """Go on until then.

        Requests that ended, one a row: arrival, admission, first token and end in seconds, prompt and output tokens.
        """
        self._make_room(len(self._coming))
        columns = np.array(self._coming, dtype=float).reshape(-1, 4)
        arrival, lengths = np.ascontiguousarray(columns[:, 0]), columns[:, 1:].astype(np.int64)
        self._coming.clear()
        ended, come, reached = [], 0, False
        while not reached:
            come, firsts, ends, reached = self._run(until_s, arrival, lengths, come)
            self.ttft.add(self._first_waits[:firsts] + self.engine.overhead_s)
            ended.append(self._ended[:ends].copy())
        rows = np.concatenate(ended)
        self._count(rows)
        return rows

    def _run(
        self, until_s: float, arrival: NDArray[np.float64], lengths: NDArray[np.int64], come: int
    ) -> tuple[int, int, int, bool]:
        limits = self.engine.limits
        form, coefficients, sizes = self._form
        answer: tuple[int, int, int, bool] = loop.advance(
            until_s, arrival, lengths[:, 0].copy(), lengths[:, 1].copy(), lengths[:, 2].copy(), come, self._whole,
            self._times, self._running, self._state, self._clock, self._totals, self.itl.edges, self.itl.counts,
            self._first_waits, self._ended, form, coefficients, sizes, limits.max_num_seqs,
            limits.max_num_batched_tokens, limits.kv_block_size, limits.chunked_prefill,
        )  # fmt: skip
        self.itl.sum = float(self._totals[loop.GAP_SUM])
        return answer

    def _count(self, ended: NDArray[np.float64]) -> None:
        arrived, admitted, first, end, prompt, output = ended.T
        self.queue.add(admitted - arrived)
        self.e2e.add(end - arrived + self.engine.overhead_s)
        several = output > 1
        self.tpot.add((end - first)[several] / (output[several] - 1))
        self.prompt_length.add(prompt)
        self.output_length.add(output)

    def _make_room(self, more: int) -> None:
        """Slots for all that is inside and comes; the free ones are a list by FOLLOWING."""
        have = self._whole.shape[1]
        wanted = self.waiting + self.running + more
        if wanted <= have:
            return
        size = max(_SLOTS, 2 * have, wanted)
        whole, times = np.zeros((8, size), np.int64), np.zeros((4, size))
        whole[:, :have], times[:, :have] = self._whole, self._times
        whole[loop.FOLLOWING, have:] = np.arange(have + 1, size + 1)
        whole[loop.FOLLOWING, size - 1] = self._state[loop.FREE_SLOT]
        self._state[loop.FREE_SLOT] = have
        self._whole, self._times = whole, times

    @property
    def running(self) -> int:
        """Requests that run."""
        return int(self._state[loop.RUNNING])

    @property
    def waiting(self) -> int:
        """Requests that wait for their admission."""
        return int(self._state[loop.WAITING])

    @property
    def outstanding(self) -> int:
        """Requests inside, those that have been given since it went on included."""
        return self.running + self.waiting + len(self._coming)

    @property
    def kv_usage(self) -> float:
        """Share of KV memory in use; 0 where it is ample."""
        return 1.0 - float(self._state[loop.FREE_BLOCKS]) / self._blocks if self._blocks != _AMPLE_BLOCKS else 0.0

    @property
    def generating(self) -> int:
        """Running requests that have their first token."""
        inside = self._running[: self.running]
        return int(np.count_nonzero(self._whole[loop.GENERATED, inside]))

    @property
    def preemptions(self) -> int:
        """Times that a request lost its place for lack of KV memory."""
        return int(self._totals[loop.PREEMPTIONS])

    @property
    def prompt_tokens(self) -> int:
        """Of prompts that have their first token."""
        return int(self._totals[loop.PROMPT_TOKENS])

    @property
    def output_tokens(self) -> int:
        """Tokens made."""
        return int(self._totals[loop.OUTPUT_TOKENS])

    @property
    def prefix_queries(self) -> int:
        """Prompt tokens looked up in the prefix cache."""
        return int(self._totals[loop.PREFIX_QUERIES])

    @property
    def prefix_hits(self) -> int:
        """Prompt tokens found there."""
        return int(self._totals[loop.PREFIX_HITS])
