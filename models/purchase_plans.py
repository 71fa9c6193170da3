"""The cheapest commitments for each GPU by itself: which terms, one after the other, and which stretches without."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.purchase_offers import PurchaseOptions, ReservedOffer, covered_years
from models.purchase_times import Timeline

Array = NDArray[np.float64]
Contract: TypeAlias = tuple[ReservedOffer, int]
"""An offer and the stretch of time that its term begins with."""

_SAME = 1e-12


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Commitments of one GPU over the horizon."""

    covers: tuple[bool, ...]
    """Each stretch."""
    cost: float
    """Prices of an hour, times the years covered."""
    contracts: tuple[Contract, ...]


def lies_in_layers(offers: Sequence[ReservedOffer], time: Timeline, first: int) -> bool:
    """Whether whatever is bought can be laid in layers: every term is one stretch, or lasts to the end of all."""
    last = time.lengths.size
    terms = [time.covered(offer, begin) for offer in offers for begin in range(first, last)]
    return all(len(term) == 1 or term.stop == last for term in terms)


def layered(
    offers: Sequence[ReservedOffer], values: Array, time: Timeline, *, first: int, tie: float
) -> Counter[Contract]:
    """How many GPUs of each contract, from what the first, second … GPU spares in each stretch (a row a stretch).

    A plan must spare more than `tie` beyond those that cover fewer stretches.
    """
    plans = _plans(offers, time, first)
    chosen = _cheapest(plans, values, tie)
    counts: Counter[Contract] = Counter()
    for number, plan in enumerate(plans):
        for contract in plan.contracts:
            counts[contract] += int((chosen == number).sum())
    return +counts


def one_a_term(options: PurchaseOptions) -> list[ReservedOffer]:
    """The cheapest offer of each term, the shortest first."""
    cheapest: dict[int, ReservedOffer] = {}
    for offer in sorted(options.reserved, key=lambda each: (each.price_per_gpu_hour, each.term_years)):
        cheapest.setdefault(covered_years(offer), offer)
    return [cheapest[term] for term in sorted(cheapest)]


def _cheapest(plans: Sequence[Plan], values: Array, tie: float) -> NDArray[np.int64]:
    """For each GPU the number of the cheapest plan, the first of those that cost the same."""
    chosen = np.zeros(values.shape[1], dtype=np.int64)
    best = np.full(values.shape[1], np.inf)
    for number, plan in enumerate(plans):
        cost = plan.cost + values[~np.array(plan.covers)].sum(axis=0)
        cheaper = cost < best - tie
        chosen[cheaper], best[cheaper] = number, cost[cheaper]
    return chosen


def _plans(offers: Sequence[ReservedOffer], time: Timeline, first: int) -> list[Plan]:
    """The cheapest plan that covers each set of stretches, those that cover the fewest first."""
    best: dict[tuple[bool, ...], Plan] = {}
    for plan in _ways(offers, 0, time, first):
        known = best.get(plan.covers)
        if known is None or plan.cost < known.cost * (1.0 - _SAME):
            best[plan.covers] = plan
    return sorted(best.values(), key=lambda plan: sum(plan.covers))


def _ways(offers: Sequence[ReservedOffer], stretch: int, time: Timeline, first: int) -> Iterator[Plan]:
    """Every plan from a stretch on, shorter terms first."""
    if stretch == time.lengths.size:
        yield Plan(covers=(), cost=0.0, contracts=())
        return
    for rest in _ways(offers, stretch + 1, time, first):
        yield Plan(covers=(False, *rest.covers), cost=rest.cost, contracts=rest.contracts)
    for offer in offers if stretch >= first else ():
        covered = time.covered(offer, stretch)
        for rest in _ways(offers, covered.stop, time, first):
            yield Plan(
                covers=(True,) * len(covered) + rest.covers,
                cost=offer.price_per_gpu_hour * time.lasts(covered) + rest.cost,
                contracts=((offer, stretch), *rest.contracts),
            )
