"""The ways to commit to one GPU over some years: which terms, one after the other, and which years without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from models.purchase_offers import PurchaseOptions, ReservedOffer, covered_years

_SAME = 1e-12


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Commitments of one GPU over the horizon: offers and the years of their purchase."""

    covers: tuple[bool, ...]
    cost: float
    """Prices of an hour, summed over the years covered."""
    contracts: tuple[tuple[ReservedOffer, int], ...]


def plans_of(options: PurchaseOptions, years: int, first: int) -> list[Plan]:
    """The cheapest plan that covers each set of years, those that cover the fewest first."""
    cheapest: dict[int, ReservedOffer] = {}
    for offer in sorted(options.reserved, key=lambda each: (each.price_per_gpu_hour, each.term_years)):
        cheapest.setdefault(covered_years(offer), offer)
    best: dict[tuple[bool, ...], Plan] = {}
    for plan in _ways([cheapest[term] for term in sorted(cheapest)], 0, years, first):
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
