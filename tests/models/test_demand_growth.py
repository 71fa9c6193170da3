"""Growth from a history: exact for a clean trend, robust to odd days, honest about what it does not know."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.demand_growth import GrowthTrend, trend_growth
from models.demand_scenario import DemandScenario, SteadyGrowth, stated_growth
from models.errors import InvalidInput

WEEKDAYS = np.exp([0.1, 0.0, 0.05, 0.0, -0.1, -0.7, -0.5])


def history(days: int, yearly_rate: float, noise: NDArray[np.float64] | float = 0.0) -> NDArray[np.float64]:
    number = np.arange(days)
    return 1e6 * WEEKDAYS[number % 7] * (1.0 + yearly_rate) ** (number / 365.25) * np.exp(noise)


def autoregressive(rng: np.random.Generator, days: int, together: float) -> NDArray[np.float64]:
    noise = rng.normal(0.0, 0.1, days)
    for day in range(1, days):
        noise[day] = together * noise[day - 1] + math.sqrt(1.0 - together**2) * noise[day]
    return noise


@given(rate=st.floats(-0.5, 3.0), days=st.integers(56, 400), lost=st.sets(st.integers(1, 54), max_size=8))
def test_a_clean_trend_is_found_through_weekdays_and_missing_days(rate: float, days: int, lost: set[int]):
    totals = history(days, rate)
    totals[[7 * (day // 7) + 1 + day % 3 for day in lost]] = np.nan
    found = trend_growth(range(days), totals)
    for scenario in found.each:
        assert scenario.yearly_rate == pytest.approx(rate, abs=1e-6)
    assert found.days_used + found.days_missing == days
    assert found.may_be_season == (days < 366)


def test_days_out_of_the_ordinary_do_not_move_it():
    totals = history(180, 0.5)
    totals[[20, 75]] *= 50.0  # load tests
    totals[100::14] *= 50.0  # and from then on one every two weeks
    totals[90:97] *= 0.01  # an outage of a week
    found = trend_growth(range(180), totals)
    assert found.base.yearly_rate == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("days", "together", "least", "most"), [(126, 0.0, 0.87, 0.93), (365, 0.95, 0.83, 0.93)])
def test_the_true_growth_lies_on_either_side_as_often_as_the_quantile_says(
    days: int, together: float, least: float, most: float
):
    rng = np.random.default_rng(11)
    below, above = [], []
    for _ in range(300):
        totals = history(days, 1.0, autoregressive(rng, days, together))
        totals[rng.random(days) < 0.1] = np.nan
        found = trend_growth(range(days), totals, quantile=0.9)
        below.append(found.high.yearly_rate >= 1.0)
        above.append(found.low.yearly_rate <= 1.0)
    assert least <= float(np.mean(below)) <= most
    assert least <= float(np.mean(above)) <= most


def test_the_autocorrelation_is_freed_of_the_bias_of_short_histories():
    rng = np.random.default_rng(2)
    found = [
        trend_growth(range(210), history(210, 0.5, np.repeat(autoregressive(rng, 30, 0.6), 7))).week_to_week
        for _ in range(100)
    ]
    assert float(np.mean(found)) == pytest.approx(0.6, abs=0.05)


def width(found: GrowthTrend) -> float:
    return math.log1p(found.high.yearly_rate) - math.log1p(found.low.yearly_rate)


def test_days_that_hang_together_make_the_band_wider():
    rng = np.random.default_rng(3)
    alone, together = (
        np.mean([width(trend_growth(range(180), history(180, 0.5, autoregressive(rng, 180, rho)))) for _ in range(10)])
        for rho in (0.0, 0.95)
    )
    assert together > 2.0 * alone


def test_more_history_makes_it_narrower_and_a_higher_quantile_wider():
    noise = np.random.default_rng(5).normal(0.0, 0.1, 400)
    short, long = (trend_growth(range(n), history(n, 0.5, noise[:n])) for n in (70, 400))
    assert width(short) > 5.0 * width(long)
    assert width(trend_growth(range(70), history(70, 0.5, noise[:70]), quantile=0.99)) > 1.5 * width(short)
    assert (long.low.quantile, long.base.quantile, long.high.quantile) == (0.1, 0.5, 0.9)


@pytest.mark.parametrize(
    ("days", "totals", "says"),
    [
        (range(20), history(20, 0.5), "20 days of history"),
        (range(52), history(52, 0.5), "52 days of history with 7 such weeks"),
        (range(0, 200, 4), history(50, 0.5), "0 such weeks"),
        ([*range(60), 59], history(61, 0.5), "ascend"),
        (range(60), history(61, 0.5), "each day"),
        (range(60), -history(60, 0.5), "not negative"),
        (range(60), [*history(50, 0.5), *[0.0] * 10], "10 of 60 days have no demand"),
    ],
)
def test_what_tells_no_growth_is_refused(days: list[int], totals: list[float], says: str):
    with pytest.raises(InvalidInput, match=says):
        trend_growth(days, totals)


def test_single_days_without_demand_are_left_out_and_counted():
    totals = history(100, 0.5)
    totals[[10, 20]] = 0.0
    found = trend_growth(range(100), totals)
    assert found.days_without_demand == 2
    assert found.base.yearly_rate == pytest.approx(0.5)


def test_steady_growth_is_a_scenario():
    scenario: DemandScenario = stated_growth(low=0.0, base=0.5, high=1.0).base
    assert (scenario.name, scenario.quantile) == ("base", None)
    assert scenario.factor([0.0, 1.0, 2.0]) == pytest.approx([1.0, 1.5, 2.25])
    assert SteadyGrowth(name="fall", yearly_rate=-0.5).factor(2.0) == pytest.approx(0.25)


@pytest.mark.parametrize("rates", [(-1.0, 0.0, 0.0), (0.5, 0.4, 0.6), (0.0, math.nan, 1.0), (0.0, 0.0, math.inf)])
def test_stated_growth_that_means_nothing_is_refused(rates: tuple[float, float, float]):
    with pytest.raises(InvalidInput):
        stated_growth(low=rates[0], base=rates[1], high=rates[2])
