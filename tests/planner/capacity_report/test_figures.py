"""The report's figures: a fleet worked out by hand, and what must hold of any fleet."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.capacity_report.assembled import Material, capacity_report
from planner.capacity_report.document import CapacityReport
from planner.capacity_report.history import History
from planner.capacity_report.measures import CAUSES
from planner.capacity_report.period import Period, parse_period
from planner.capacity_report.price_list import PriceLine
from planner.capacity_report.service_record import ServiceRecord, record
from tests.planner.capacity_report.counter_service import counter

FEBRUARY = parse_period("2027-02")
"""672 hours."""


def history(rates, replicas, *, period: Period = FEBRUARY, met=math.nan) -> History:
    """Rates and replicas, one for each slot or one for all."""
    full = np.ones(period.slots)
    unknown = History.unknown(period)
    return replace(unknown, requests=full * rates * period.slot_s, replicas=full * replicas, met=full * met)


def priced(records: list[ServiceRecord], amount: float | None, period: Period, discount: float = 0.0):
    lines = {}
    for each in records:
        cluster, gpu = each.accounted.pool
        line = PriceLine(
            key=f"{cluster}/{gpu}", cluster=cluster, gpu=gpu, start_s=period.start_s, end_s=period.end_s,
            list_price=amount, discount=discount, pricing="on_demand", told="stated",
        )  # fmt: skip
        lines[each.accounted.name] = (line,)
    return lines


def reported(
    records: list[ServiceRecord], amount: float | None = 1.5, period: Period = FEBRUARY, covered=None
) -> CapacityReport:
    return capacity_report(
        Material(
            period=period,
            covered=period.slots if covered is None else covered,
            records=records,
            prices=priced(records, amount, period),
            currency="USD",
            made_on=date(2027, 3, 1),
        )
    )


def test_a_fleet_worked_out_by_hand():
    # Half of the hours 4 requests a second, half of them 8. Three replicas of two GPUs at all times, never under one.
    # 4/s: work 0.4 replicas, 0.8 within the objective, 1 needed. 8/s: work 0.8, 1.6 within the objective, 2 needed.
    rates = np.where(np.arange(FEBRUARY.slots) % 24 < 12, 4.0, 8.0)
    row = reported([record(counter(minReplicas=1), history(rates, 3.0), FEBRUARY)]).table("by_service").rows[0]
    hours = FEBRUARY.hours
    expected = {
        "requests": hours * 3600 * 6.0,
        "used_gpu_h": hours * 2 * 0.6,
        "burst_headroom_gpu_h": hours * 2 * (1.2 - 0.6),
        "fragmentation_gpu_h": hours * 2 * (1.5 - 1.2),
        "minimum_gpu_h": 0.0,
        # Each of the 27 falls from 8/s to 4/s holds one replica for the window of 300 s; the 28th is the period's end.
        "stabilisation_gpu_h": 2 * 27 * 300 / 3600,
        "over_provisioned_gpu_h": hours * 2 * 1.5 - 2 * 27 * 300 / 3600,
        "needed_gpu_h": hours * 2 * 1.5,
        "allocated_gpu_h": hours * 2 * 3.0,
        "idle_gpu_h": hours * 2 * (3.0 - 0.6),
        "shortfall_gpu_h": 0.0,
        "unexplained_gpu_h": 0.0,
        "allocated_cost": hours * 2 * 3.0 * 1.5,
        "needed_cost": hours * 2 * 1.5 * 1.5,
        "per_thousand_requests": hours * 2 * 3.0 * 1.5 / (hours * 3600 * 6.0) * 1000,
        "utilisation": 0.2,
        "attainment": 1.0,
        "breach_minutes": 0.0,
    }
    # What a replica carries is found to 0.2 %.
    assert {key: row[key] for key in expected} == pytest.approx(expected, rel=4e-3)


def test_too_few_replicas_are_short_and_breach_and_a_measurement_overrules_the_model():
    rates = np.where(np.arange(FEBRUARY.slots) < 100, 9.0, 4.0)
    short = reported([record(counter(), history(rates, 1.0), FEBRUARY)]).table("by_service").rows[0]
    assert short["shortfall_gpu_h"] == 100 * 2
    assert short["breach_minutes"] == 100 * 60
    assert short["attainment"] == pytest.approx(1 - 100 / FEBRUARY.hours)
    measured = record(counter(), history(rates, 1.0, met=1.0), FEBRUARY)
    report = reported([measured])
    row = report.table("by_service").rows[0]
    assert (row["shortfall_gpu_h"], row["breach_minutes"], row["needed_gpu_h"]) == (0.0, 0.0, FEBRUARY.hours * 2)
    assert [hole["what"] for hole in report.table("holes").rows] == ["model contradicted"]
    # With five replicas it broke where the model asks for one: more are needed, and nobody knows how many.
    broken = reported([record(counter(), history(1.0, 5.0, met=0.0), FEBRUARY)])
    row = broken.table("by_service").rows[0]
    assert (row["needed_gpu_h"], row["attainment"], row["over_provisioned_gpu_h"]) == (None, 0.0, 0.0)
    assert row["used_gpu_h"] + row["unexplained_gpu_h"] == pytest.approx(row["allocated_gpu_h"])
    assert "measured to break" in str(broken.table("holes").rows)


def test_what_is_not_known_is_named_and_in_no_sum():
    rates = np.full(FEBRUARY.slots, 4.0)
    rates[10:34] = math.nan
    replicas = np.full(FEBRUARY.slots, 2.0)
    replicas[100:110] = math.nan
    report = reported([record(counter(), history(rates, replicas), FEBRUARY)], amount=None)
    row, holes = report.table("by_service").rows[0], report.table("holes").rows
    assert row["unexplained_gpu_h"] == 24 * 4
    assert row["allocated_gpu_h"] == (FEBRUARY.hours - 10) * 4
    assert row["allocated_cost"] is row["needed_cost"] is row["per_thousand_requests"] is None
    assert [(hole["what"], hole["hours"]) for hole in holes] == [("demand", 24.0), ("replicas", 10.0), ("price", 672.0)]
    # 638 hours know requests and replicas; with a price their ratio is of these alone.
    priced_row = reported([record(counter(), history(rates, replicas), FEBRUARY)]).table("by_team").rows[0]
    assert priced_row["per_thousand_requests"] == pytest.approx(638 * 4 * 1.5 / (638 * 3600 * 4.0) * 1000)
    nothing = reported([record(counter(), History.unknown(FEBRUARY), FEBRUARY)])
    assert nothing.table("by_service").rows[0]["allocated_gpu_h"] is None
    assert "its demand is not known" in str(nothing.table("holes").rows)


def test_a_price_that_is_missing_is_one_hole_of_all_whose_cost_it_is():
    report = reported([record(counter(name), history(4.0, 2.0), FEBRUARY) for name in ("a", "b")], amount=None)
    (hole,) = report.table("holes").rows
    assert (hole["what"], hole["hours"]) == ("price", FEBRUARY.hours)
    assert hole["text"] == "stated: give it in the file of --prices; without it the cost of a, b is in no sum"


def test_an_objective_that_nothing_meets_leaves_the_need_unknown():
    report = reported([record(counter(slo="e2e:mean<=50ms"), history(4.0, 2.0), FEBRUARY)])
    row = report.table("by_service").rows[0]
    assert row["needed_gpu_h"] is None
    assert row["used_gpu_h"] + row["unexplained_gpu_h"] == pytest.approx(row["allocated_gpu_h"])
    assert "e2e:mean<=50ms" in str(report.table("holes").rows)


def test_no_load_needs_nothing_and_its_replicas_are_the_minimum_or_too_many():
    row = reported([record(counter(minReplicas=1), history(0.0, 3.0), FEBRUARY)]).table("by_service").rows[0]
    hours = FEBRUARY.hours
    assert (row["used_gpu_h"], row["needed_gpu_h"]) == (0.0, 0.0)
    assert (row["minimum_gpu_h"], row["over_provisioned_gpu_h"]) == (hours * 2, hours * 4)
    assert row["per_thousand_requests"] is None


services = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "A", "=1+1"]),
        st.floats(0.0, 40.0),
        st.floats(0.0, 12.0) | st.just(math.nan),
        st.integers(0, 4),
        st.sampled_from([math.nan, 0.0, 1.0]),
    ),
    min_size=1,
    max_size=4,
)


def fleet(drawn, period: Period) -> list[ServiceRecord]:
    rng = np.random.default_rng(1)
    found = []
    for at, (team, rate, replicas, least, met) in enumerate(drawn):
        rates = rate * rng.uniform(0.0, 1.0, period.slots)
        rates[rng.uniform(size=period.slots) < 0.05] = math.nan
        told = history(rates, replicas, period=period, met=met)
        found.append(record(counter(f"s{at}", team=team, minReplicas=least), told, period))
    return found


@settings(max_examples=25, deadline=None)
@given(services)
def test_parts_add_up_in_any_fleet(drawn):
    report = reported(fleet(drawn, FEBRUARY))
    assert [row["difference"] for row in report.table("checks").rows] == [0.0] * len(report.table("checks").rows)
    for row in report.table("ledger").rows:
        if row["allocated_gpu_h"] is None:
            continue
        causes = sum(row[f"{cause}_gpu_h"] for cause in CAUSES)
        assert causes == pytest.approx(row["idle_gpu_h"], abs=1e-6)
        assert row["used_gpu_h"] + causes + row["unexplained_gpu_h"] == pytest.approx(row["allocated_gpu_h"], abs=1e-6)
        if row["shortfall_gpu_h"] == 0.0 and row["unexplained_gpu_h"] == 0.0 and row["demand_unknown_h"] == 0.0:
            assert row["needed_gpu_h"] <= row["allocated_gpu_h"] + 1e-6


@settings(max_examples=10, deadline=None)
@given(services, st.sampled_from([0.25, 2.0, 3.0]))
def test_another_currency_scales_money_exactly_and_nothing_else(drawn, rate):
    records = fleet(drawn, FEBRUARY)
    ours, theirs = reported(records, 1.5), reported(records, 1.5 * rate)
    for one, other in zip(ours.table("by_team").rows, theirs.table("by_team").rows, strict=True):
        for key, value in one.items():
            is_money = key.endswith("_cost") or key.startswith("per_")
            if value is None or not is_money:
                assert other[key] == value
            else:
                assert other[key] == pytest.approx(value * rate, rel=1e-12)


@settings(max_examples=5, deadline=None)
@given(services)
def test_months_add_up_to_the_quarter(drawn):
    quarter = parse_period("2027-Q1")
    whole = fleet(drawn, quarter)
    parts = []
    for name in ("2027-01", "2027-02", "2027-03"):
        month = parse_period(name)
        first = quarter.slot_of(month.start_s)
        chosen = slice(first, first + month.slots)
        parts += [
            record(each.accounted, replace(each.history, **{
                column: getattr(each.history, column)[chosen]
                for column in ("requests", "input_tokens", "output_tokens", "replicas", "met")
            }), month)
            for each in whole
        ]  # fmt: skip
    exact = ("requests", "used_gpu_h", "needed_gpu_h", "allocated_gpu_h", "shortfall_gpu_h")
    for name in exact:
        ours = [reported([each], period=quarter).table("ledger").rows[0][name] for each in whole]
        months = [
            reported([each], period=parse_period(month)).table("ledger").rows[0][name]
            for each, month in zip(parts, np.repeat(["2027-01", "2027-02", "2027-03"], len(whole)), strict=True)
        ]
        assert sum(filter(None, months)) == pytest.approx(sum(filter(None, ours)), rel=2e-3)


def test_a_period_that_is_not_over_is_told_up_to_the_day():
    report = reported([record(counter(), history(4.0, 2.0).cut(240), FEBRUARY)], covered=240)
    assert (report.covered_hours, report.hours) == (240.0, 672.0)
    assert report.table("by_service").rows[0]["allocated_gpu_h"] == 240 * 4
    assert len(report.table("days").rows) == 10
    assert report.table("holes").rows == ()
