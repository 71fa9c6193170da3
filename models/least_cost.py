"""Whole numbers of least cost that meet a limit, where more of any of them never makes it worse.

Best first by cost (Dijkstra 1959 on the lattice of counts; Land and Doig 1960 for bounding): every vector is reached
once, by raising its counts from the first to the last; a part of the tree that does not meet the limit even with all
counts yet free at their most is cut off. The first vector taken from the queue that meets the limit has the least cost.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Counts = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class LeastCost:
    """The counts found."""

    counts: Counts
    cost: float
    lower_bound: float
    """No counts that meet the limit cost less."""
    evaluated: int

    @property
    def is_optimal(self) -> bool:
        """Whether that was proven."""
        return self.cost <= self.lower_bound * (1.0 + 1e-9) + 1e-12


class _Asked:
    """The limit, each vector asked once."""

    def __init__(self, excess: Callable[[Counts], float]) -> None:
        self._excess = excess
        self.known: dict[Counts, float] = {}

    def excess(self, counts: Counts) -> float:
        """What is asked for over the limit: at most 1 where it holds."""
        if counts not in self.known:
            self.known[counts] = self._excess(counts)
        return self.known[counts]

    def holds(self, counts: Counts) -> bool:
        return self.excess(counts) <= 1.0


def least_cost(
    prices: Sequence[float],
    least: Sequence[int],
    most: Sequence[int],
    excess: Callable[[Counts], float],
    *,
    budget: int = 20_000,
) -> LeastCost | None:
    """The cheapest counts from `least` to `most` whose `excess` is at most 1; None where `most` exceeds it too.

    `excess` must not grow with any count. After `budget` evaluations the best found so far is returned, with a bound.
    """
    asked = _Asked(excess)
    top = tuple(most)
    if not asked.holds(top):
        return None
    lows = tuple(_least_alone(asked, place, least[place], top) for place in range(len(top)))
    best = _descended(prices, asked, lows, top)
    best_cost = _cost(prices, best)
    queue: list[tuple[float, Counts, int]] = [(_cost(prices, lows), lows, 0)]
    while queue:
        cost, counts, free = heapq.heappop(queue)
        if cost >= best_cost * (1.0 - 1e-12):
            return _found(best, best_cost, best_cost, asked)
        if len(asked.known) >= budget:
            return _found(best, best_cost, cost, asked)
        if asked.holds(counts):
            return _found(counts, cost, cost, asked)
        for place in range(free, len(top)):
            if not asked.holds((*counts[:place], *top[place:])):
                break  # those before stay as they are, and with them nothing holds
            if counts[place] < top[place]:
                heapq.heappush(queue, (cost + prices[place], _raised(counts, place), place))
    return _found(best, best_cost, best_cost, asked)


def _found(counts: Counts, cost: float, bound: float, asked: _Asked) -> LeastCost:
    return LeastCost(counts=counts, cost=cost, lower_bound=bound, evaluated=len(asked.known))


def _cost(prices: Sequence[float], counts: Counts) -> float:
    return sum(price * count for price, count in zip(prices, counts, strict=True))


def _least_alone(asked: _Asked, place: int, least: int, top: Counts) -> int:
    """The least of one count with all others at their most, by bisection."""
    bad, good = least - 1, top[place]
    while good - bad > 1:
        middle = (good + bad) // 2
        if asked.holds((*top[:place], middle, *top[place + 1 :])):
            good = middle
        else:
            bad = middle
    return good


def _descended(prices: Sequence[float], asked: _Asked, lows: Counts, top: Counts) -> Counts:
    """A good vector to begin with: raised where it helps most for the money, then lowered where that holds."""
    counts = list(lows)
    while not asked.holds(tuple(counts)):
        raised = [_raised(counts, place) for place in range(len(top)) if counts[place] < top[place]]
        here = asked.excess(tuple(counts))
        gains = [
            (here - asked.excess(each)) / max(_cost(prices, each) - _cost(prices, tuple(counts)), 1e-9)
            if here < float("inf")
            else -_cost(prices, each)
            for each in raised
        ]
        counts = list(raised[gains.index(max(gains))])
    for place in sorted(range(len(top)), key=lambda each: -prices[each]):
        while counts[place] > lows[place] and asked.holds(_raised(counts, place, -1)):
            counts[place] -= 1
    return tuple(counts)


def _raised(counts: Sequence[int], place: int, by: int = 1) -> Counts:
    return (*counts[:place], counts[place] + by, *counts[place + 1 :])
