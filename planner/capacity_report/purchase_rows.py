"""The rows of what to buy for one pool: each way to have GPUs, and what all together comes to."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import numpy as np

from models.purchase_mix import PurchaseMix
from models.purchase_offers import ReservedOffer
from models.purchase_outcome import HOURS_PER_YEAR, payback
from models.purchase_times import Start
from planner.capacity_report.buying import Buying
from planner.price_fields import Pricing


def purchase_rows(buying: Buying, mix: PurchaseMix) -> Iterator[dict[str, Any]]:
    """What was bought, each offer, on demand and spot; then what the mix comes to."""
    name, first = buying.pool.name, mix.years[0]
    offers, options = buying.offers, mix.options
    on_demand = offers.of(Pricing.ON_DEMAND)
    assert on_demand is not None
    if buying.existing:
        yield {"pool": name, "what": "committed already", "gpus": first.existing_gpus, "cost_per_year": 0.0,
               "told": "; ".join(("sunk: not part of these costs", *_parts_of_replicas(buying)))}  # fmt: skip
    for offer in options.reserved:
        yield _reserved_row(buying, mix, offer)
    mean_price = options.on_demand_per_gpu_hour
    yield {"pool": name, "what": "on demand", "gpus": first.on_demand_gpus, "price": mean_price,
           "cost_per_year": HOURS_PER_YEAR * _mean(mix, "on_demand_gpus") * mean_price,
           "told": on_demand.told}  # fmt: skip
    if options.spot is not None:
        spot = offers.of(Pricing.SPOT)
        price = options.spot.price_of_use
        yield {"pool": name, "what": "spot", "gpus": first.spot_gpus, "price": price,
               "cost_per_year": HOURS_PER_YEAR * _mean(mix, "spot_gpus") * price,
               "told": "" if spot is None else spot.told}  # fmt: skip
    yield {"pool": name, "what": "this mix", "cost_per_year": HOURS_PER_YEAR * mix.cost_per_hour,
           "told": "; ".join(_rests_on(buying))}  # fmt: skip
    yield {"pool": name, "what": "all on demand", "cost_per_year": HOURS_PER_YEAR * mix.all_on_demand_per_hour}
    yield {"pool": name, "what": "saving", "cost_per_year": HOURS_PER_YEAR * mix.saving_per_hour,
           "told": "; ".join((*offers.holes, *_left_out(buying)))}  # fmt: skip


def _parts_of_replicas(buying: Buying) -> Iterator[str]:
    if spare := sum(each.gpus for each in buying.existing) % math.gcd(*buying.pool.replica_sizes):
        yield f"{spare} of them today make no whole replica and stay idle"


def _rests_on(buying: Buying) -> Iterator[str]:
    pool, growth = buying.pool, buying.growth
    needed = pool.needed if growth.is_trend else pool.needed[pool.recent(buying.period)]
    sizes = pool.replica_sizes
    unit = math.gcd(*sizes)
    yield growth.rates
    if unknown := int(np.isnan(needed).sum()):
        yield f"rests on {needed.size - unknown:,} of {needed.size:,} slots"
    if len(sizes) > 1:
        told = " and ".join(map(str, sizes))
        yield f"replicas of {told} GPUs share it: counts are multiples of {unit}, which may split a replica"
    elif unit > 1:
        yield f"in multiples of {unit} GPUs, those of a replica"


def _left_out(buying: Buying) -> Iterator[str]:
    if buying.pool.left_out:
        yield f"without {', '.join(buying.pool.left_out[:5])}, whose need is not known"
    if buying.spot is None and buying.offers.of(Pricing.SPOT) is not None:
        yield "spot is left out: say with `spot:` in the fleet file how much may be taken away at any time"


def _mean(mix: PurchaseMix, what: str) -> float:
    return sum(float(getattr(year, what)) for year in mix.years) / len(mix.years)


def _reserved_row(buying: Buying, mix: PurchaseMix, offer: ReservedOffer) -> dict[str, Any]:
    purchases = [each for each in mix.purchases if each.offer.name == offer.name]
    now = next((each for each in purchases if each.is_now), None)
    earned = None if now is None else payback(now)
    years = len(mix.years)
    stated = buying.offers.of(Pricing.RESERVED, round(offer.term_years))
    paid = sum(each.price_per_hour * each.years for each in purchases)
    later: Counter[date] = Counter()
    for each in purchases:
        later[_day(buying.today, each.start)] += 0 if each.is_now else each.gpus
    return {
        "pool": buying.pool.name,
        "what": offer.name,
        "gpus": float(mix.bought_now[offer.name]),
        "later": ", ".join(f"buy {gpus:,} on {day}" for day, gpus in sorted((+later).items())) or None,
        "price": offer.price_per_gpu_hour,
        "break_even_use": mix.options.break_even_use(offer),
        "cost_per_year": HOURS_PER_YEAR * paid / years,
        "upfront": None if earned is None else earned.upfront,
        "payback_months": None if earned is None else earned.upfront_months,
        "commitment_months": None if earned is None else earned.commitment_months,
        "told": "" if stated is None else stated.told,
    }


def _day(today: date, start: Start) -> date:
    """The 29 February of a year that has none is the day after its 28."""
    first = today + timedelta(days=start.days)
    try:
        return first.replace(year=first.year + start.years)
    except ValueError:
        return date(first.year + start.years, 3, 1)
