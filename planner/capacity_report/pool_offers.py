"""What GPUs can be had for by the teams of a pool: what each pays, weighted by what it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal

import numpy as np

from planner.capacity_report.gpu_offers import Offer, Offers
from planner.capacity_report.history import Slots
from planner.capacity_report.pools import Pool
from planner.capacity_report.priced_pools import PricedPools
from planner.capacity_report.what_if import PricesOf
from planner.price_fields import Pricing


def pool_offers(priced: PricedPools, pool: Pool, on: date) -> Offers:
    """The offers of a day. A pool of one team has that team's discounts on all of them.

    Of several teams each keeps its price on demand, and the pool pays their mean, weighted by the GPU-hours that each
    needs; what is bought for all of them together has no team's discount.
    """
    shares = pool.team_shares
    of_all = priced.offers(pool.cluster, pool.gpu, on)
    of_teams = {team: priced.offers(pool.cluster, pool.gpu, on, team=team) for team in shares}
    if len(shares) == 1:
        ((team, offers),) = of_teams.items()
        told = f"with the discounts of {team}, whose pool it is"
        return replace(offers, found=tuple(_told(each, told, unlike=of_all) for each in offers.found))
    mean = _mean_on_demand(shares, of_teams)
    usual = of_all.of(Pricing.ON_DEMAND)
    if usual is None or mean is None or mean.per_h == usual.per_h:
        return of_all
    return replace(of_all, found=(mean, *(each for each in of_all.found if each.pricing is not Pricing.ON_DEMAND)))


def slot_prices(prices_of: PricesOf, pool: Pool) -> Slots:
    """What a GPU of the pool costs for an hour in each slot: what each team pays, weighted by what it needs."""
    each = [share * prices_of(pool.cluster, pool.gpu, team)[: pool.covered] for team, share in pool.team_shares.items()]
    mean: Slots = np.sum(each, axis=0)
    return mean


def _told(offer: Offer, told: str, *, unlike: Offers) -> Offer:
    usual = unlike.of(offer.pricing, offer.term_years)
    is_same = usual is not None and usual.per_h == offer.per_h
    return offer if is_same else replace(offer, told=f"{offer.told}; {told}")


def _mean_on_demand(shares: Mapping[str, float], of_teams: Mapping[str, Offers]) -> Offer | None:
    found = {team: offers.of(Pricing.ON_DEMAND) for team, offers in of_teams.items()}
    known = {team: offer for team, offer in found.items() if offer is not None}
    if len(known) < len(found):
        return None
    per_h = sum((Decimal(shares[team]) * offer.per_h for team, offer in known.items()), Decimal(0))
    paid = ", ".join(f"{team} {float(offer.per_h):.6g} for {shares[team]:.0%}" for team, offer in sorted(known.items()))
    first = known[max(known, key=lambda team: (shares[team], team))]
    return replace(
        first, per_h=per_h, hourly=per_h,
        told=f"mean of what teams pay, by the GPU-hours that they need: {paid}; {first.told}",
    )  # fmt: skip
