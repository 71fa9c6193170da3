"""Slots that sequences and streams hold: M/M/c exactly, others near the simulator."""

from __future__ import annotations

import math

import pytest

from models.errors import InvalidInput
from models.sequence_slots import Slots, SlotStrategy, predict_slots
from models.service_time import ServiceTime
from models.simulation.slots import simulate_slots
from models.workload import OpenArrivals


def slots(count: int, *means_s: float, cv: float = 0.0) -> Slots:
    """Slots with the mean time for one held, and for all held where a second is given."""
    held = (1, count)[: len(means_s)]
    return Slots(count=count, held=ServiceTime(batches=held, means_s=means_s, cvs=(cv,) * len(held)))


def test_slots_are_counted_as_triton_gives_them_out():
    assert SlotStrategy.DIRECT.slots(instances=2, max_batch_size=4) == 8
    assert SlotStrategy.DIRECT.slots(instances=2, max_batch_size=0) == 2
    assert SlotStrategy.OLDEST.slots(instances=2, max_batch_size=4, candidates=16) == 32
    assert SlotStrategy.STREAM.slots(instances=3, max_batch_size=0) == 3


def test_exponential_times_wait_as_erlang_says():
    # M/M/3 at 80 %: C(3, 2.4) = 0.6472 (Erlang's table); the wait of those that wait is exponential of mean 1 / 0.6.
    found = predict_slots(slots(3, 1.0, cv=1.0), OpenArrivals(rate_per_s=2.4))
    assert found.queue is not None
    assert found.queue.mean_s == pytest.approx(0.6472 / 0.6, rel=1e-4)
    assert found.queue.quantile(0.3) == 0.0
    assert found.queue.quantile(0.95) == pytest.approx(math.log(0.6472 / 0.05) / 0.6, rel=0.02)
    assert found.load == pytest.approx(0.8)
    assert found.held == pytest.approx(2.4)


@pytest.mark.parametrize(
    ("case", "load"),
    [
        (slots(4, 1.0, cv=0.5), 0.7),
        (slots(16, 1.0, cv=0.5), 0.9),
        (slots(8, 1.0, cv=1.5), 0.85),
        (slots(8, 1.0, 2.5, cv=0.7), 0.8),
        (slots(32, 1.0, 4.0, cv=0.3), 0.6),
    ],
)
def test_sequences_wait_and_end_about_as_simulated(case: Slots, load: float):
    arrivals = OpenArrivals(rate_per_s=load * case.capacity_per_s)
    seen = simulate_slots(case, arrivals, requests=400_000)
    found = predict_slots(case, arrivals)
    assert found.queue is not None
    assert found.e2e is not None
    assert found.held == pytest.approx(seen.held, rel=0.03)
    assert found.queue.mean_s == pytest.approx(seen.queue.mean_s, rel=0.15, abs=1e-3)
    for share in (0.5, 0.95, 0.99):
        assert found.e2e.quantile(share) == pytest.approx(seen.e2e.quantile(share), rel=0.12)


def test_more_sequences_than_slots_can_hold_are_told():
    found = predict_slots(slots(2, 10.0), OpenArrivals(rate_per_s=0.2))
    assert (found.stable, found.queue) == (False, None)


def test_times_that_do_not_reach_to_all_slots_held_are_refused():
    with pytest.raises(InvalidInput, match="known for 1 to 4 held, and there are 8"):
        Slots(count=8, held=ServiceTime(batches=(1, 4), means_s=(1.0, 2.0), cvs=(0.0, 0.0)))
