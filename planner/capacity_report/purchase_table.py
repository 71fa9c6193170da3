"""What to buy: commitments, on demand and spot by the newsvendor's quantile, when they pay, and what they risk."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np

from models.errors import InvalidInput
from models.need_curve import THREE_POINTS, laws_of_years
from models.need_law import NeedLaw
from models.purchase_mix import PurchaseMix, best_mix
from models.purchase_offers import ExistingCommitment, PurchaseOptions, ReservedOffer, SpotOffer, covered_years
from models.purchase_outcome import HOURS_PER_YEAR, Regret, payback, regret
from models.purchase_times import Start
from planner.capacity_report.document import Column, Kind, Table, rows_of
from planner.capacity_report.gpu_offers import Offers
from planner.capacity_report.growth_table import PoolGrowth
from planner.capacity_report.period import Period
from planner.capacity_report.pools import Pool
from planner.fleet_file import SpotFields
from planner.price_fields import Pricing

CHANGES = (-0.2, 0.0, 0.2)
"""Of demand, for the regret."""
_COLUMNS = (
    Column(key="pool", title="Pool"),
    Column(key="what", title="What"),
    Column(key="gpus", title="GPUs", kind=Kind.NUMBER,
           meaning="reserved: to be bought today; committed already, on demand and spot: mean of the first year"),
    Column(key="later", title="To buy later",
           meaning="GPUs and the day on which their term should begin; to be asked again with the report of that day"),
    Column(key="price", title="Price of a GPU-h", kind=Kind.PRICE,
           meaning="effective: what is paid upfront spread over the term"),
    Column(key="break_even_use", title="Break-even use", kind=Kind.SHARE,
           meaning="share of the time from which on this offer is cheaper than on demand (reserved price / on demand)"),
    Column(key="cost_per_year", title="Cost a year", kind=Kind.MONEY,
           meaning="mean over the horizon, the longest term; of a term that reaches beyond it the part inside"),
    Column(key="upfront", title="Upfront", kind=Kind.MONEY),
    Column(key="payback_months", title="Payback, months", kind=Kind.MONTHS,
           meaning="until what it avoids on demand has come to what was paid upfront"),
    Column(key="commitment_months", title="Commitment earned, months", kind=Kind.MONTHS,
           meaning="until what it avoids on demand has come to all that is committed"),
    Column(key="told", title="Price from, what it rests on"),
)  # fmt: skip
_REGRET = (
    Column(key="pool", title="Pool"),
    Column(key="change", title="Demand", kind=Kind.SHARE, meaning="against the plan"),
    Column(key="cost_per_year", title="Cost a year", kind=Kind.MONEY, meaning="with what is bought today"),
    Column(key="best_per_year", title="Best cost a year", kind=Kind.MONEY, meaning="had this demand been known"),
    Column(key="regret_per_year", title="Regret a year", kind=Kind.MONEY, meaning="the difference"),
    Column(key="idle_gpus", title="Committed and idle", kind=Kind.NUMBER, meaning="GPUs, mean of the first year"),
    Column(key="short_gpus", title="Beyond commitments", kind=Kind.NUMBER, meaning="GPUs, mean of the first year"),
)  # fmt: skip


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
    """On which the period ends, or what is over of it."""


def purchase_tables(buyings: Sequence[Buying]) -> tuple[Table, ...]:
    """What to buy, and what it costs should demand turn out another."""
    rows: list[Mapping[str, Any]] = []
    regrets: list[Mapping[str, Any]] = []
    for buying in buyings:
        options = _options(buying)
        if options is None:
            rows.append({"pool": buying.pool.name, "what": "no advice", "told": _why_not(buying.offers)})
            continue
        mix = best_mix(laws_of(buying, options, 1.0), options, buying.existing)
        rows += _rows(buying, mix)
        regrets += _regrets(buying, mix)
    return (
        Table(
            name="purchases", title="What to buy", columns=_COLUMNS, rows=rows_of(_COLUMNS, rows),
            note="The k-th GPU is committed to where it is needed for a larger share of the time than reserved price "
                 "over on-demand price (the newsvendor's critical ratio), over the need of each year of the longest "
                 "term: low, base and high growth count 30, 40 and 30 %, as quantiles 0.1, 0.5 and 0.9. Terms begin "
                 "today, on the day on which an existing commitment ends (the six days of most GPUs), or whole years "
                 "after those; other days are not considered. Whole replicas are bought where all services of a pool "
                 "have as many GPUs a replica, else multiples of their greatest common divisor. What is not in the "
                 "price book is not advised.",
        ),
        Table(name="regrets", title="Should demand turn out another", columns=_REGRET, rows=rows_of(_REGRET, regrets)),
    )  # fmt: skip


def laws_of(buying: Buying, options: PurchaseOptions, change: float) -> list[NeedLaw]:
    """The need of each year of the longest term under all scenarios, times a change of demand."""
    years = max((covered_years(offer) for offer in options.reserved), default=1)
    growth = buying.growth
    scenarios, weights = (growth.scenarios.each, THREE_POINTS) if growth.known else ((growth.scenarios.base,), (1.0,))
    need_at = buying.pool.need_at(growth.scenarios.base, buying.period)
    return list(laws_of_years(lambda factor: need_at(change * factor), scenarios, weights, years=years, moments=2))


def _options(buying: Buying) -> PurchaseOptions | None:
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


def _why_not(offers: Offers) -> str:
    return "; ".join(offers.holes) or "the price on demand is 0"


def _rows(buying: Buying, mix: PurchaseMix) -> Iterator[dict[str, Any]]:
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
    needed, sizes = buying.pool.needed, buying.pool.replica_sizes
    unit = math.gcd(*sizes)
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


def _regrets(buying: Buying, mix: PurchaseMix) -> Iterator[dict[str, Any]]:
    for change in CHANGES:
        found: Regret = regret(mix, laws_of(buying, mix.options, 1.0 + change), buying.existing)
        yield {
            "pool": buying.pool.name,
            "change": change,
            "cost_per_year": HOURS_PER_YEAR * found.cost_per_hour,
            "best_per_year": HOURS_PER_YEAR * found.best_per_hour,
            "regret_per_year": HOURS_PER_YEAR * found.regret_per_hour,
            "idle_gpus": found.idle_gpus,
            "short_gpus": found.short_gpus,
        }
