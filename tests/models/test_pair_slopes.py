"""The median of pair slopes, its band and ranks are those of scipy.stats, which starts too slowly for the product."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.pair_slopes import mid_ranks, pair_slope

VALUES = st.lists(st.integers(-20, 20) | st.floats(-20.0, 20.0), min_size=3, max_size=40)


@given(values=VALUES, quantile=st.sampled_from([0.75, 0.9, 0.95, 0.995]), seed=st.integers(0, 100))
def test_slope_and_band_are_those_of_scipy(values: list[float], quantile: float, seed: int):
    from scipy.stats import theilslopes

    y = np.array(values, dtype=float)
    x = np.sort(np.random.default_rng(seed).permutation(3 * y.size)[: y.size]).astype(float)
    found, known = pair_slope(x, y, quantile=quantile), theilslopes(y, x, 2.0 * quantile - 1.0)
    assert (found.slope, found.low, found.high) == pytest.approx((known.slope, known.low_slope, known.high_slope))


@given(VALUES)
def test_ranks_are_those_of_scipy(values: list[float]):
    from scipy.stats import rankdata

    assert mid_ranks(np.array(values)) == pytest.approx(rankdata(values) - (len(values) + 1) / 2)
