"""Growth from a history: exact for a clean trend, robust to odd days, honest about what it does not know."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.demand_growth import GrowthTrend, require_plausible, trend_growth
from models.demand_scenario import DemandScenario, SteadyGrowth, WanderingGrowth, stated_growth
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


@pytest.mark.parametrize("together", [0.0, 0.8])
def test_growth_of_a_steady_trend_is_within_what_the_quantile_says(together: float):
    rng = np.random.default_rng(11)
    within = []
    for _ in range(150):
        totals = history(126, 1.0, autoregressive(rng, 126, together))
        totals[rng.random(126) < 0.1] = np.nan
        found = trend_growth(range(126), totals, quantile=0.9)
        within.append((found.high.yearly_rate >= 1.0, found.low.yearly_rate <= 1.0))
    assert np.all(np.mean(within, axis=0) >= 0.9)


@pytest.mark.parametrize("ahead", [91, 365])
def test_demand_that_wanders_is_held_about_as_often_as_the_quantile_says(ahead: int):
    rng = np.random.default_rng(12)
    below, above = [], []
    for _ in range(200):
        level = np.cumsum(rng.normal(0.0, 0.01, 250 + ahead))
        found = trend_growth(range(250), history(250, 0.0, level[:250] + rng.normal(0.0, 0.1, 250)), quantile=0.9)
        grown = math.exp(level[-1] - level[249])
        below.append(grown <= float(found.high.factor(ahead / 365.25)))
        above.append(grown >= float(found.low.factor(ahead / 365.25)))
    assert 0.8 <= float(np.mean(below)) <= 0.97
    assert 0.8 <= float(np.mean(above)) <= 0.97


def test_a_bend_shows_in_the_recent_rate():
    straight = 1e6 * (1.0 + np.arange(300) / 300.0)
    found = trend_growth(range(300), straight)
    assert found.recent_yearly_rate is not None
    assert found.recent_yearly_rate < 0.85 * found.base.yearly_rate
    assert trend_growth(range(80), straight[:80]).recent_yearly_rate is None


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
    assert width(short) > 4.0 * width(long)
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


def test_what_wanders_is_less_sure_by_the_root_of_time():
    growth = WanderingGrowth(name="high", quantile=0.9, steady_rate=0.5, slope_spread=0.3, wander_spread=0.4)
    assert growth.yearly_rate == pytest.approx(1.5 * math.exp(0.5) - 1.0)
    assert growth.factor([0.0, 4.0]) == pytest.approx([1.0, 1.5**4 * math.exp(math.hypot(1.2, 0.8))])


def test_steady_growth_is_a_scenario():
    scenario: DemandScenario = stated_growth(low=0.0, base=0.5, high=1.0).base
    assert (scenario.name, scenario.quantile) == ("base", None)
    assert scenario.factor([0.0, 1.0, 2.0]) == pytest.approx([1.0, 1.5, 2.25])
    assert SteadyGrowth(name="fall", yearly_rate=-0.5).factor(2.0) == pytest.approx(0.25)


@pytest.mark.parametrize("rates", [(-1.0, 0.0, 0.0), (0.5, 0.4, 0.6), (0.0, math.nan, 1.0), (0.0, 0.0, math.inf)])
def test_stated_growth_that_means_nothing_is_refused(rates: tuple[float, float, float]):
    with pytest.raises(InvalidInput):
        stated_growth(low=rates[0], base=rates[1], high=rates[2])


def stepped(days: int, times: float, noise: NDArray[np.float64] | float = 0.0) -> NDArray[np.float64]:
    return history(days, 0.0, noise) * np.where(np.arange(days) < days // 2, 1.0, times)


@given(days=st.integers(70, 400), times=st.sampled_from([0.2, 1.6, 4.0, 50.0]), seed=st.integers(0, 20))
def test_a_step_is_no_growth(days: int, times: float, seed: int):
    noise = np.random.default_rng(seed).normal(0.0, 0.05, days)
    with pytest.raises(InvalidInput, match=r"one step of ×.* no growth is taken from it"):
        require_plausible(trend_growth(range(days), stepped(days, times, noise)))


def test_a_step_is_told_by_its_size():
    assert trend_growth(range(200), stepped(200, 4.0)).step == pytest.approx(4.0, rel=0.05)
    assert trend_growth(range(200), history(200, 1.0)).step is None


@given(days=st.integers(180, 400), rate=st.floats(-0.5, 2.5), seed=st.integers(0, 20))
def test_steady_growth_is_plausible(days: int, rate: float, seed: int):
    noise = np.random.default_rng(seed).normal(0.0, 0.05, days)
    require_plausible(trend_growth(range(days), history(days, rate, noise)))


@pytest.mark.parametrize(("days", "rate", "says"), [(100, 20.0, "×21 a year"), (100, -0.9, "×0.1 a year")])
def test_growth_beyond_four_times_a_year_is_refused(days: int, rate: float, says: str):
    with pytest.raises(InvalidInput, match=says):
        require_plausible(trend_growth(range(days), history(days, rate)))


def test_a_band_that_says_nothing_is_refused():
    level = np.cumsum(np.random.default_rng(4).normal(0.0, 0.08, 70))
    with pytest.raises(InvalidInput, match="no growth is taken from it"):
        require_plausible(trend_growth(range(70), history(70, 0.0, level)))
