"""What is needed as demand grows, by the need's own curve."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from models.demand_scenario import SteadyGrowth
from models.errors import InvalidInput
from models.need_curve import THREE_POINTS, laws_of_years, need_of_demand, need_together, raised_to_the_end


def pooled(rates_per_s: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.ceil(rates_per_s + 2.0 * np.sqrt(rates_per_s))


def test_twice_the_demand_needs_less_than_twice_the_gpus():
    need_at = need_of_demand([4.0, math.nan, 100.0], pooled)
    assert np.asarray(need_at(1.0)) == pytest.approx([8.0, math.nan, 120.0], nan_ok=True)
    assert np.asarray(need_at(2.0)) == pytest.approx([14.0, math.nan, 229.0], nan_ok=True)


def test_a_history_that_grew_is_raised_to_what_it_was_at_its_end():
    double = SteadyGrowth(name="base", yearly_rate=1.0)
    raised = raised_to_the_end([10.0, math.nan, 20.0], [1.0, 0.5, 0.0], double)
    assert raised == pytest.approx([20.0, math.nan, 20.0], nan_ok=True)


def test_a_pool_is_not_known_where_one_of_its_services_is_not():
    pool = need_together([need_of_demand([4.0, 4.0], pooled), need_of_demand([100.0, math.nan], pooled)])
    assert np.asarray(pool(1.0)) == pytest.approx([128.0, math.nan], nan_ok=True)
    with pytest.raises(InvalidInput):
        need_together([])


def test_the_law_of_a_year_is_that_of_its_moments_and_scenarios():
    need_at = need_of_demand([10.0, 20.0], lambda rates: rates)
    double = SteadyGrowth(name="high", yearly_rate=1.0)
    laws = laws_of_years(need_at, [double], years=3, moments=1)
    assert [law.mean for law in laws] == pytest.approx([15.0 * 2.0**0.5, 15.0 * 2.0**1.5, 15.0 * 2.0**2.5])
    (fine,) = laws_of_years(need_at, [double], years=1, moments=64)
    assert fine.mean == pytest.approx(15.0 / math.log(2.0), rel=1e-4)  # the mean of 2^t over a year
    steady = SteadyGrowth(name="low", yearly_rate=0.0)
    (both,) = laws_of_years(need_at, [steady, double], [0.75, 0.25], years=1, moments=1)
    assert both.mean == pytest.approx(0.75 * 15.0 + 0.25 * 15.0 * 2.0**0.5)


def test_three_points_keep_mean_and_variance_of_a_normal_law():
    points, weights = np.array([-1.2816, 0.0, 1.2816]), np.array(THREE_POINTS)
    assert (weights.sum(), weights @ points) == (pytest.approx(1.0), pytest.approx(0.0))
    assert weights @ points**2 == pytest.approx(1.0, abs=0.02)


def test_a_scenario_without_weight_is_refused():
    with pytest.raises(InvalidInput, match="weight"):
        laws_of_years(need_of_demand([1.0], pooled), [SteadyGrowth(name="low", yearly_rate=0.0)] * 2, years=1)
