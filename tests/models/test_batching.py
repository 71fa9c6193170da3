"""Dynamic batching: queues whose laws are known, by the chain and by the simulator, and what holds of every answer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.batcher import Batcher, DispatchRule
from models.dynamic_batching import chain_answer, predict_batching
from models.errors import InvalidInput
from models.service_time import ServiceTime
from models.simulation.batching import simulate_batching
from models.workload import OpenArrivals


def batcher(sizes: dict[int, float], *, cv: float = 0.0, **more) -> Batcher:
    times = ServiceTime(batches=tuple(sizes), means_s=tuple(sizes.values()), cvs=(cv,) * len(sizes))
    return Batcher(service_time=times, max_batch_size=max(sizes), **more)


def poisson(rate_per_s: float) -> OpenArrivals:
    return OpenArrivals(rate_per_s=rate_per_s)


def erlang_wait(t: float, rho: float) -> float:
    """P(W ≤ t) of M/D/1 with service 1 (Erlang 1909; Tijms 2003, §9.6)."""
    return (1.0 - rho) * sum(
        (-rho * (t - k)) ** k / math.factorial(k) * math.exp(rho * (t - k)) for k in range(int(t) + 1)
    )


def geometric_root(rate: float, size: int) -> float:
    """r with rate = r + r² + … + r^size: M/M^[1,b]/1 at service rate 1, q waiting while busy has P ~ r^q.

    From the balance (λ + 1) P(q) = λ P(q − 1) + P(q + b) and λ P(0) = P(1) + … + P(b).
    """
    roots = np.roots([*np.ones(size), -rate])
    return float(roots[(abs(roots.imag) < 1e-9) & (roots.real > 0)].real[0])


@pytest.mark.parametrize("rho", [0.3, 0.8])
def test_fixed_service_of_single_requests_waits_as_erlang_says(rho: float):
    known = chain_answer(batcher({1: 1.0}), poisson(rho)).queue
    for q in (0.8, 0.95, 0.99):
        assert erlang_wait(known.quantile(q), rho) == pytest.approx(q, abs=0.004)
    seen = simulate_batching(batcher({1: 1.0}), poisson(rho), requests=400_000).queue
    assert seen.mean_s == pytest.approx(rho / (2.0 * (1.0 - rho)), rel=0.03)


@pytest.mark.parametrize(("size", "rate"), [(1, 0.7), (4, 2.0), (16, 12.0)])
def test_exponential_service_of_batches_has_a_geometric_queue(size: int, rate: float):
    r = geometric_root(rate, size)
    empty = 1.0 / (1.0 / rate + 1.0 / (1.0 - r))  # P(busy, none waits); idle is P(0) / rate
    mean_wait = empty * r / (1.0 - r) ** 2 / rate
    mean_batch = rate / (empty / (1.0 - r))  # served at rate 1 while busy
    served = batcher({1: 1.0, size: 1.0} if size > 1 else {1: 1.0}, cv=1.0)
    known = chain_answer(served, poisson(rate))
    assert known.mean_batch == pytest.approx(mean_batch, rel=1e-4)
    assert known.queue.mean_s == pytest.approx(mean_wait, rel=0.05)
    seen = simulate_batching(served, poisson(rate), requests=1_500_000)
    assert seen.mean_batch == pytest.approx(mean_batch, rel=0.01)
    assert seen.queue.mean_s == pytest.approx(mean_wait, rel=0.03)


def test_several_instances_share_one_queue():
    # M/M/3 at 80 %: C(3, 2.4) = 0.6472 (Erlang's table), mean wait C / (3 − 2.4).
    seen = simulate_batching(batcher({1: 1.0}, cv=1.0, instances=3), poisson(2.4), requests=1_000_000)
    assert np.mean(seen.queue_s > 0.0) == pytest.approx(0.6472, rel=0.02)
    assert seen.queue.mean_s == pytest.approx(0.6472 / 0.6, rel=0.04)
    assert seen.utilization == pytest.approx(0.8, rel=0.01)


def test_a_lone_request_waits_for_company_as_long_as_the_delay():
    alone = batcher({1: 0.02, 8: 0.05}, max_queue_delay_s=0.01)
    for rule in DispatchRule:
        seen = simulate_batching(alone, poisson(0.01), rule=rule, requests=1000)
        assert seen.e2e.quantile(0.5) == pytest.approx(0.03)


def test_an_instance_takes_the_largest_preferred_batch():
    choosy = batcher({1: 0.02, 8: 0.05}, preferred_batch_sizes=(4, 6))
    assert [choosy.taken(waiting) for waiting in (1, 3, 4, 5, 6, 9)] == [1, 3, 4, 4, 6, 6]
    assert choosy.capacity_per_s == pytest.approx(6 / choosy.means_s[6])


def test_more_than_capacity_is_told():
    found = predict_batching(batcher({1: 0.02, 8: 0.05}), poisson(161.0))
    assert (found.stable, found.e2e, found.mean_batch) == (False, None, 8.0)


def test_times_must_be_known_for_every_batch():
    with pytest.raises(InvalidInput, match="known for 1 to 4"):
        Batcher(service_time=ServiceTime(batches=(1, 4), means_s=(0.02, 0.03), cvs=(0.0, 0.0)), max_batch_size=8)


@given(
    size=st.integers(1, 24), instances=st.integers(1, 4), load=st.floats(0.05, 0.95), growth=st.floats(1.0, 8.0),
    burstiness=st.floats(0.3, 4.0), cv=st.floats(0.0, 0.5),
)  # fmt: skip
def test_laws_are_laws_and_know_no_unit_of_time(size, instances, load, growth, burstiness, cv):
    answers = []
    for unit in (1.0, 1e-3):
        sizes = {1: unit, size: unit * growth} if size > 1 else {1: unit}
        one = batcher(sizes, cv=cv, instances=instances)
        answers.append(chain_answer(one, OpenArrivals(rate_per_s=load * one.capacity_per_s, burstiness=burstiness)))
    known, same = answers
    assert 1.0 <= known.mean_batch <= size * (1.0 + 1e-9)
    for law in (known.queue, known.e2e):
        assert np.all(np.diff(law.values_s) >= 0.0)
        assert np.all(np.diff(law.cdf) > 0.0)
    shares = np.array([0.1, 0.5, 0.9, 0.99])
    assert np.all(known.e2e.quantiles(shares) >= known.queue.quantiles(shares))
    assert same.e2e.quantiles(shares) * 1e3 == pytest.approx(known.e2e.quantiles(shares), rel=1e-6)
