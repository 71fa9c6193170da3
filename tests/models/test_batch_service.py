"""Service times from sums over requests: what is known of the batch, and the line that is found."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.batch_service import ExecutedBatches, fit_service_time, size_biased_batch
from models.errors import InvalidInput
from models.service_time import ServiceTime


@given(st.integers(1, 64), st.floats(0.0, 1.0))
def test_the_size_biased_batch_lies_between_its_bounds(largest, share):
    mean = min(1.0 + share * (largest - 1), float(largest))
    biased, apart = size_biased_batch(mean, largest)
    assert mean - 1e-6 <= biased <= mean + apart + 1e-6


@pytest.mark.parametrize("mean", [1.0, 8.0])
def test_nothing_is_assumed_of_batches_of_one_and_of_full_ones(mean):
    assert size_biased_batch(mean, 8) == (mean, 0.0)


def test_half_full_batches_are_taken_as_any_size_alike():
    """Mean 4.5 of 1…8: the uniform law, whose E[B²]/E[B] is 25.5 / 4.5."""
    assert size_biased_batch(4.5, 8)[0] == pytest.approx(25.5 / 4.5)


def stretch(sizes: np.ndarray, weights: np.ndarray) -> ExecutedBatches:
    """What a server adds up where each batch lasts 20 ms + 8 ms an item."""
    mean = float(weights @ sizes / weights.sum())
    return ExecutedBatches(
        mean_batch=mean, service_s=float(weights @ (sizes * (0.02 + 0.008 * sizes)) / (weights @ sizes))
    )


def test_the_known_line_is_found_whatever_the_batches_between_were():
    sizes = np.arange(1.0, 9.0)
    poisson = np.array([2.0**size / math.factorial(int(size)) for size in sizes])
    constant = (sizes == 4.0).astype(float)
    points = [stretch(sizes, weights) for weights in (sizes == 1.0, sizes == 8.0, poisson, constant)]
    found = fit_service_time(points, 8)
    assert found.seconds(1.0) == pytest.approx(0.028, rel=0.02)
    assert found.seconds(8.0) == pytest.approx(0.084, rel=0.02)
    assert found.errors[-1] > 0.1  # batches all alike are what chance does not make


@pytest.mark.parametrize("means", [[], [1.0], [1.0, 1.1], [7.0, 7.9]])
def test_batches_that_are_alike_do_not_tell(means):
    points = [ExecutedBatches(mean_batch=mean, service_s=0.03) for mean in means]
    with pytest.raises(InvalidInput, match="the batches do not vary enough to learn from") as told:
        fit_service_time(points, 8)
    assert "full batches (8)" in told.value.remedy


def test_without_batching_there_is_one_time():
    assert fit_service_time([ExecutedBatches(mean_batch=1.0, service_s=0.03)], 1).seconds(1.0) == 0.03


def test_service_times_are_interpolated_and_not_drawn_out():
    known = ServiceTime(batches=(1, 8), means_s=(0.028, 0.084), cvs=(0.0, 0.0))
    assert known.seconds([1, 4.5, 8]) == pytest.approx([0.028, 0.056, 0.084])
    with pytest.raises(InvalidInput, match="known for batches of 1 to 8"):
        known.seconds(9)
