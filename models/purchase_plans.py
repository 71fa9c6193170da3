"""The cheapest commitments for each GPU by itself: which terms, one after the other, and which years without."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.purchase_offers import PurchaseOptions, ReservedOffer, covered_years

Array = NDArray[np.float64]
Contract: TypeAlias = tuple[ReservedOffer, int]
"""An offer and the year of its purchase."""

_SAME = 1e-12


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Commitments of one GPU over the horizon: offers and the years of their purchase."""

    covers: tuple[bool, ...]
    cost: float
    """Prices of an hour, summed over the years covered."""
    contracts: tuple[Contract, ...]


def layered(offers: Sequence[ReservedOffer], values: Array, *, first: int, tie: float) -> Counter[Contract]:
    """How many GPUs of each contract, from what the first, second … GPU spares in each year (a row a year).

    A plan must spare more than `tie` beyond those that cover fewer years.
    """
    plans = _plans(offers, values.shape[0], first)
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


def _plans(offers: Sequence[ReservedOffer], years: int, first: int) -> list[Plan]:
    """The cheapest plan that covers each set of years, those that cover the fewest first."""
    best: dict[tuple[bool, ...], Plan] = {}
    for plan in _ways(offers, 0, years, first):
        known = best.get(plan.covers)
        if known is None or plan.cost < known.cost * (1.0 - _SAME):
            best[plan.covers] = plan
    return sorted(best.values(), key=lambda plan: sum(plan.covers))


def _ways(offers: Sequence[ReservedOffer], year: int, years: int, first: int) -> Iterator[Plan]:
    """Every plan from a year on, shorter terms first."""
    if year == years:
        yield Plan(covers=(), cost=0.0, contracts=())
        return
    for rest in _ways(offers, year + 1, years, first):
        yield Plan(covers=(False, *rest.covers), cost=rest.cost, contracts=rest.contracts)
    for offer in offers:
        term = covered_years(offer)
        if year < first or year + term > years:
            continue
        for rest in _ways(offers, year + term, years, first):
            yield Plan(
                covers=(True,) * term + rest.covers,
                cost=offer.price_per_gpu_hour * term + rest.cost,
                contracts=((offer, year), *rest.contracts),
            )
