"""Money against risk: every figure is what counting slot by slot gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.capacity_risk import risk_frontier
from models.errors import InvalidInput

NEEDS = st.lists(st.integers(0, 12) | st.just(math.nan), min_size=1, max_size=30).filter(
    lambda needs: not all(map(math.isnan, needs))
)


@given(
    needs=NEEDS, price=st.floats(0.1, 5.0), minute=st.floats(0.0, 2.0), slot_s=st.sampled_from([60.0, 900.0, 3600.0])
)
def test_every_figure_is_what_counting_gives(needs: list[float], price: float, minute: float, slot_s: float):
    requests = [100.0 + number for number in range(len(needs))]
    found = risk_frontier(needs, range(14), price_per_gpu_hour=price, slot_s=slot_s, requests=requests)
    known = [(need, count) for need, count in zip(needs, requests, strict=True) if not math.isnan(need)]
    totals = {}
    for gpus in range(14):
        point = found.point(gpus)
        short = [(need, count) for need, count in known if need > gpus]
        assert point.gpus == gpus
        assert point.cost_per_hour == pytest.approx(gpus * price)
        assert point.share_short == pytest.approx(len(short) / len(known))
        assert point.minutes_short == pytest.approx(len(short) * slot_s / 60.0)
        assert point.gpu_hours_short == pytest.approx(sum(need - gpus for need, _ in short) * slot_s / 3600.0)
        assert point.requests_short == pytest.approx(sum(count for _, count in short))
        totals[gpus] = gpus * price * len(known) * slot_s / 3600.0 + minute * len(short) * slot_s / 60.0
    best = found.chosen(minute)
    assert totals[best.gpus] == pytest.approx(min(totals.values()), abs=1e-9)
    assert bool(found.worthwhile[best.gpus])
    assert found.slots_missing == len(needs) - len(known)


@given(needs=NEEDS, minutes=st.tuples(st.floats(0.0, 5.0), st.floats(0.0, 5.0)))
def test_dearer_breaches_never_mean_fewer_gpus(needs: list[float], minutes: tuple[float, float]):
    found = risk_frontier(needs, range(14), price_per_gpu_hour=1.0)
    assert found.chosen(min(minutes)).gpus <= found.chosen(max(minutes)).gpus


NIGHT_AND_DAY = [2.0] * 12 + [4.0] * 10 + [8.0, 10.0]


def test_a_day_by_hand():
    found = risk_frontier(NIGHT_AND_DAY, range(2, 11), price_per_gpu_hour=2.0, requests=[10.0] * 22 + [500.0, 700.0])
    assert found.gpus[found.worthwhile].tolist() == [2, 4, 8, 10]
    point = found.point(2)
    assert (point.gpus, point.cost_per_hour, point.share_short) == (4, 8.0, pytest.approx(2 / 24))
    assert (point.minutes_short, point.gpu_hours_short, point.requests_short) == (pytest.approx(120.0), 10.0, 1200.0)


@pytest.mark.parametrize(("cost_per_minute", "gpus"), [(0.0, 2), (0.15, 2), (0.16, 4), (2.3, 4), (2.45, 10)])
def test_a_stated_cost_of_a_breach_minute_chooses(cost_per_minute: float, gpus: int):
    # From 2 to 4 GPUs 96 more for 600 minutes; to 8 then 192 for 60, to 10 together 288 for 120: 8 is never the best.
    found = risk_frontier(NIGHT_AND_DAY, range(2, 11), price_per_gpu_hour=2.0)
    assert found.chosen(cost_per_minute).gpus == gpus


def test_requests_that_were_not_counted_are_not_taken_for_none():
    found = risk_frontier([1.0, 3.0, 5.0], range(7), price_per_gpu_hour=1.0, requests=[10.0, math.nan, 30.0])
    assert np.isnan(found.requests_short[:3]).all()
    assert found.requests_short[3:].tolist() == [30.0, 30.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("needed", "gpus", "price", "says"),
    [
        ([math.nan], [1], 1.0, "no slot tells"),
        ([-1.0], [1], 1.0, "not negative"),
        ([1.0], [], 1.0, "some numbers"),
        ([1.0], [-1], 1.0, "none of them negative"),
        ([1.0], [1], -1.0, "price"),
    ],
)
def test_what_means_nothing_is_refused(needed: list[float], gpus: list[int], price: float, says: str):
    with pytest.raises(InvalidInput, match=says):
        risk_frontier(needed, gpus, price_per_gpu_hour=price)
    with pytest.raises(InvalidInput):
        risk_frontier([1.0], [1], price_per_gpu_hour=1.0).chosen(-1.0)


@given(
    needs=NEEDS,
    committed=st.integers(0, 14),
    later=st.integers(0, 14),
    price=st.floats(0.1, 5.0),
    paid=st.floats(0.0, 20.0),
)
def test_what_is_committed_costs_the_same_whatever_is_held(
    needs: list[float], committed: int, later: int, price: float, paid: float
):
    held = [committed if slot % 2 else later for slot in range(len(needs))]
    found = risk_frontier(
        needs, range(14), price_per_gpu_hour=price, committed=held, committed_cost_per_hour=[paid] * len(needs)
    )
    known = [each for need, each in zip(needs, held, strict=True) if not math.isnan(need)]
    for gpus in range(14):
        beyond = sum(max(0, gpus - each) for each in known) / len(known)
        assert found.point(gpus).cost_per_hour == pytest.approx(paid + price * beyond)
    assert found.chosen(1e-3).minutes_short <= found.point(min([*known, 13])).minutes_short


def test_committed_gpus_are_held_even_where_breaches_are_worth_little():
    least, most = (
        risk_frontier(NIGHT_AND_DAY, range(11), price_per_gpu_hour=2.0, committed=[held] * 24).chosen(1e-6).gpus
        for held in (0, 8)
    )
    assert (least, most) == (0, 8)


def test_of_numbers_that_cost_and_breach_alike_the_one_that_is_less_short_is_chosen():
    found = risk_frontier([1.0, 3.0], range(4), price_per_gpu_hour=2.0, committed=[2, 2])
    assert found.chosen(1e-3).gpus == 2
