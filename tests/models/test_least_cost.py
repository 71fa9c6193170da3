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
        return 30.5 / sum(count**0.9 for count in counts)

    cut = least_cost([1.0, 1.01, 1.02, 1.03], [1] * 4, [30] * 4, excess, budget=120)
    whole = least_cost([1.0, 1.01, 1.02, 1.03], [1] * 4, [30] * 4, excess)
    assert cut is not None
    assert whole is not None
    assert whole.is_optimal
    assert cut.lower_bound <= whole.cost <= cut.cost
