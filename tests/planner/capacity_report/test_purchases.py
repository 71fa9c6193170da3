"""What to buy, when and in which numbers, as the report tells it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from models.demand_scenario import stated_growth
from models.purchase_offers import ExistingCommitment
from planner.capacity_report.buying import Buying
from planner.capacity_report.gpu_offers import Offer, Offers
from planner.capacity_report.growth_table import PoolGrowth
from planner.capacity_report.pools import pools_of
from planner.capacity_report.purchase_table import purchase_tables
from planner.capacity_report.service_record import ServiceRecord, record
from planner.fleet_file import SpotFields
from planner.price_fields import Pricing
from tests.planner.capacity_report.small_fleet import OCTOBER, PROFILES, accounted, daily, history

STEADY = PoolGrowth(scenarios=stated_growth(low=0.0, base=0.0, high=0.0), basis="stated by the test", known=False)
ON_DEMAND, ONE_YEAR, THREE_YEARS, SPOT = "3.4", "2.4", "1.5", "1.0"


def offer(pricing: Pricing, price: str, years: int | None = None) -> Offer:
    amount = Decimal(price)
    return Offer(pricing=pricing, per_h=amount, term_years=years, upfront=Decimal(0), hourly=amount, told="made up")


OFFERS = Offers(
    found=(
        offer(Pricing.ON_DEMAND, ON_DEMAND),
        offer(Pricing.RESERVED, ONE_YEAR, 1),
        offer(Pricing.RESERVED, THREE_YEARS, 3),
        offer(Pricing.SPOT, SPOT),
    ),
    holes=(),
)


def advised(
    records: Sequence[ServiceRecord],
    existing: Sequence[ExistingCommitment] = (),
    *,
    spot: SpotFields | None = None,
    today: date = date(2026, 11, 1),
) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """Rows of what to buy by what they say, and of the regrets."""
    (pool,) = pools_of(records, covered=OCTOBER.slots)
    purchases, regrets = purchase_tables(
        [Buying(pool=pool, offers=OFFERS, growth=STEADY, existing=existing, spot=spot, period=OCTOBER, today=today)]
    )
    return {str(row["what"]): dict(row) for row in purchases.rows}, [dict(row) for row in regrets.rows]


def of_four_gpus() -> ServiceRecord:
    """A service that needs four replicas of one GPU at all times."""
    found = record(accounted(minReplicas=4), history(1.0, 4.0), OCTOBER)
    assert np.all(found.use.needed <= 4.0)
    return found


def test_what_is_committed_until_a_day_is_bought_again_on_that_day_and_not_before():
    rows, regrets = advised([of_four_gpus()], [ExistingCommitment(gpus=4, days_left=304)])
    assert rows["reserved, 3 y"]["gpus"] == rows["reserved, 1 y"]["gpus"] == 0.0
    assert rows["reserved, 3 y"]["later"] == "buy 4 on 2027-09-01"
    assert rows["reserved, 1 y"]["later"] is None
    within = 4 * 1.5 * 8760 * (3 - 304 / 365.25)  # of three years, those that the term covers
    assert 3 * rows["this mix"]["cost_per_year"] == pytest.approx(within)
    assert 3 * rows["saving"]["cost_per_year"] == pytest.approx(4 * (3.4 - 1.5) * 8760 * (3 - 304 / 365.25))
    assert [(row["change"], row["idle_gpus"], row["regret_per_year"]) for row in regrets] == [
        (change, 0.0, pytest.approx(0.0, abs=1e-6)) for change in (-0.2, 0.0, 0.2)
    ]


def test_a_commitment_of_a_part_is_filled_up_today_and_replaced_when_it_ends():
    rows, _ = advised([of_four_gpus()], [ExistingCommitment(gpus=3, days_left=304 + 365)])
    assert (rows["reserved, 3 y"]["gpus"], rows["reserved, 3 y"]["later"]) == (1.0, "buy 3 on 2028-08-31")


def test_an_end_a_year_from_today_is_one_day_with_the_purchases_of_that_year():
    growing = record(accounted(minReplicas=4), history(1.0, 4.0), OCTOBER)
    rows, _ = advised([growing], [ExistingCommitment(gpus=2, days_left=365), ExistingCommitment(gpus=1, days_left=365)])
    assert (rows["reserved, 3 y"]["gpus"], rows["reserved, 3 y"]["later"]) == (1.0, "buy 3 on 2027-11-01")


def test_whole_years_after_a_leap_day_are_days_that_there_are():
    growing = PoolGrowth(scenarios=stated_growth(low=1.0, base=1.0, high=1.0), basis="stated by the test")
    (pool,) = pools_of([record(accounted(), history(40.0, 4.0), OCTOBER)], covered=OCTOBER.slots)
    buying = Buying(pool=pool, offers=OFFERS, growth=growing, existing=(), spot=None, period=OCTOBER,
                    today=date(2028, 2, 29))  # fmt: skip
    rows = {row["what"]: row for row in purchase_tables([buying])[0].rows}
    assert "on 2029-03-01" in str(rows["reserved, 3 y"]["later"])


def test_replicas_of_several_gpus_are_bought_whole_and_spot_takes_whole_ones():
    large = record(accounted(profile=PROFILES[1], slo="ttft:p99<=3s"), history(daily(0.5, 12.0), 8.0), OCTOBER)
    assert large.accounted.profile.spec.gpu.per_replica == 4
    rows, _ = advised([large], spot=SpotFields.model_validate({"mostShare": 0.3, "overhead": 0.05}))
    assert rows["reserved, 3 y"]["gpus"] > 0
    assert rows["reserved, 3 y"]["gpus"] % 4 == 0
    assert rows["this mix"]["told"] == f"{STEADY.rates}; in multiples of 4 GPUs, those of a replica"
    rows, regrets = advised([large], [ExistingCommitment(gpus=6)])
    assert "2 of them today make no whole replica and stay idle" in rows["committed already"]["told"]
    assert all(row["idle_gpus"] >= 2.0 for row in regrets)


def test_replicas_of_several_sizes_are_told_for_what_they_are():
    large = record(accounted(profile=PROFILES[1], slo="ttft:p99<=3s"), history(1.0, 2.0), OCTOBER)
    small = record(
        accounted("small", profile="qwen3-32b-h100-vllm-tp2", slo="ttft:p99<=3s"), history(1.0, 2.0), OCTOBER
    )
    rows, _ = advised([large, small])
    told = "replicas of 2 and 4 GPUs share it: counts are multiples of 2, which may split a replica"
    assert rows["this mix"]["told"] == f"{STEADY.rates}; {told}"


def test_slots_that_are_not_known_are_told_with_the_advice():
    rates = np.full(OCTOBER.slots, 1.0)
    rates[100:145] = np.nan
    rows, _ = advised([record(accounted(minReplicas=4), history(rates, 4.0), OCTOBER)])
    assert rows["this mix"]["told"] == f"{STEADY.rates}; rests on 627 of 672 slots"
    assert advised([of_four_gpus()])[0]["this mix"]["told"] == STEADY.rates


def test_the_rates_of_growth_stand_beside_the_advice_and_beside_its_refusal():
    (pool,) = pools_of([of_four_gpus()], covered=OCTOBER.slots)
    rates = "growth a year: low 10%, base 40%, high 90% (stated)"
    growing = PoolGrowth(scenarios=stated_growth(low=0.1, base=0.4, high=0.9), basis="stated by the test")
    beyond = PoolGrowth(scenarios=stated_growth(low=0.0, base=0.0, high=1e6), basis="stated by the test")
    for growth, what, says in ((growing, "this mix", rates), (beyond, "no advice", "high 100,000,000% (stated)")):
        buying = Buying(pool=pool, offers=OFFERS, growth=growth, existing=(), spot=None, period=OCTOBER,
                        today=date(2026, 11, 1))  # fmt: skip
        rows = {str(row["what"]): str(row["told"]) for row in purchase_tables([buying])[0].rows}
        assert says in rows[what]
        assert not rows[what].endswith("; ")
        assert "; ;" not in rows[what]


def test_advice_of_a_later_day_is_bought_on_that_day_for_demand_grown_until_then():
    growing = PoolGrowth(scenarios=stated_growth(low=1.0, base=1.0, high=1.0), basis="stated by the test")
    (pool,) = pools_of([record(accounted(), history(40.0, 4.0), OCTOBER)], covered=OCTOBER.slots)
    found = []
    for today in (date(2026, 11, 1), date(2027, 11, 1)):
        buying = Buying(pool=pool, offers=OFFERS, growth=growing, existing=(), spot=None, period=OCTOBER, today=today)
        table, _ = purchase_tables([buying])
        rows = {str(row["what"]): row for row in table.rows}
        assert table.note.startswith(f"As of {today}")
        assert f"on {today.year + 1}-11-01" in str(rows["reserved, 3 y"]["later"])
        found.append(rows["reserved, 3 y"]["gpus"])
    assert found[1] > found[0]
