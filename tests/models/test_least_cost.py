"""The cheapest counts are those that trying all of them finds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.least_cost import least_cost

HIGHEST = 5


@given(
    st.integers(1, 4),
    st.integers(0, 10_000),
    st.floats(0.3, 1.2),
)
def test_no_counts_that_hold_are_cheaper(places: int, seed: int, limit: float):
    rng = np.random.default_rng(seed)
    prices = rng.choice([0.5, 1.0, 2.0, 3.3], places).tolist()
    latency = np.sort(rng.random((places, HIGHEST)), axis=1)[:, ::-1]  # never slower with more

    def excess(counts: tuple[int, ...]) -> float:
        return sum(float(latency[place, count - 1]) for place, count in enumerate(counts)) / (limit * places)

    every = itertools.product(range(1, HIGHEST + 1), repeat=places)
    costs = [sum(p * c for p, c in zip(prices, counts, strict=True)) for counts in every if excess(counts) <= 1.0]
    found = least_cost(prices, [1] * places, [HIGHEST] * places, excess)
    if not costs:
        assert found is None
        return
    assert found is not None
    assert found.is_optimal
    assert excess(found.counts) <= 1.0
    assert found.cost == pytest.approx(min(costs))


def test_a_search_that_is_cut_short_tells_how_far_it_may_be_off():
    def excess(counts: tuple[int, ...]) -> float:
        return sum(work / count**2 for work, count in zip((4.0, 3.0, 6.0, 9.0, 5.0), counts, strict=True))

    prices = [1.0, 2.01, 1.5, 3.0, 0.7]
    cut = least_cost(prices, [1] * 5, [60] * 5, excess, budget=150)
    whole = least_cost(prices, [1] * 5, [60] * 5, excess)
    assert cut is not None
    assert whole is not None
    assert whole.is_optimal
    assert not cut.is_optimal
    assert cut.lower_bound <= whole.cost <= cut.cost
