"""Periods: months, quarters, years, on clocks that change."""

from __future__ import annotations

import pytest

from models.errors import InvalidInput
from planner.capacity_report.period import parse_period


@pytest.mark.parametrize(
    ("text", "zone", "hours", "days"),
    [
        ("2026-10", "UTC", 744, 31),
        ("2026-10", "Europe/Berlin", 745, 31),
        ("2026-03", "America/New_York", 743, 31),
        ("2028-02", "UTC", 29 * 24, 29),
        ("2026-Q4", "UTC", 92 * 24, 92),
        ("2026-12", "Asia/Kolkata", 744, 31),
        ("2028", "Europe/Berlin", 366 * 24, 366),
    ],
)
def test_hours_are_real_ones_and_days_those_of_the_zone(text, zone, hours, days):
    period = parse_period(text, time_zone=zone)
    assert period.hours == period.slots == hours
    assert len(period.days) == days
    assert period.days[0][1] == 0
    assert period.days[-1][2] == period.slots
    assert all(first[2] == second[1] for first, second in zip(period.days, period.days[1:], strict=False))


def test_the_day_on_which_clocks_change_has_another_length():
    assert parse_period("2026-10", time_zone="Europe/Berlin").clock_changes == ("2026-10-25 has 25 hours",)
    assert parse_period("2026-03", time_zone="Europe/Berlin", slot_s=900).clock_changes == ("2026-03-29 has 23 hours",)


@pytest.mark.parametrize(
    ("name", "names"),
    [("2026-Q4", ["2026-10", "2026-11", "2026-12"]), ("2026", [f"2026-Q{quarter}" for quarter in range(1, 5)])],
)
def test_months_make_the_quarter_and_quarters_the_year(name, names):
    whole = parse_period(name, time_zone="Europe/Berlin")
    parts = [parse_period(part, time_zone="Europe/Berlin") for part in names]
    assert (parts[0].start, parts[-1].end) == (whole.start, whole.end)
    assert sum(part.slots for part in parts) == whole.slots


@pytest.mark.parametrize(
    "text", ["2026-13", "2026-00", "2026-Q5", "26-10", "2026-1", "October", "", "1999-10", "2026-10-01"]
)
def test_what_is_no_period_is_refused(text):
    with pytest.raises(InvalidInput, match="not a month, quarter or year"):
        parse_period(text)


def test_clocks_that_change_by_half_an_hour_need_slots_that_fit():
    with pytest.raises(InvalidInput, match="not made of whole slots of 60 minutes"):
        parse_period("2026-10", time_zone="Australia/Lord_Howe")
    half = parse_period("2026-10", time_zone="Australia/Lord_Howe", slot_s=1800)
    assert half.slots * 0.5 == half.hours == 743.5


def test_a_zone_and_a_resolution_must_be_known():
    with pytest.raises(InvalidInput, match="time-zone 'Europe/Nowhere'"):
        parse_period("2026-10", time_zone="Europe/Nowhere")
    with pytest.raises(InvalidInput, match="resolution of 420 s"):
        parse_period("2026-10", slot_s=420)
