"""The day when capacity runs out is the first one that walking day by day finds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from models.capacity_exhaustion import exhaustion
from models.demand_scenario import SteadyGrowth
from models.errors import InvalidInput
from models.need_curve import need_of_demand
from models.purchase_offers import ExistingCommitment


def pooled(rates_per_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """GPUs as a pool of servers needs them: the work, and its root to spare (Halfin and Whitt)."""
    return np.ceil(rates_per_s + 2.0 * np.sqrt(rates_per_s))


@dataclass(frozen=True)
class Seasons:
    """A demand that rises and falls with the year: what a forecast may bring."""

    growth: float
    swing: float
    name: str = "forecast"
    quantile: float | None = 0.95

    def factor(self, years: ArrayLike) -> NDArray[np.float64]:
        at = np.asarray(years, dtype=float)
        found: NDArray[np.float64] = (1.0 + self.growth) ** at * (1.0 + self.swing * np.sin(2.0 * np.pi * at))
        return found


COMMITTED = st.lists(
    st.builds(
        ExistingCommitment,
        gpus=st.integers(0, 40),
        days_left=st.sampled_from([0.0, 1.0, 30.0, 200.0, 365.25, math.inf]),
    ),
    max_size=4,
)


@given(
    rates=st.lists(st.floats(0.0, 30.0) | st.just(math.nan), min_size=1, max_size=12).filter(
        lambda rates: not all(map(math.isnan, rates))
    ),
    scenario=st.builds(SteadyGrowth, name=st.just("base"), yearly_rate=st.floats(-0.9, 3.0))
    | st.builds(Seasons, growth=st.floats(-0.5, 1.0), swing=st.floats(0.0, 0.9)),
    committed=COMMITTED,
    quantile=st.sampled_from([0.5, 0.9, 1.0]),
)
def test_the_day_is_the_first_of_all_days(
    rates: list[float],
    scenario: SteadyGrowth | Seasons,
    committed: list[ExistingCommitment],
    quantile: float,
):
    found = exhaustion(need_of_demand(rates, pooled), scenario, committed, quantile=quantile, horizon_days=400)
    known = np.array([rate for rate in rates if not math.isnan(rate)])
    first = None
    for day in range(400):
        factor = float(scenario.factor(day / 365.25))
        need = np.quantile(pooled(known * factor), quantile, method="inverted_cdf")
        if need > sum(each.gpus for each in committed if each.days_left > day):
            first = day
            break
    assert found.day == first
    assert (found.needed_gpus > found.committed_gpus) == (first is not None)
    assert (found.cause is None) == (first is None)


def test_the_need_grows_more_slowly_than_demand():
    committed = [ExistingCommitment(gpus=48)]
    need_at = need_of_demand([16.0], pooled)  # 24 GPUs now; twice as many at 36.1, not at 32 requests a second
    found = exhaustion(need_at, SteadyGrowth(name="high", yearly_rate=1.0), committed)
    assert found.day == math.floor(365.25 * math.log2(36.0 / 16.0)) + 1 == 428
    assert (found.needed_gpus, found.committed_gpus, found.cause) == (49.0, 48, "growth")
    assert found.factor == pytest.approx(36.0 / 16.0, rel=2e-3)


def test_a_commitment_that_ends_is_told_from_growth():
    committed = [ExistingCommitment(gpus=10), ExistingCommitment(gpus=30, days_left=90)]
    found = exhaustion(need_of_demand([16.0], pooled), SteadyGrowth(name="low", yearly_rate=0.0), committed)
    assert (found.day, found.cause, found.committed_gpus) == (90, "a commitment ends", 10)


def test_never_within_the_horizon_is_an_answer():
    found = exhaustion(
        need_of_demand([16.0], pooled), SteadyGrowth(name="low", yearly_rate=0.0), [ExistingCommitment(gpus=24)]
    )
    assert (found.day, found.cause, found.horizon_days, found.needed_gpus) == (None, None, 1096, 24.0)


def test_what_is_short_today_is_short_already():
    found = exhaustion(need_of_demand([16.0], pooled), SteadyGrowth(name="low", yearly_rate=-0.5), [])
    assert (found.day, found.cause) == (0, "already")


def test_it_asks_for_the_need_a_few_times_only():
    asked = []

    def need_at(factor: float) -> list[float]:
        asked.append(factor)
        return [10.0 * factor]

    exhaustion(need_at, SteadyGrowth(name="base", yearly_rate=0.5), [ExistingCommitment(gpus=20)])
    assert len(asked) <= 12


def test_a_history_without_data_is_refused():
    with pytest.raises(InvalidInput, match="no slot tells"):
        exhaustion(need_of_demand([math.nan], pooled), SteadyGrowth(name="base", yearly_rate=0.5), [])
    with pytest.raises(InvalidInput, match="forecast"):
        exhaustion(need_of_demand([1.0], pooled), Seasons(growth=0.0, swing=1.5), [])
