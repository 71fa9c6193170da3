"""A second simulator of the dynamic batcher, from event to event: it knows nothing of the compiled loop."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from models.batcher import Batcher, DispatchRule

ARRIVAL, IDLE, TIMER = 0, 1, 2


@dataclass(kw_only=True)
class Referee:
    """A batcher and its clock. `seconds` draws the time of a batch of a size."""

    batcher: Batcher
    rule: DispatchRule
    seconds: Callable[[int], float]
    waiting: list[tuple[float, int]] = field(default_factory=list)
    closed: list[tuple[float, int]] = field(default_factory=list)
    events: list[tuple[float, int, int]] = field(default_factory=list)
    started: dict[int, tuple[float, float, int]] = field(default_factory=dict)

    def serve(self, arrivals: Sequence[float]) -> np.ndarray:
        """Start, end and size of each request's batch (n, 3)."""
        idle = self.batcher.instances
        self.events = [(when, ARRIVAL, number) for number, when in enumerate(arrivals)]
        while self.events:
            now, kind, number = heapq.heappop(self.events)
            if kind == ARRIVAL:
                self.waiting.append((now, number))
            idle += kind == IDLE
            if self.events and self.events[0][0] == now:
                continue  # what happens at one moment is seen together
            while True:
                if not self.closed and (idle or (self.rule is DispatchRule.WHILE_RUNNING and self._delay)):
                    self._close(now)
                if not (self.closed and idle):
                    break
                idle -= 1
                self._start(now)
        return np.array([self.started[number] for number in range(len(arrivals))])

    @property
    def _delay(self) -> float:
        return self.batcher.max_queue_delay_s

    def _close(self, now: float) -> None:
        if not self.waiting:
            return
        most, there = self.batcher.max_batch_size, len(self.waiting)
        preferred = [size for size in self.batcher.preferred_batch_sizes or (most,) if size <= there]
        due = self.waiting[0][0] + self._delay
        if self._delay and now >= due:
            size = min(there, most)
        elif preferred:
            size = max(preferred)
        elif self._delay:
            heapq.heappush(self.events, (due, TIMER, 0))
            return
        else:
            size = min(there, most)
        self.closed, self.waiting = self.waiting[:size], self.waiting[size:]

    def _start(self, now: float) -> None:
        until = now + self.seconds(len(self.closed))
        for _, number in self.closed:
            self.started[number] = (now, until, len(self.closed))
        heapq.heappush(self.events, (until, IDLE, 0))
        self.closed = []


def referee(batcher: Batcher, rule: DispatchRule, arrivals: Sequence[float], seed: int = 1) -> np.ndarray:
    """Start, end and batch size of each request (n, 3), with gamma times of batches."""
    chance = random.Random(seed)
    means, cvs = batcher.means_s, batcher.cvs

    def seconds(size: int) -> float:
        mean, cv = float(means[size]), float(cvs[size])
        return mean if cv == 0.0 else chance.gammavariate(cv**-2, mean * cv**2)

    return Referee(batcher=batcher, rule=rule, seconds=seconds).serve(arrivals)


def gamma_arrivals(rate_per_s: float, burstiness: float, count: int, seed: int = 2) -> list[float]:
    """Moments of arrivals with gamma gaps."""
    chance, now, moments = random.Random(seed), 0.0, []
    for _ in range(count):
        now += chance.gammavariate(1.0 / burstiness, burstiness / rate_per_s)
        moments.append(now)
    return moments
