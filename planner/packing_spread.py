"""The cheapest packing that also has places on nodes.

The packing programme counts GPUs, and nodes only for replicas of several GPUs. Where a packing has no places on the
nodes, others follow under one more rule in turn, the cheapest first: without an option that is at fault, or with two
models kept from sharing a GPU. All of them are harder than the question without nodes: its bound holds for each.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations, count

from models.packing import PackedModel, Packing, PackingProblem
from planner.packing_placement import NodesLack, PlacedGpu, placed
from planner.packing_solver import TOLERANCE, solve

Clock = Callable[[], float]
MOST_TRIES = 40
_MOST_CHILDREN = 6

Found = tuple[PackingProblem, Packing, tuple[PlacedGpu, ...]]


def solve_with_nodes(problem: PackingProblem, *, time_limit_s: float, clock: Clock) -> Found | None:
    """A packing with places, and the question (some options left out) whose options it chose from.

    None where the GPUs do not do. Raises NodesLack where they do and no places on nodes were found; that is no proof.
    """
    end = clock() + time_limit_s
    first = solve(problem, time_limit_s=time_limit_s, clock=clock)
    if first is None:
        return None
    lacking: NodesLack | None = None
    number = count()
    heap = [(first.cost, next(number), problem, first)]
    seen = {problem}
    for _ in range(MOST_TRIES):
        if not heap:
            break
        _, _, asked, packing = heapq.heappop(heap)
        try:
            return asked, _bounded(packing, first), placed(asked, packing)
        except NodesLack as error:
            lacking = lacking or error
            kind = error.kind
        for narrower in _narrower(asked, packing, kind):
            if narrower not in seen and end - clock() > 0.0:
                seen.add(narrower)
                found = solve(narrower, time_limit_s=max(0.2, 0.5 * (end - clock())), clock=clock)
                if found is not None:
                    heapq.heappush(heap, (found.cost, next(number), narrower, found))
    assert lacking is not None
    raise lacking


def _bounded(packing: Packing, first: Packing) -> Packing:
    """With the bound of the question itself."""
    bound = min(first.bound, packing.cost)
    return replace(packing, bound=bound, optimal=packing.cost <= bound + TOLERANCE)


def _narrower(problem: PackingProblem, packing: Packing, kind: int) -> Iterator[PackingProblem]:
    """The question with one more rule, which the packing breaks."""
    at_fault = [
        m
        for m, (model, o) in enumerate(zip(problem.models, packing.chosen, strict=True))
        if model.options[o].kind == kind and (model.spread_nodes or model.options[o].gpus * model.options[o].nodes > 1)
    ]
    at_fault.sort(key=lambda m: -problem.models[m].options[packing.chosen[m]].replicas)
    for m in [each for each in at_fault if len(problem.models[each].options) > 1][:_MOST_CHILDREN]:
        options = problem.models[m].options
        kept = tuple(each for each in options if each != options[packing.chosen[m]])
        yield _with(problem, {m: replace(problem.models[m], options=kept)})
    # Where two of them share a GPU, all that either stands beside must be on other nodes.
    for a, b in _together(problem, packing, kind)[:_MOST_CHILDREN]:
        apart = {m: problem.models[m].not_with | {a + b - m} for m in (a, b)}
        yield _with(problem, {m: replace(problem.models[m], not_with=beside) for m, beside in apart.items()})


def _together(problem: PackingProblem, packing: Packing, kind: int) -> list[tuple[int, int]]:
    """Pairs of models on one GPU that must both be on nodes of their own."""
    pairs: dict[tuple[int, int], None] = {}
    for pattern, _ in packing.patterns:
        here = {m for m, o in pattern.counts if packing.chosen[m] == o and problem.models[m].spread_nodes}
        pairs |= dict.fromkeys(combinations(sorted(here), 2) if pattern.kind == kind else ())
    return list(pairs)


def _with(problem: PackingProblem, models: dict[int, PackedModel]) -> PackingProblem:
    return replace(problem, models=tuple(models.get(m, model) for m, model in enumerate(problem.models)))
