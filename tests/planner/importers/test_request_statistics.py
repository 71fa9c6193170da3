"""What is read off single requests."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.importers.request_statistics import burstiness, sent_rate_per_s, users_of_closed_loop, waits_grow


def test_burstiness_of_even_and_of_grouped_sends():
    assert burstiness(np.arange(50.0)) == pytest.approx(0.0)
    grouped = np.repeat(np.arange(20.0), 10)
    assert burstiness(grouped) == pytest.approx(9.0, rel=0.1), "one gap in ten is not zero: c² = 10 − 1"
    assert burstiness(np.arange(5.0)) is None


def test_sent_rate_counts_gaps():
    assert sent_rate_per_s(np.array([3.0, 1.0, 2.0])) == pytest.approx(1.0)
    assert sent_rate_per_s(np.array([3.0])) is None


def closed_loop(users, requests, rng):
    """Each user takes the next request of one pool, 0.1 ms after the answer to the one before."""
    free = [0.0] * users
    sent, times = [], rng.uniform(0.5, 1.5, requests)
    for time in times:
        start = heapq.heappop(free)
        sent.append(start)
        heapq.heappush(free, start + time + 1e-4)
    return np.array(sent), times


@given(users=st.integers(1, 40), seed=st.integers(0, 1000))
def test_users_of_a_closed_loop_are_found(users, seed):
    sent, times = closed_loop(users, 8 * users, np.random.default_rng(seed))
    assert users_of_closed_loop(sent, times) == users


@given(seed=st.integers(0, 1000))
def test_a_poisson_stream_is_not_taken_for_a_closed_loop(seed):
    rng = np.random.default_rng(seed)
    sent = np.cumsum(rng.exponential(0.2, 400))
    assert users_of_closed_loop(sent, rng.uniform(0.5, 1.5, 400)) is None


@pytest.mark.parametrize(("served_per_s", "grows"), [(12.0, False), (8.0, True)])
def test_waits_grow_where_more_is_sent_than_served(served_per_s, grows):
    sent = np.arange(300) / 10.0
    wait = 0.05 + np.maximum(0.0, np.arange(300) / served_per_s - sent)
    assert waits_grow(sent, wait) is grows
