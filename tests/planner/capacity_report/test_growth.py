"""From which demand scenarios start, and when what is committed runs out."""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from planner.capacity_report.growth_table import growth_table
from planner.capacity_report.period import Period, parse_period
from planner.capacity_report.pools import Pool, pools_of
from planner.capacity_report.service_record import record
from planner.fleet_file import FleetFile
from tests.planner.capacity_report.counter_service import counter
from tests.planner.capacity_report.small_fleet import accounted
from tests.planner.capacity_report.small_fleet import history as of_tokens
from tests.planner.capacity_report.test_figures import history

YEAR = parse_period("2027")
RATES = {"low": 0.1, "base": 0.4, "high": 0.9}


def fleet(growth: dict[str, float] | None = RATES, *, gpus: int = 2, pool: tuple[str, str] | None = None) -> FleetFile:
    cluster, gpu = pool or counter().pool
    held = [{"cluster": cluster, "gpu": gpu, "gpus": gpus, "until": "2040-01-01"}] if gpus else []
    fields: dict[str, Any] = {"workloads": [{"name": "a", "profile": "a", "cluster": cluster}], "commitments": held}
    return FleetFile.model_validate(fields if growth is None else {**fields, "growth": growth})


def pool_of(rates: Any, *, period: Period = YEAR, **fields: Any) -> Pool:
    """Of a service whose replica of two GPUs carries 5 a second."""
    (pool,) = pools_of([record(counter(**fields), history(rates, 1.0, period=period), period)], covered=period.slots)
    return pool


def grown(pool: Pool, of: FleetFile, *, today: date = date(2028, 1, 1)) -> dict[str, dict[str, Any]]:
    rows = growth_table([pool], of, YEAR, today=today).rows
    return {str(row["scenario"]): dict(row) for row in rows}


def test_stated_growth_begins_at_the_period_s_end_and_not_before():
    for name, row in grown(pool_of(4.5), fleet()).items():
        days = 365.25 * math.log(5.0 / 4.5) / math.log1p(RATES[name])
        assert row["needed_gpus"] == 2
        assert abs((row["runs_out"] - (date(2028, 1, 1) + timedelta(days=days))).days) <= 1 + 0.002 * 365 / 0.09
        assert row["cause"] == "growth"


def test_flat_demand_of_40_a_second_lasts_until_growth_passes_what_one_replica_carries():
    made = record(accounted(), of_tokens(40.0, 1.0, period=YEAR), YEAR)
    (pool,) = pools_of([made], covered=YEAR.slots)
    assert made.curve is not None
    carries = made.curve.rates_per_s[0]
    assert carries == pytest.approx(44.35, rel=0.003)
    for name, row in grown(pool, fleet(gpus=1, pool=made.accounted.pool)).items():
        days = math.ceil(365.25 * math.log(carries / 40.0) / math.log1p(RATES[name]))
        assert (row["needed_gpus"], row["committed_gpus"], row["cause"]) == (1, 1, "growth")
        assert row["runs_out"] == date(2028, 1, 1) + timedelta(days=days)


def test_what_is_needed_now_is_what_the_ledger_says_of_the_last_four_weeks():
    rates = np.where(np.arange(YEAR.slots) < YEAR.slots - 28 * 24, 4.0, 14.0)
    assert grown(pool_of(rates), fleet())["base"]["needed_gpus"] == 6
    unknown = np.where(np.arange(YEAR.slots) < YEAR.slots - 20 * 24, 4.0, np.nan)
    found = grown(pool_of(unknown), fleet())["base"]
    assert (found["needed_gpus"], "the whole period" in found["basis"]) == (2, True)


def test_fewer_replicas_that_were_measured_to_do_are_what_is_needed():
    made = record(counter(), history(6.0, 1.0, period=YEAR, met=1.0), YEAR)
    (pool,) = pools_of([made], covered=YEAR.slots)
    assert made.contradicted
    assert grown(pool, fleet())["base"]["needed_gpus"] == 2
    assert grown(pool, fleet())["base"]["cause"] == "growth"


def test_a_trend_starts_from_the_history_raised_to_its_end():
    days = np.repeat(np.arange(365), 24)
    row = grown(pool_of(3.0 * 1.5 ** (days / 365.25)), fleet(None))["base"]
    assert row["yearly_growth"] == pytest.approx(0.5, abs=0.01)
    assert row["runs_out"] is not None
    years = math.log(5.0 / 4.5) / math.log(1.5)
    assert abs((row["runs_out"] - date(2028, 1, 1)).days - 365.25 * years) < 5


def test_a_step_of_demand_is_no_growth_and_says_so():
    rates = np.where(np.arange(YEAR.slots) < YEAR.slots // 2, 0.1, 12.0)
    (row,) = growth_table([pool_of(rates)], fleet(None, gpus=8), YEAR, today=YEAR.end.date()).rows
    assert (row["yearly_growth"], row["needed_gpus"], row["runs_out"]) == (0.0, 6, None)
    assert "one step of ×120" in str(row["basis"])
    assert str(row["basis"]).endswith("state `growth:` in the fleet file")


def test_a_scenario_beyond_all_measure_still_says_its_rate():
    rows = grown(pool_of(4500.0), fleet({"low": 0.1, "base": 0.4, "high": 100.0}, gpus=1_000_000))
    assert rows["high"]["yearly_growth"] == 100.0
    assert rows["low"]["cause"] == "enough for 1096 days"
    assert str(rows["high"]["cause"]) == "GPUs needed must lie between 0 and 100,000"


def test_a_report_that_is_made_later_starts_on_its_own_day_with_demand_grown_until_then():
    pool, later = pool_of(4.5), date(2028, 2, 1)
    for name, row in grown(pool, fleet(), today=later).items():
        known = grown(pool, fleet())[name]["runs_out"]
        assert row["runs_out"] == max(known, later)
    table = growth_table([pool], fleet(), YEAR, today=date(2028, 12, 1))
    assert [row["runs_out"] for row in table.rows] == [date(2029, 2, 8), date(2028, 12, 1), date(2028, 12, 1)]
    assert table.rows[1]["cause"] == "it is too little already with what demand is taken to have grown"
    assert table.note.startswith("As of 2028-12-01: the history ends on 2028-01-01, and demand is taken to have grown")


def test_what_has_ended_by_the_report_s_day_is_committed_no_more():
    of = fleet()
    ended = of.model_copy(update={"commitments": [of.commitments[0].model_copy(update={"until": date(2028, 2, 1)})]})
    assert grown(pool_of(4.5), ended)["base"]["committed_gpus"] == 2
    assert grown(pool_of(4.5), ended, today=date(2028, 2, 1))["base"]["committed_gpus"] == 0
