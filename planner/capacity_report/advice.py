"""What to do about it: what-if rows, growth, purchases, risk; and what the controller did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from planner.capacity_report.buying import Buying
from planner.capacity_report.document import Table
from planner.capacity_report.doings_table import doings_table
from planner.capacity_report.growth_table import commitments_of, growth_of, growth_table
from planner.capacity_report.period import Period
from planner.capacity_report.pool_offers import pool_offers
from planner.capacity_report.pools import pools_of
from planner.capacity_report.priced_pools import PricedPools
from planner.capacity_report.purchase_table import purchase_tables
from planner.capacity_report.risk_table import risk_table
from planner.capacity_report.service_record import ServiceRecord
from planner.capacity_report.sources.decisions import Doings
from planner.capacity_report.what_if import Market, what_if_table
from planner.fleet_file import FleetFile


def advice_tables(
    fleet: FleetFile,
    records: Sequence[ServiceRecord],
    priced: PricedPools,
    doings: Mapping[str, Doings],
    *,
    period: Period,
    covered: int,
    made_on: date,
) -> tuple[Table, ...]:
    """Every table of advice that has a row, as of the day on which the report is made.

    A forecast's scenarios would join `growth_of`.
    """
    pools = [pool for pool in pools_of(records, covered=covered) if pool.known]
    today = max(made_on, period.moment(covered).date())
    buyings = [
        Buying(
            pool=pool,
            offers=pool_offers(priced, pool, today),
            growth=growth_of(pool, fleet, period),
            existing=commitments_of(pool, fleet, today),
            spot=fleet.spot,
            period=period,
            today=today,
        )
        for pool in pools
    ]
    market = Market(variants=fleet.variants, prices_of=priced.slot_prices, gpus_at=priced.gpus_at)
    tables = (
        what_if_table(records, period, market, covered=covered),
        growth_table(pools, fleet, period, today=today),
        *purchase_tables(buyings),
        risk_table(
            pools,
            period,
            priced.slot_prices,
            commitments=priced.commitments,
            breach_minute_cost=_breach_minute(fleet, priced),
        ),
        doings_table(doings),
    )
    return tuple(table for table in tables if table.rows)


def _breach_minute(fleet: FleetFile, priced: PricedPools) -> float | None:
    """In the report's currency; None where nobody says, or where there is no exchange rate."""
    rate = priced.breach_minute_rate
    return None if fleet.breach_minute_cost is None or rate is None else fleet.breach_minute_cost * rate
