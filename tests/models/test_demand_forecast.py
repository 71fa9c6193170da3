"""A forecast of demand: straight lines exactly, noise within its quantiles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.demand_forecast import level_and_trend
from models.errors import InvalidInput


@given(level=st.floats(1.0, 1e4), slope=st.floats(0.0, 10.0), horizon_s=st.floats(15.0, 600.0))
def test_a_straight_line_goes_on(level: float, slope: float, horizon_s: float):
    times = np.arange(0.0, 600.0, 15.0)
    found = level_and_trend(times, level + slope * times, horizon_s=horizon_s, window_s=60.0)
    assert found.mean_per_s == pytest.approx(level + slope * (times[-1] + horizon_s), rel=1e-3)
    assert found.trend_per_s2 == pytest.approx(slope, rel=1e-3, abs=1e-6)


def test_the_quantile_covers_what_it_says_of_noise_about_a_level():
    rng = np.random.default_rng(7)
    times, covered = np.arange(0.0, 900.0, 15.0), []
    for _ in range(300):
        rates = rng.poisson(20.0 * 15.0, times.size + 8) / 15.0
        found = level_and_trend(times, rates[: times.size], horizon_s=120.0, window_s=15.0)
        covered.append(rates[-1] <= found.quantile(0.95))
    assert 0.93 <= float(np.mean(covered)) <= 1.0


def test_the_further_ahead_the_less_sure():
    times = np.arange(0.0, 600.0, 15.0)
    rates = 10.0 + np.cumsum(np.random.default_rng(1).normal(0.0, 0.5, times.size))
    near, far = (level_and_trend(times, rates, horizon_s=h, window_s=60.0).deviation_per_s for h in (15.0, 300.0))
    assert near < far


def test_two_samples_make_no_trend():
    found = level_and_trend([0.0, 15.0], [1.0, 9.0], horizon_s=300.0, window_s=60.0)
    assert (found.mean_per_s, found.trend_per_s2) == (9.0, 0.0)
    assert found.deviation_per_s > 3.0


def test_times_that_do_not_ascend_are_refused():
    with pytest.raises(InvalidInput):
        level_and_trend([0.0, 0.0], [1.0, 1.0], horizon_s=1.0, window_s=60.0)


@pytest.mark.parametrize("after", range(1, 20))
def test_a_sudden_fall_makes_no_peak_likelier(after: int):
    times = 60.0 * np.arange(10 + after)
    rates = np.where(times < 600.0, 160.0, 20.0) + np.random.default_rng(3).normal(0.0, 0.5, times.size)
    assert 19.0 < level_and_trend(times, rates, horizon_s=120.0, window_s=60.0).quantile(0.95) < 30.0
