"""One pool and everything that decides what to buy for it: its need over the years, and what can be had."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from models.errors import InvalidInput
from models.need_curve import THREE_POINTS, laws_of_years
from models.need_law import NeedLaw
from models.purchase_offers import ExistingCommitment, PurchaseOptions, ReservedOffer, SpotOffer, covered_years
from planner.capacity_report.gpu_offers import Offers
from planner.capacity_report.growth_table import PoolGrowth
from planner.capacity_report.period import Period
from planner.capacity_report.pools import Pool
from planner.fleet_file import SpotFields
from planner.price_fields import Pricing


@dataclass(frozen=True, kw_only=True)
class Buying:
    """One pool and everything that decides what to buy for it."""

    pool: Pool
    offers: Offers
    growth: PoolGrowth
    existing: Sequence[ExistingCommitment]
    spot: SpotFields | None
    period: Period
    today: date
    """Of the report; not before the end of the history."""


def laws_of(buying: Buying, options: PurchaseOptions, change: float) -> list[NeedLaw]:
    """The need of each year of the longest term under all scenarios, times a change of demand."""
    years = max((covered_years(offer) for offer in options.reserved), default=1)
    growth = buying.growth
    scenarios = growth.seen_from(buying.today, buying.pool.history_ends(buying.period))
    weights = THREE_POINTS if growth.known else (1.0,)
    need_at = buying.pool.need_at(growth.trend, buying.period)
    return list(laws_of_years(lambda factor: need_at(change * factor), scenarios, weights, years=years, moments=2))


def options_of(buying: Buying) -> PurchaseOptions | None:
    """None without a price on demand: nothing can be held against it."""
    offers = buying.offers
    on_demand = offers.of(Pricing.ON_DEMAND)
    if on_demand is None or not on_demand.per_h > 0:
        return None
    reserved = [each for years in (1, 3) if (each := offers.of(Pricing.RESERVED, years)) is not None and each.per_h > 0]
    spot = offers.of(Pricing.SPOT)
    try:
        return PurchaseOptions(
            on_demand_per_gpu_hour=float(on_demand.per_h),
            reserved=tuple(
                ReservedOffer(
                    name=f"reserved, {each.term_years} y",
                    term_years=float(each.term_years or 1),
                    price_per_gpu_hour=float(each.per_h),
                    upfront_share=float(each.upfront / (each.per_h * 8760 * (each.term_years or 1))),
                )
                for each in reserved
            ),
            replica_gpus=math.gcd(*buying.pool.replica_sizes),
            spot=None
            if spot is None or buying.spot is None or not spot.per_h > 0
            else SpotOffer(
                price_per_gpu_hour=float(spot.per_h),
                greatest_share=buying.spot.most_share,
                extra_hours=buying.spot.overhead,
            ),
        )
    except InvalidInput:
        return None
