"""Advice on buying reckons with what the teams of a pool really pay."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from planner.capacity_report.buying import Buying
from planner.capacity_report.growth_table import PoolGrowth
from planner.capacity_report.pool_offers import pool_offers, slot_prices
from planner.capacity_report.pools import Pool, pools_of
from planner.capacity_report.priced_pools import PricedPools
from planner.capacity_report.purchase_table import purchase_tables
from planner.capacity_report.service_record import record
from planner.price_book import load_prices
from planner.price_fields import Pricing
from tests.planner.capacity_report.counter_service import counter
from tests.planner.capacity_report.test_figures import FEBRUARY, history
from tests.planner.capacity_report.test_purchases import STEADY

MARCH = date(2027, 3, 1)
BOOK = """
apiVersion: replicast.dev/v1alpha1
kind: PriceBook
metadata: {name: contracts}
spec:
  asOf: 2027-01-01
  currency: USD
  prices:
    - {gpu: A10G-24GB, cluster: c, cloud: aws, pricing: on_demand, perGpuHour: 4.0,
       asOf: 2027-01-01, source: a test}
    - {gpu: A10G-24GB, cluster: c, cloud: aws, pricing: reserved, termYears: 1, perGpuHour: 2.4,
       asOf: 2027-01-01, source: a test}
  discounts:
    - {percent: 50, team: a, pricing: on_demand, source: a test}
"""


@pytest.fixture
def priced(tmp_path: Path) -> PricedPools:
    (tmp_path / "prices.yaml").write_text(BOOK, encoding="utf-8")
    return PricedPools(
        book=load_prices(tmp_path / "prices.yaml"), currency="USD", period=FEBRUARY, places={}, prices={}
    )


def pool_of(**teams: float) -> Pool:
    """Rates by team; two GPUs carry 5 a second."""
    records = [record(counter(team, team=team), history(rate, 4.0), FEBRUARY) for team, rate in teams.items()]
    (pool,) = pools_of(records, covered=FEBRUARY.slots)
    return pool


def bought(priced: PricedPools, pool: Pool, growth: PoolGrowth = STEADY) -> dict[str, dict]:
    buying = Buying(pool=pool, offers=pool_offers(priced, pool, MARCH), growth=growth, existing=(), spot=None,
                    period=FEBRUARY, today=MARCH)  # fmt: skip
    return {str(row["what"]): dict(row) for row in purchase_tables([buying])[0].rows}


def test_a_reservation_that_is_dearer_than_what_the_team_pays_is_not_advised(priced):
    rows = bought(priced, pool_of(a=4.0))
    assert (rows["reserved, 1 y"]["gpus"], rows["on demand"]["price"]) == (0.0, 2.0)
    assert "with the discounts of a, whose pool it is" in rows["on demand"]["told"]
    assert rows["saving"]["cost_per_year"] == 0.0
    assert bought(priced, pool_of(b=4.0))["reserved, 1 y"]["gpus"] == 2.0


def test_of_several_teams_the_mean_of_what_they_pay_counts_by_what_they_need(priced):
    rows = bought(priced, pool_of(a=4.0, b=14.0))  # 2 GPUs at 2.0 and 6 at 4.0
    assert rows["on demand"]["price"] == pytest.approx(3.5)
    assert "a 2 for 25%, b 4 for 75%" in rows["on demand"]["told"]
    assert rows["all on demand"]["cost_per_year"] == pytest.approx(8 * 3.5 * 8760)


def test_a_reservation_keeps_the_discount_of_the_one_team_of_a_pool(priced):
    (discount,) = priced.book.spec.discounts
    spec = priced.book.spec.model_copy(update={"discounts": (discount.model_copy(update={"pricing": None}),)})
    priced = replace(priced, book=priced.book.model_copy(update={"spec": spec}))
    assert pool_offers(priced, pool_of(a=4.0), MARCH).of(Pricing.RESERVED, 1).per_h == Decimal("1.2")
    assert pool_offers(priced, pool_of(a=4.0, b=4.0), MARCH).of(Pricing.RESERVED, 1).per_h == Decimal("2.4")


def test_risk_is_priced_at_what_the_teams_pay(priced):
    assert slot_prices(priced.slot_prices, pool_of(a=4.0, b=14.0)) == pytest.approx(3.5)
