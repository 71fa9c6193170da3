"""Bounds that a policy may have: hours of a week, and money for any number of GPUs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from controller.capacity_policy import Bounds, Schedule
from controller.limits import in_force, limits_at
from tests.controller.world import World, policy

FRIDAY = datetime(2027, 1, 15, tzinfo=UTC).timestamp()


def schedule(start: str, end: str, **fields: Any) -> Schedule:
    return Schedule.model_validate({"name": "x", "days": ["Fri"], "start": start, "end": end, **fields})


@pytest.mark.parametrize(
    ("start", "end", "begins_h", "ends_h"),
    [
        ("00:00", "00:00", 0, 24),  # the whole day
        ("00:00", "24:00", 0, 24),
        ("18:00", "24:00", 18, 24),
        ("18:00", "00:00", 18, 24),
        ("09:00", "09:00", 9, 33),  # a whole day from then on
        ("22:00", "06:00", 22, 30),
        ("09:00", "17:00", 9, 17),
    ],
)
def test_when_a_schedule_is_in_force(start: str, end: str, begins_h: int, ends_h: int):
    hours = [hour for hour in range(-24, 72) if in_force(schedule(start, end), FRIDAY + 3600.0 * hour + 1.0)]
    assert hours == list(range(begins_h, ends_h))


@pytest.mark.parametrize(("start", "end"), [("24:00", "00:00"), ("00:00", "24:01"), ("9:00", "17:00")])
def test_what_is_no_time_of_a_day(start: str, end: str):
    with pytest.raises(ValidationError):
        schedule(start, end)


@pytest.mark.parametrize(("price", "budget"), [(1e-300, 1e9), (0.0, 1.0), (5e-324, 1e9), (1.0, 1e-300)])
def test_a_price_that_is_none_is_refused(price: float, budget: float):
    with pytest.raises(ValidationError):
        Bounds.model_validate({"max": 4, "gpuPricePerHour": price, "budgetPerHour": budget})


@pytest.mark.parametrize(
    ("price", "budget", "most"), [(2e-4, 1e9, 40), (1e-300, 1e9, 40), (1e6, 1e-4, 0), (2.0, 6.0, 3)]
)
def test_money_is_counted_whatever_the_price(price: float, budget: float, most: int):
    asked = policy(bounds={"min": 1, "max": 40, "budgetPerHour": 1.0, "gpuPricePerHour": 1.0})
    bounds = asked.spec.bounds.model_copy(update={"gpu_price_per_hour": price, "budget_per_hour": budget})
    spec = asked.spec.model_copy(update={"bounds": bounds})
    world = World(policy=asked.model_copy(update={"spec": spec}))
    assert limits_at(world.snapshot(), 1).highest == most
