"""Least cost, then fewest GPUs: column generation on patterns, then an integer programme on those found.

Gilmore and Gomory, Operations Research 9 (1961) and 11 (1963): the linear relaxation over all patterns is solved by
pricing new ones in. At any time values of replicas that are scaled down until no pattern is worth more than its GPU
make a lower bound of the cost (Farley, Operations Research 38, 1990). Identical GPUs never appear one by one,
so that there is no symmetry to search. Where patterns are few all of them are written down, and the integer programme's
own bound holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import reduce

from models.packing import Packing, PackingProblem, Pattern
from models.packing_patterns import every_pattern
from planner.packing_master import Master, Relaxed, Whole
from planner.packing_pricing import PricingProgramme, pricing_programmes

Clock = Callable[[], float]
TOLERANCE = 1e-6
FEW = 10_000
"""Additions to patterns up to which all patterns are written down rather than searched: the answer is exact then."""
LEAST_S = 0.3
"""For pricing exactly, even after the time: without it there is no bound."""
CLOSE = 2e-3
"""Share of the relaxation's value that its lower bound may be below it where the search for patterns ends."""
WORTH = 0.01
"""Patterns that are found quickly are taken where they are worth by so much more than their GPU."""
QUICK = 8
"""Every so many rounds patterns are priced exactly, for the bound, though quick ones are still found."""
WEIGHTS = ((1.0, 0.0), (0.6, 0.4), (0.3, 0.7))
"""Of shares and of memory, in what is taken of a GPU."""


@dataclass(kw_only=True)
class _Search:
    """Columns so far, and the best lower bound."""

    problem: PackingProblem
    programmes: tuple[PricingProgramme, ...]
    clock: Clock
    patterns: dict[object, Pattern] = field(default_factory=dict)
    bound: float = 0.0
    lacks: bool = False
    """Whether it is proven that the GPUs are too few."""

    def add(self, pattern: Pattern) -> bool:
        """Whether it was new."""
        return self.patterns.setdefault(pattern.key, pattern) is pattern

    def generate(self, until: float, fixed: tuple[int, ...] | None = None) -> bool:
        """Price patterns in until the bound is as good as the relaxation; whether that was reached."""
        rounds = 0
        while True:
            found = Master(problem=self.problem, patterns=tuple(self.patterns.values()), fixed=fixed).relaxed()
            if found is None:
                return False
            late = self.clock() >= until
            rounds += 1
            if not late and rounds % QUICK and self._filled(found, rounds):
                continue
            excess, new = self._priced(found, until)
            bound = found.value / excess
            if fixed is None and found.short <= TOLERANCE:
                self.bound = max(self.bound, bound)
            if found.short > TOLERANCE and not new and fixed is None:
                self.lacks = True
            if not new or (found.short <= TOLERANCE and bound >= (1.0 - CLOSE) * found.value):
                return not late
            if late:
                return False

    def _filled(self, found: Relaxed, number: int) -> bool:
        """Whether patterns that are quickly found were new and worth more than their GPU."""
        new = 0
        for programme in self.programmes:
            if not programme.sliced:
                least = self._price(found, programme.kind) * (1.0 + WORTH)
                for pattern in programme.filled(found.values, WEIGHTS[number % len(WEIGHTS)], least):
                    new += self.add(pattern)
        return new > 0

    def _priced(self, found: Relaxed, until: float) -> tuple[float, bool]:
        """By how much the values must be scaled down so that no pattern is worth more than its GPU; any new pattern."""
        excess, new = 1.0, False
        for programme in self.programmes:
            price, scarcity = self._price(found, programme.kind), found.scarcity[programme.kind]
            most, pattern = programme.best(found.values, time_limit_s=max(LEAST_S, until - self.clock()))
            if most > price + TOLERANCE:
                own = self.problem.kinds[programme.kind].price
                excess = max(excess, (most - scarcity) / own if own > 0.0 else math.inf)
            if pattern is not None and sum(n * found.values[k] for k, n in pattern.counts.items()) > price + TOLERANCE:
                new |= self.add(pattern)
        return excess, new

    def _price(self, found: Relaxed, kind: int) -> float:
        return self.problem.kinds[kind].price + found.scarcity[kind]


