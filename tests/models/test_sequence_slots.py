"""Slots that sequences and streams hold: M/M/c exactly, M/G/c near the simulator."""

from __future__ import annotations

import math

import pytest

from models.batcher import Batcher
from models.sequence_slots import Slots, SlotStrategy, erlang_c, predict_slots, sequence_slots, stream_slots
from models.service_time import ServiceTime
from models.simulation.batching import simulate_batching
from models.workload import OpenArrivals


def test_slots_are_counted_as_triton_gives_them_out():
    assert sequence_slots(SlotStrategy.DIRECT, instances=2, max_batch_size=4) == 8
    assert sequence_slots(SlotStrategy.DIRECT, instances=2, max_batch_size=0) == 2
    assert sequence_slots(SlotStrategy.OLDEST, instances=2, max_batch_size=4, candidates=16) == 32
    assert stream_slots(instances=3, max_batch_size=0) == 3


def test_exponential_times_wait_as_erlang_says():
    # M/M/3 at 80 %: C(3, 2.4) = 0.6472 (Erlang's table); the wait of those that wait is exponential of mean 1 / 0.6.
    assert erlang_c(3, 2.4) == pytest.approx(0.6472, abs=5e-5)
    found = predict_slots(Slots(count=3, held_s=1.0, held_cv=1.0), OpenArrivals(rate_per_s=2.4))
    assert found.queue is not None
    assert found.queue.quantile(0.3) == 0.0
    assert found.queue.quantile(0.95) == pytest.approx(math.log(0.6472 / 0.05) / 0.6, rel=0.01)
    assert found.load == pytest.approx(0.8)


@pytest.mark.parametrize(("count", "load", "cv"), [(4, 0.7, 0.5), (16, 0.9, 0.5), (8, 0.85, 1.5)])
def test_other_times_wait_about_as_simulated(count: int, load: float, cv: float):
    arrivals = OpenArrivals(rate_per_s=load * count)
    one = ServiceTime(batches=(1,), means_s=(1.0,), cvs=(cv,))
    seen = simulate_batching(Batcher(service_time=one, max_batch_size=1, instances=count), arrivals, requests=1_000_000)
    found = predict_slots(Slots(count=count, held_s=1.0, held_cv=cv), arrivals)
    assert found.queue is not None
    assert found.e2e is not None
    assert found.queue.mean_s == pytest.approx(seen.queue.mean_s, rel=0.12)
    for share in (0.5, 0.95, 0.99):
        assert found.e2e.quantile(share) == pytest.approx(seen.e2e.quantile(share), rel=0.1)


def test_more_sequences_than_slots_can_hold_are_told():
    found = predict_slots(Slots(count=2, held_s=10.0), OpenArrivals(rate_per_s=0.2))
    assert (found.stable, found.queue) == (False, None)
