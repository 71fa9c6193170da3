"""One replica of a dynamic batcher, advanced from moment to moment: the rules of `models.simulation.batch_loop`."""

from __future__ import annotations

import heapq
from bisect import bisect_right

import numpy as np

from models.batcher import Batcher, DispatchRule
from models.simulation.live.live_replica import MAX_WAITING

_TRIM = 4096


class LiveBatcher:
    """Serves what it is given. All times are seconds from one origin; sums are over the requests that ended."""

    def __init__(
        self, batcher: Batcher, seed: int | np.random.Generator, rule: DispatchRule = DispatchRule.WHILE_RUNNING
    ) -> None:
        self.batcher = batcher
        self.succeeded = self.rejected = self.executions = 0
        self.queue_sum_s = self.service_sum_s = 0.0
        self._rng = np.random.default_rng(seed)
        self._while_running = rule is DispatchRule.WHILE_RUNNING and batcher.max_queue_delay_s > 0.0
        self._means, self._cvs, self._wanted = batcher.means_s.tolist(), batcher.cvs.tolist(), batcher.wanted
        self._free = [0.0] * batcher.instances
        self._looked = self._now = 0.0
        self._arrivals: list[float] = []
        self._head = 0
        self._under_way: list[tuple[float, float, list[float]]] = []
        """End, start and arrivals of each batch that has not ended."""

    def accept(self, when_s: float) -> None:
        """A request that arrives at `when_s`, not before those given already."""
        if len(self._arrivals) - self._head >= MAX_WAITING:
            self.rejected += 1
        else:
            self._arrivals.append(when_s)

    def advance(self, until_s: float) -> list[tuple[float, float, float]]:
        """Go on until then. Requests that ended: arrival, start and end of their batch, seconds."""
        while (batch := self._next_batch(until_s)) is not None:
            self._start(*batch)
        self._now = until_s
        ended = []
        while self._under_way and self._under_way[0][0] <= until_s:
            end, start, arrivals = heapq.heappop(self._under_way)
            self.executions += 1
            self.succeeded += len(arrivals)
            self.queue_sum_s += sum(start - arrival for arrival in arrivals)
            self.service_sum_s += (end - start) * len(arrivals)
            ended += [(arrival, start, end) for arrival in arrivals]
        return ended

    @property
    def waiting(self) -> int:
        """Requests whose batch has not started."""
        closed = sum(len(arrivals) for _, start, arrivals in self._under_way if start > self._now)
        return len(self._arrivals) - self._head + closed

    @property
    def outstanding(self) -> int:
        """Requests inside."""
        return len(self._arrivals) - self._head + sum(len(arrivals) for *_, arrivals in self._under_way)

    def _next_batch(self, until_s: float) -> tuple[float, int] | None:
        """When the next batch closes and its size; None where that depends on what comes after `until_s`."""
        head, arrivals, delay = self._head, self._arrivals, self.batcher.max_queue_delay_s
        if head == len(arrivals):
            return None
        closes = max(self._looked if self._while_running else min(self._free), arrivals[head])
        if closes > until_s:
            return None
        waiting = bisect_right(arrivals, closes, head) - head
        deadline = arrivals[head] + delay
        if delay > 0.0 and closes >= deadline:
            return closes, min(waiting, self.batcher.max_batch_size)
        if delay == 0.0 or waiting >= self._wanted[0]:
            return closes, self.batcher.taken(waiting)
        full = head + self._wanted[0] - 1
        if full < len(arrivals) and arrivals[full] <= deadline:
            return arrivals[full], self._wanted[0]
        return None if deadline > until_s else (deadline, bisect_right(arrivals, deadline, head) - head)

    def _start(self, closes_s: float, size: int) -> None:
        who = min(range(len(self._free)), key=self._free.__getitem__)
        start = max(closes_s, self._free[who])
        mean, cv = self._means[size], self._cvs[size]
        seconds = mean if cv == 0.0 else float(self._rng.gamma(1.0 / cv**2, mean * cv**2))
        self._free[who] = start + seconds
        self._looked = start
        heapq.heappush(self._under_way, (start + seconds, start, self._arrivals[self._head : self._head + size]))
        self._head += size
        if self._head >= _TRIM:
            del self._arrivals[: self._head]
            self._head = 0
