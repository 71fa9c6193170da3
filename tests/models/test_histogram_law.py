"""A law read from bucket counts: exact where the buckets are, sensible between, and honest about what is a guess."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InvalidInput
from models.histogram_law import BucketCounts, _cost, _start, law

TTFT_ENDS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, math.inf)
"""vLLM's for the time to first token, up to 10 s."""


def buckets(samples: np.ndarray, ends: tuple[float, ...] = TTFT_ENDS) -> BucketCounts:
    counts, _ = np.histogram(samples, bins=[0.0, *ends[:-1], 1e9])
    return BucketCounts(upper_s=ends, counts=tuple(map(float, counts)), sum_s=float(samples.sum()))


def lognormal(median_s: float, spread: float, size: int = 20_000, seed: int = 7) -> np.ndarray:
    return median_s * np.exp(spread * np.random.default_rng(seed).standard_normal(size))


samples = st.lists(st.floats(0.002, 9.0), min_size=1, max_size=200).map(np.array)


@given(samples)
def test_every_bucket_keeps_its_count(observed):
    histogram = buckets(observed)
    fitted = law(histogram)
    below = np.cumsum(histogram.counts) / histogram.total
    for end, share in zip(TTFT_ENDS[:-1], below[:-1], strict=True):
        assert fitted.exceedance(end * (1 + 1e-9)) == pytest.approx(1.0 - share, abs=1e-9)


@given(samples)
def test_the_mean_is_the_sum_over_the_count(observed):
    fitted = law(buckets(observed))
    assert fitted.mean_s == pytest.approx(observed.mean())
    steps = np.diff(np.concatenate(([0.0], fitted.cdf)))
    assert float(steps @ fitted.values_s) == pytest.approx(observed.mean(), rel=0.1)  # upper ends of the cells


@given(samples, st.floats(0.01, 0.999))
def test_a_quantile_lies_in_the_bucket_that_must_hold_it(observed, q):
    histogram = buckets(observed)
    low, high = histogram.bounds(q)
    assert low <= law(histogram).quantile(q) <= high * (1 + 1e-9)
    assert low <= histogram.interpolated(q) <= high


@pytest.mark.parametrize(("median_s", "spread"), [(0.15, 0.3), (0.6, 0.5), (1.4, 0.2), (0.07, 0.8)])
def test_a_lognormal_is_found_again(median_s, spread):
    observed = lognormal(median_s, spread)
    fitted = law(buckets(observed))
    for q in (0.5, 0.9, 0.95, 0.99):
        assert fitted.quantile(q) == pytest.approx(np.quantile(observed, q), rel=0.06)


def test_two_groups_of_requests_far_better_than_straight_lines():
    """Three in four find the engine idle, the rest queue: interpolation is off where the buckets are wide."""
    observed = np.concatenate((lognormal(0.11, 0.08, 15_000), lognormal(1.1, 0.1, 5_000)))
    histogram = buckets(observed)
    fitted = law(histogram)
    for q in (0.5, 0.9, 0.95):
        exact = float(np.quantile(observed, q))
        assert abs(fitted.quantile(q) / exact - 1.0) < 0.05
        assert abs(histogram.interpolated(q) / exact - 1.0) > 0.15


def test_the_sum_moves_a_law_within_one_bucket():
    ends, counts = (0.3, 0.5, math.inf), (100.0, 0.0, 0.0)
    low = law(BucketCounts(upper_s=ends, counts=counts, sum_s=1.0))
    high = law(BucketCounts(upper_s=ends, counts=counts, sum_s=25.0))
    assert low.quantile(0.5) < 0.02
    assert 0.2 < high.quantile(0.5) <= 0.3


def test_percentiles_in_the_first_and_the_last_bucket_are_guesses():
    histogram = BucketCounts(upper_s=(0.3, 0.5, 1.0, math.inf), counts=(80.0, 10.0, 5.0, 5.0), sum_s=40.0)
    assert not histogram.resolved(0.5)
    assert histogram.resolved(0.85)
    assert not histogram.resolved(0.99)
    assert histogram.interpolated(0.99) == 1.0
    assert law(histogram).quantile(0.99) > 1.0


@pytest.mark.parametrize("sum_s", [0.0, 1e-9, 1e6], ids=["nothing", "too little", "too much"])
def test_a_sum_that_the_buckets_contradict_leaves_the_counts_alone(sum_s):
    histogram = BucketCounts(upper_s=(0.1, 0.2, math.inf), counts=(1.0, 98.0, 1.0), sum_s=sum_s)
    assert law(histogram).exceedance(0.1 * (1 + 1e-9)) == pytest.approx(0.99)


def test_what_was_observed_between_two_readings():
    seen = BucketCounts.increase(
        {0.1: 5.0, 0.2: 7.0, math.inf: 8.0},
        {0.1: 6.0, 0.2: 11.0, math.inf: 13.0},
        sum_before=1.0,
        sum_after=2.5,
    )
    assert seen == BucketCounts(upper_s=(0.1, 0.2, math.inf), counts=(1.0, 3.0, 1.0), sum_s=1.5)
    assert (seen.total, seen.mean_s) == (5.0, 0.3)
    assert (seen + seen).counts == (2.0, 6.0, 2.0)


def test_nothing_observed_has_no_mean_and_no_law():
    empty = BucketCounts(upper_s=(0.1, math.inf), counts=(0.0, 0.0), sum_s=0.0)
    assert empty.mean_s is None
    with pytest.raises(InvalidInput, match="an empty histogram has no law"):
        law(empty)
    with pytest.raises(InvalidInput, match=r"no quantile 0\.5 of 0 observations"):
        empty.bounds(0.5)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({0.1: 5.0, math.inf: 8.0}, {0.1: 1.0, math.inf: 2.0}, "negative"),
        ({0.1: 5.0, math.inf: 8.0}, {0.2: 6.0, math.inf: 9.0}, "buckets of a histogram changed"),
        ({0.1: 5.0}, {0.1: 6.0}, "infinity"),
        ({0.1: 5.0, math.inf: 5.0}, {0.1: 9.0, math.inf: 6.0}, "negative"),
    ],
    ids=["reset", "other buckets", "no +Inf", "not cumulative"],
)
def test_readings_that_make_no_histogram(before, after, said):
    with pytest.raises(InvalidInput, match=said):
        BucketCounts.increase(before, after, sum_before=0.0, sum_after=1.0)


def test_different_buckets_do_not_add():
    one = BucketCounts(upper_s=(0.1, math.inf), counts=(1.0, 0.0), sum_s=0.05)
    other = BucketCounts(upper_s=(0.2, math.inf), counts=(1.0, 0.0), sum_s=0.05)
    with pytest.raises(InvalidInput, match="different buckets"):
        _ = one + other


@pytest.mark.parametrize("components", [1, 2, 3])
def test_the_slope_of_the_cost_is_its_slope(components):
    histogram = buckets(lognormal(0.3, 0.6, 500))
    start, _ = _start(histogram, components)
    point = start + 0.1 * np.random.default_rng(components).standard_normal(start.size)
    given_data = (np.asarray(histogram.counts), np.log(np.asarray(histogram.upper_s[:-1])), math.log(histogram.mean_s))
    _, slope = _cost(point, *given_data)
    for index in range(point.size):
        aside = np.zeros(point.size)
        aside[index] = 1e-6
        rise = _cost(point + aside, *given_data)[0] - _cost(point - aside, *given_data)[0]
        assert slope[index] == pytest.approx(rise / 2e-6, rel=1e-3, abs=1e-3)
