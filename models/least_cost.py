"""Whole numbers of least cost that meet a limit, where more of any of them never makes it worse.

Branch and bound (Land and Doig 1960), best bound first. A node has the counts of some places fixed; of each other place
the least count is known that holds with all those yet free at their most, so that prefix and these cost no more than
anything below. The last place of a branch is found by bisection. The first node without a free place is the cheapest.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
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
    budget: int = 6_000,
) -> LeastCost | None:
    """The cheapest counts from `least` to `most` whose `excess` is at most 1; None where `most` exceeds it too.

    `excess` must not grow with any count. After `budget` evaluations the best found so far is returned, with a bound.
    """
    asked = _Asked(excess)
    top = tuple(most)
    if not asked.holds(top):
        return None
    lows = _raised_lows(asked, tuple(least), top, range(len(top)))
    order = sorted(range(len(top)), key=lambda place: top[place] - lows[place])
    best = _descended(prices, asked, lows, top)
    best_cost = _cost(prices, best)
    queue = [(_cost(prices, lows), 0, lows)]
    while queue:
        bound, fixed, counts = heapq.heappop(queue)
        if bound >= best_cost * (1.0 - _SAME):
            break
        if fixed == len(top):
            return _found(counts, bound, bound, asked)
        if len(asked.known) >= budget:
            return _found(best, best_cost, bound, asked)
        for child in _children(asked, prices, order, fixed, counts, top, best_cost):
            heapq.heappush(queue, (_cost(prices, child), fixed + 1, child))
    return _found(best, best_cost, best_cost, asked)


_SAME = 1e-12


def _children(
    asked: _Asked,
    prices: Sequence[float],
    order: Sequence[int],
    fixed: int,
    counts: Counts,
    top: Counts,
    best_cost: float,
) -> Iterator[Counts]:
    """The next place at each of its counts, with the others that are free at their least then."""
    place, free = order[fixed], order[fixed + 1 :]
    for count in range(counts[place], top[place] + 1):
        child = _with(counts, place, count)
        if _cost(prices, child) >= best_cost * (1.0 - _SAME):
            return
        yield _raised_lows(asked, child, top, free)


def _raised_lows(asked: _Asked, counts: Counts, top: Counts, free: Sequence[int]) -> Counts:
    """The counts with each free one at the least that holds, the other free ones at their most."""
    high = list(counts)
    for place in free:
        high[place] = top[place]
    found = list(counts)
    for place in free:
        bad, good = counts[place] - 1, top[place]
        while good - bad > 1:
            middle = (good + bad) // 2 if good - bad < 4 or bad >= counts[place] else counts[place]
            if asked.holds(_with(high, place, middle)):
                good = middle
            else:
                bad = middle
        found[place] = good
    return tuple(found)


def _found(counts: Counts, cost: float, bound: float, asked: _Asked) -> LeastCost:
    return LeastCost(counts=counts, cost=cost, lower_bound=bound, evaluated=len(asked.known))


def _cost(prices: Sequence[float], counts: Counts) -> float:
    return sum(price * count for price, count in zip(prices, counts, strict=True))


def _descended(prices: Sequence[float], asked: _Asked, lows: Counts, top: Counts) -> Counts:
    """A good vector to begin with: raised where it helps most for the money, then lowered where that holds."""
    counts = list(lows)
    while not asked.holds(tuple(counts)):
        raised = [_with(counts, place, counts[place] + 1) for place in range(len(top)) if counts[place] < top[place]]
        here = asked.excess(tuple(counts))
        gains = [
            (here - asked.excess(each)) / max(_cost(prices, each) - _cost(prices, tuple(counts)), 1e-9)
            if here < float("inf")
            else -_cost(prices, each)
            for each in raised
        ]
        counts = list(raised[gains.index(max(gains))])
    for place in sorted(range(len(top)), key=lambda each: -prices[each]):
        while counts[place] > lows[place] and asked.holds(_with(counts, place, counts[place] - 1)):
            counts[place] -= 1
    return tuple(counts)


def _with(counts: Sequence[int], place: int, count: int) -> Counts:
    return (*counts[:place], count, *counts[place + 1 :])
