"""What to buy: commitments, on demand and spot by the newsvendor's quantile, when they pay, and what they risk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from models.errors import InvalidInput
from models.purchase_mix import PurchaseMix, best_mix
from models.purchase_outcome import HOURS_PER_YEAR, Regret, regret
from planner.capacity_report.buying import Buying, laws_of, options_of
from planner.capacity_report.document import Column, Kind, Table, rows_of
from planner.capacity_report.gpu_offers import Offers
from planner.capacity_report.growth_table import as_of, told
from planner.capacity_report.purchase_rows import purchase_rows

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
_NOTE = (
    "The k-th GPU is committed to where it is needed for a larger share of the time than reserved price "
    "over on-demand price (the newsvendor's critical ratio), over the need of each year of the longest "
    "term: low, base and high growth count 30, 40 and 30 %, as quantiles 0.1, 0.5 and 0.9. Terms begin "
    "today, on the day on which an existing commitment ends (the six days of most GPUs), or whole years "
    "after those; other days are not considered. Whole replicas are bought where all services of a pool "
    "have as many GPUs a replica, else multiples of their greatest common divisor. What is not in the "
    "price book is not advised. On demand costs what the pool's teams pay with their discounts, weighted "
    "by the GPU-hours that they need; offers have a team's discount where the whole pool is that team's."
)


def purchase_tables(buyings: Sequence[Buying]) -> tuple[Table, ...]:
    """What to buy, and what it costs should demand turn out another."""
    rows: list[Mapping[str, Any]] = []
    regrets: list[Mapping[str, Any]] = []
    for buying in buyings:
        try:
            bought, regretted = _advised(buying)
        except InvalidInput as error:  # such as a need beyond all measure after years of growth
            bought, regretted = [_no_advice(buying, f"{told(error)}; {buying.growth.rates}")], []
        rows += bought
        regrets += regretted
    return (
        Table(
            name="purchases", title="What to buy", columns=_COLUMNS, rows=rows_of(_COLUMNS, rows),
            note=" ".join((*sorted({as_of(each.pool, each.period, each.today) for each in buyings}), _NOTE)),
        ),
        Table(name="regrets", title="Should demand turn out another", columns=_REGRET, rows=rows_of(_REGRET, regrets)),
    )  # fmt: skip


def _advised(buying: Buying) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    options = options_of(buying)
    if options is None:
        return [_no_advice(buying, _why_not(buying.offers))], []
    mix = best_mix(laws_of(buying, options, 1.0), options, buying.existing)
    return list(purchase_rows(buying, mix)), list(_regrets(buying, mix))


def _no_advice(buying: Buying, why: str) -> Mapping[str, Any]:
    return {"pool": buying.pool.name, "what": "no advice", "told": why}


def _why_not(offers: Offers) -> str:
    return "; ".join(offers.holes) or "the price on demand is 0"


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
