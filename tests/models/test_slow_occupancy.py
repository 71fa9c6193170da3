"""The law of the occupancy: spread by bursts or narrowed by turns, its mean is Little's."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.special import gammaln

from models.slow_occupancy import _spread

STATES = np.arange(400.0)


def mean_of(logs: np.ndarray) -> float:
    weights = np.exp(logs - logs.max())
    return float(weights @ STATES / weights.sum())


@given(log_mean=st.floats(-28.0, 5.5), peakedness=st.floats(0.05, 8.0))
@example(log_mean=0.5, peakedness=0.05)
@example(log_mean=3.0, peakedness=8.0)
def test_spreading_keeps_the_mean(log_mean: float, peakedness: float):
    poisson = STATES * log_mean - gammaln(STATES + 1.0)
    assert mean_of(_spread(poisson, peakedness, STATES)) == pytest.approx(mean_of(poisson), rel=1e-5)
