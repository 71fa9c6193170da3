"""The dynamic batcher under delays, preferred sizes, bursts and several instances, against a second simulator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.batcher import Batcher, DispatchRule
from models.batching_discrepancy import corrected, within_reach
from models.dynamic_batching import bracket, chain_answer, predict_batching
from models.service_time import ServiceTime
from models.simulation import batch_loop
from models.simulation.batching import simulate_batching
from models.workload import OpenArrivals
from tests.batching_referee import gamma_arrivals, referee

IDLE, RUNNING = DispatchRule.WHEN_IDLE, DispatchRule.WHILE_RUNNING


def batcher(sizes: dict[int, float], *, cv: float = 0.0, **more) -> Batcher:
    times = ServiceTime(batches=tuple(sizes), means_s=tuple(sizes.values()), cvs=(cv,) * len(sizes))
    return Batcher(service_time=times, max_batch_size=max(sizes), **more)


@settings(deadline=None)
@given(
    largest=st.integers(1, 12), preferred=st.sets(st.integers(1, 12), max_size=3), delay=st.floats(0.0, 0.2),
    instances=st.integers(1, 4), rule=st.sampled_from(DispatchRule), load=st.floats(0.05, 1.2), seed=st.integers(1, 99),
    burstiness=st.floats(0.3, 4.0),
)  # fmt: skip
def test_both_simulators_start_each_request_at_the_same_moment(
    largest, preferred, delay, instances, rule, load, seed, burstiness
):
    sizes = {1: 0.02} if largest == 1 else {1: 0.02, largest: 0.05}
    sizes_wanted = tuple(sorted(size for size in preferred if size <= largest))
    one = batcher(sizes, preferred_batch_sizes=sizes_wanted, max_queue_delay_s=delay, instances=instances)
    arrivals = np.array(gamma_arrivals(load * one.capacity_per_s, burstiness, 200, seed))
    started, done, batch, _ = batch_loop.run(
        arrivals, one.means_s, one.cvs, np.array(one.wanted), largest, delay, instances,
        rule is RUNNING and delay > 0.0, 1,
    )  # fmt: skip
    expected = referee(one, rule, arrivals)
    np.testing.assert_allclose(np.column_stack([started, done, batch]), expected, rtol=1e-9)


CASES = {
    "beyond any delay learned from": (batcher({1: 0.002, 32: 0.006}, max_queue_delay_s=0.01), 20.0, 1.0),
    "a delay of twenty batches": (batcher({1: 0.005, 16: 0.02}, max_queue_delay_s=0.1), 10.0, 1.0),
    "long delay, many in it": (batcher({1: 0.001, 32: 0.004}, max_queue_delay_s=0.01, instances=2), 500.0, 1.0),
    "delay, bursts": (batcher({1: 0.02, 8: 0.06}, max_queue_delay_s=0.03), 50.0, 3.0),
    "delay, preferred": (
        batcher({1: 0.028, 8: 0.084}, max_queue_delay_s=0.03, preferred_batch_sizes=(3,)), 60.0, 1.0,
    ),
    "preferred, two instances": (
        batcher({1: 0.02, 24: 0.38}, cv=0.1, preferred_batch_sizes=(3, 9), instances=2), 88.0, 1.0,
    ),
    "three instances": (batcher({1: 0.02, 8: 0.06}, instances=3), 280.0, 1.0),
    "eight instances": (batcher({1: 0.028, 8: 0.084}, instances=8), 457.0, 1.0),
    "a thousand instances": (batcher({1: 0.01, 8: 0.02}, instances=1000), 5000.0, 1.0),
    "regular arrivals": (batcher({1: 0.02, 8: 0.06}), 90.0, 0.3),
    "bursts": (batcher({1: 0.02, 8: 0.06}), 70.0, 4.0),
    "batches of up to 20,000": (batcher({1: 0.01, 20_000: 2.0}), 5000.0, 1.0),
    "uneven batches": (batcher({1: 0.028, 8: 0.084}, cv=1.0), 47.6, 1.0),
    "uneven batches, two instances": (batcher({1: 0.02, 8: 0.06}, cv=0.95, instances=2), 100.0, 1.0),
    "four instances with nothing to do": (batcher({1: 0.028, 8: 0.084}, instances=4), 0.4, 1.0),
}  # fmt: skip


@pytest.mark.parametrize(
    ("case", "rule"),
    [(name, rule) for name, (one, *_) in CASES.items() for rule in DispatchRule if one.holds_back or rule is IDLE],
)
def test_predictions_meet_the_second_simulator(case: str, rule: DispatchRule):
    one, rate, burstiness = CASES[case]
    arrivals = np.array(gamma_arrivals(rate, burstiness, 30_000))
    seen = referee(one, rule, arrivals)[3_000:]
    found = predict_batching(one, OpenArrivals(rate_per_s=rate, burstiness=burstiness), rule=rule)
    assert found.mean_batch == pytest.approx(1.0 / np.mean(1.0 / seen[:, 2]), rel=0.04)
    shares, within = (0.5, 0.95), 0.06 if one.cvs[1] < 0.5 else 0.12
    e2e, queue = seen[:, 1] - arrivals[3_000:], seen[:, 0] - arrivals[3_000:]
    assert found.e2e.quantiles(shares) == pytest.approx(np.quantile(e2e, shares), rel=within)
    assert found.queue.quantiles(shares) == pytest.approx(np.quantile(queue, shares), rel=within, abs=5e-4)


@given(st.floats(1e-6, 0.02), st.floats(0.01, 30.0), st.integers(1, 4), st.sampled_from(DispatchRule))
@settings(max_examples=8)
def test_with_no_load_a_request_waits_for_the_delay_and_goes_alone(load, delay, instances, rule):
    one = batcher({1: 1.0, 32: 3.0}, max_queue_delay_s=delay, instances=instances)
    rate = load * min(1.0, 0.01 / delay)  # hardly ever a second one within the delay
    found = predict_batching(one, OpenArrivals(rate_per_s=rate), rule=rule)
    assert found.e2e.quantiles((0.1, 0.5, 0.9)) == pytest.approx(delay + 1.0, rel=0.01)
    assert found.mean_batch == pytest.approx(1.0, abs=0.03)


@given(
    largest=st.integers(1, 32), instances=st.integers(1, 5), load=st.floats(0.05, 0.95), delay=st.floats(0.0, 4.0),
    rule=st.sampled_from(DispatchRule), burstiness=st.floats(0.3, 4.0),
)  # fmt: skip
@example(largest=1, instances=1, load=0.697, delay=0.0, rule=IDLE, burstiness=2.337)
@example(largest=5, instances=2, load=0.717, delay=0.0, rule=IDLE, burstiness=1.0)
@settings(max_examples=12)
def test_no_answer_comes_sooner_than_its_wait_and_the_least_batch(largest, instances, load, delay, rule, burstiness):
    sizes = {1: 1.0} if largest == 1 else {1: 1.0, largest: 2.5}
    one = batcher(sizes, max_queue_delay_s=delay, instances=instances)
    arrivals = OpenArrivals(rate_per_s=load * one.capacity_per_s, burstiness=burstiness)
    found = predict_batching(one, arrivals, rule=rule)
    shares = np.array([0.01, 0.05, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999])
    assert np.all(found.e2e.quantiles(shares) >= found.queue.quantiles(shares) + 1.0 - 1e-9)
    assert found.e2e.mean_s >= found.queue.mean_s + 1.0 - 1e-6
    assert 1.0 <= found.mean_batch <= largest


@pytest.mark.parametrize(
    ("changes", "load", "burstiness", "known"),
    [
        ({}, 0.5, 1.0, True),
        ({"instances": 4}, 0.5, 3.9, True),
        ({}, 0.05, 1.0, True),  # one instance, Poisson, even batches: exact at any load
        ({"instances": 5}, 0.5, 1.0, False),
        ({"instances": 2}, 0.05, 1.0, False),
        ({}, 0.5, 4.1, False),
        ({}, 0.5, 0.2, False),
        ({"cv": 0.31}, 0.5, 1.0, False),
        ({"cv": 0.2}, 0.3, 1.0, True),
        ({"cv": 0.2, "instances": 2}, 0.3, 1.0, False),
        ({"preferred_batch_sizes": (4,)}, 0.5, 1.0, False),
        ({"max_queue_delay_s": 0.001}, 0.5, 1.0, False),
    ],
)
def test_what_was_learned_is_not_used_beyond_it(changes, load, burstiness, known):
    one = batcher({1: 0.02, 8: 0.06}, **changes)
    arrivals = OpenArrivals(rate_per_s=load * one.capacity_per_s, burstiness=burstiness)
    assert within_reach(one, arrivals) is known


@pytest.mark.parametrize("sizes", [{1: 0.02, 8: 0.01}, {1: 0.02, 8: 0.5}], ids=["falling", "beyond linear"])
def test_times_unlike_any_that_were_learned_from_are_sampled(sizes):
    one = batcher(sizes, instances=2)
    arrivals = OpenArrivals(rate_per_s=0.5 * one.capacity_per_s)
    assert within_reach(one, arrivals)
    assert corrected(one, arrivals, chain_answer(one, arrivals)) is None


def test_after_the_delay_a_batch_is_no_longer_cut_to_a_preferred_size():
    """4 in 53 ms are 76 a second; 8 in 84 ms are 95."""
    one = batcher({1: 0.028, 8: 0.084}, preferred_batch_sizes=(4,), max_queue_delay_s=0.001)
    assert one.capacity_per_s == pytest.approx(8 / 0.084)
    assert predict_batching(one, OpenArrivals(rate_per_s=80.0)).stable
    assert simulate_batching(one, OpenArrivals(rate_per_s=80.0)).stable
    cut = replace(one, max_queue_delay_s=0.0)
    assert not predict_batching(cut, OpenArrivals(rate_per_s=80.0)).stable
    assert not simulate_batching(cut, OpenArrivals(rate_per_s=80.0)).stable


@pytest.mark.parametrize(("load", "stable"), [(0.3, True), (0.97, True), (1.03, False), (3.0, False)])
@pytest.mark.parametrize("burstiness", [0.0, 1.0, 4.0])
def test_a_run_shows_whether_the_queue_grows(load, stable, burstiness):
    one = batcher({1: 0.02, 8: 0.06}, instances=2)
    arrivals = OpenArrivals(rate_per_s=load * one.capacity_per_s, burstiness=burstiness)
    assert simulate_batching(one, arrivals).stable is stable


def test_a_batch_of_one_knows_no_delay():
    plain = batcher({1: 0.02})
    arrivals = OpenArrivals(rate_per_s=40.0)
    delayed = predict_batching(replace(plain, max_queue_delay_s=0.01), arrivals)
    np.testing.assert_array_equal(delayed.e2e.values_s, predict_batching(plain, arrivals).e2e.values_s)


def test_a_delay_helps_where_it_fills_batches_that_cost_alike():
    """Four instances take one request each as it comes; held back, they share the few batches that there can be."""
    flat = batcher({1: 0.02, 16: 0.021}, instances=2, max_queue_delay_s=0.004)
    helped = bracket(flat, OpenArrivals(rate_per_s=400.0))
    assert not helped.delay_only_costs
    lone = bracket(flat, OpenArrivals(rate_per_s=5.0))
    assert lone.delay_only_costs