def solve(problem: PackingProblem, *, time_limit_s: float, clock: Clock) -> Packing | None:
    """The cheapest packing that was found in time; None where there is none, or none was found."""
    start = clock()
    few = every_pattern(problem, most=FEW)
    search = _Search(problem=problem, programmes=() if few is not None else pricing_programmes(problem), clock=clock)
    if few is not None:
        best = _of_all(search, few, start + 0.9 * time_limit_s)
        complete = True
    else:
        best, complete = _by_columns(search, start, time_limit_s)
    if best is None:
        return None
    bound = _rounded_up(problem, search.bound)
    best = _fewest_gpus(search, best, start + time_limit_s)
    cost = sum(problem.kinds[p.kind].price * n for p, n in best.used) + _groups_cost(problem, best.chosen)
    gpus = sum(n for _, n in best.used) + _groups_gpus(problem, best.chosen)
    return Packing(
        chosen=best.chosen,
        patterns=best.used,
        cost=cost,
        gpus=gpus,
        bound=min(bound, cost),
        optimal=cost <= bound + TOLERANCE,
        notes=() if complete else ("the time limit came before every pattern was weighed: the bound is weaker",),
    )


def _of_all(search: _Search, patterns: tuple[Pattern, ...], until: float) -> Whole | None:
    """Over every pattern there is: the bound of the integer programme is that of the question."""
    for pattern in patterns:
        search.add(pattern)
    best = _whole(search, until)
    search.bound = 0.0 if best is None else best.bound
    return best


def _by_columns(search: _Search, start: float, time_limit_s: float) -> tuple[Whole | None, bool]:
    """Over the patterns that pricing finds; and whether it came to its end in time."""
    _singles(search)
    complete = search.generate(start + 0.5 * time_limit_s)
    if search.lacks:
        return None, complete
    best = _whole(search, start + 0.7 * time_limit_s)
    bound = _rounded_up(search.problem, search.bound)
    if best is not None and best.value > bound + TOLERANCE and search.clock() < start + 0.8 * time_limit_s:
        # Patterns for the options that were chosen, which the relaxation had mixed.
        search.generate(start + 0.8 * time_limit_s, fixed=best.chosen)
        again = _whole(search, start + 0.9 * time_limit_s)
        best = again if again is not None and again.value < best.value - TOLERANCE else best
    return best, complete


def _singles(search: _Search) -> None:
    """A pattern for each option by itself, so that there is an answer from the beginning."""
    for m, model in enumerate(search.problem.models):
        for o, option in enumerate(model.options):
            if option.gpus * option.nodes == 1:
                pattern = Pattern(kind=option.kind, counts={(m, o): 1}, sliced=option.slice is not None)
                search.add(pattern)


def _whole(search: _Search, until: float) -> Whole | None:
    master = Master(problem=search.problem, patterns=tuple(search.patterns.values()))
    return master.whole(time_limit_s=until - search.clock())


def _fewest_gpus(search: _Search, best: Whole, until: float) -> Whole:
    """Of the packings of this cost one with the fewest GPUs, and of these one with the fewest replicas.

    Both in one: a GPU weighs more than all replicas together.
    """
    master = Master(problem=search.problem, patterns=tuple(search.patterns.values()))
    same = best.value * (1.0 + 1e-9) + 1e-9
    found = master.whole(time_limit_s=until - search.clock(), most_cost=same)
    return best if found is None else found


def _rounded_up(problem: PackingProblem, bound: float) -> float:
    """Costs are sums of prices: the next multiple of their greatest common divisor, where that is not tiny."""
    prices = [Fraction(str(round(kind.price, 6))) for kind in problem.kinds if kind.price > 0.0]
    if not prices:
        return bound
    step = reduce(_common, prices)
    if step * 10**6 < max(prices):
        return bound
    return float(step) * math.ceil(bound / float(step) - 1e-6)


def _common(a: Fraction, b: Fraction) -> Fraction:
    return Fraction(math.gcd(a.numerator * b.denominator, b.numerator * a.denominator), a.denominator * b.denominator)


def _groups_gpus(problem: PackingProblem, chosen: tuple[int, ...]) -> int:
    options = [model.options[o] for model, o in zip(problem.models, chosen, strict=True)]
    return sum(each.replicas * each.gpus * each.nodes for each in options if each.gpus * each.nodes > 1)


def _groups_cost(problem: PackingProblem, chosen: tuple[int, ...]) -> float:
    options = [model.options[o] for model, o in zip(problem.models, chosen, strict=True)]
    return sum(
        each.replicas * each.gpus * each.nodes * problem.kinds[each.kind].price
        for each in options
        if each.gpus * each.nodes > 1
    )
