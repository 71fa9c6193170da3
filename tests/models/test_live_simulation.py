"""Replicas that go on from moment to moment do what the step simulator does with the whole trace at once."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.batcher import Batcher, DispatchRule
from models.engine import Engine, EngineLimits
from models.errors import InvalidInput
from models.prediction import Routing
from models.service_time import ServiceTime
from models.simulation import batch_loop, step_loop
from models.simulation.live.arrival_stream import ArrivalStream
from models.simulation.live.fleet import Fleet
from models.simulation.live.live_batcher import LiveBatcher
from models.simulation.live.live_replica import LiveReplica, Request
from models.simulation.live.observations import Buckets, Histogram
from models.simulation.replicas import _coefficients
from models.step_time import ExpertsStepTime, LinearStepTime, RooflineStepTime
from models.workload import OpenArrivals

LINEAR = LinearStepTime(base_s=8e-3, per_prefill_token_s=6e-5, per_decode_s=8e-5, per_kv_token_s=3e-8)
EDGES = (0.01, 0.1, 1.0)
BUCKETS = Buckets(ttft=EDGES, itl=EDGES, tpot=EDGES, e2e=EDGES, queue=EDGES, prompt_length=EDGES, output_length=EDGES)

ENGINES = {
    "ample": Engine(step_time=LINEAR, limits=EngineLimits()),
    "few seats": Engine(step_time=LINEAR, limits=EngineLimits(max_num_seqs=4)),
    "little memory": Engine(step_time=LINEAR, limits=EngineLimits(max_num_seqs=64, kv_cache_tokens=9000)),
    "prompts whole": Engine(step_time=LINEAR, limits=EngineLimits(chunked_prefill=False)),
    "experts": Engine(
        step_time=ExpertsStepTime(linear=LINEAR, experts=64, experts_per_token=6, per_expert_s=5e-5),
        limits=EngineLimits(),
    ),
    "roofline": Engine(
        step_time=RooflineStepTime(
            overhead_s=2e-3, weights_s=8e-3, per_kv_token_s=3e-8, per_token_compute_s=5e-5, graph_sizes=(8, 64, 512)
        ),
        limits=EngineLimits(),
    ),
}


def trace(rate_per_s: float, requests: int = 400) -> tuple[np.ndarray, list[Request]]:
    rng = np.random.default_rng(11)
    prompt = np.maximum(2, rng.lognormal(6.0, 0.7, requests).astype(int)).clip(max=2000)
    output = np.maximum(1, rng.lognormal(4.0, 0.8, requests).astype(int))
    return np.cumsum(rng.exponential(1.0 / rate_per_s, requests)), [
        Request(prompt=int(p), cached=int(p) // 4, output=int(o)) for p, o in zip(prompt, output, strict=True)
    ]


@pytest.mark.parametrize("rate_per_s", [2.0, 12.0])
@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_every_request_is_served_at_the_same_times_as_in_the_step_simulator(engine, rate_per_s):
    arrival, requests = trace(rate_per_s)
    limits = engine.limits
    columns = [np.array([getattr(each, name) for each in requests]) for name in ("prompt", "cached", "output")]
    when, admitted, first, done, _, gap_sum, gap_count, totals = step_loop.run(
        arrival, *columns, np.zeros(len(requests), np.int64), step_loop.ROUTE_GIVEN, 1, np.zeros(0), 0,
        *_coefficients(engine.step_time), limits.max_num_seqs, limits.max_num_batched_tokens,
        2**40 if math.isinf(limits.kv_blocks) else int(limits.kv_blocks), limits.kv_block_size,
        limits.chunked_prefill, 1, 0, len(requests),
    )  # fmt: skip
    expected = np.column_stack([when, admitted, first, done, columns[0], columns[2]])

    replica = LiveReplica(engine, BUCKETS)
    served, index = [], 0
    for now in np.arange(0.0, done.max() + 1.0, 0.37):  # moments that have nothing to do with steps or arrivals
        while index < len(requests) and arrival[index] <= now:
            replica.accept(arrival[index], requests[index])
            index += 1
        served.append(replica.advance(float(now)))

    rows = np.concatenate(served)
    assert np.array_equal(rows[np.argsort(rows[:, 0])], expected[np.argsort(when)])
    assert (replica.itl.count, replica.preemptions) == (gap_count, totals[0])
    assert replica.itl.sum == pytest.approx(gap_sum)
    assert replica.ttft.sum == pytest.approx(np.sum(first - when))
    assert replica.output_tokens == columns[2].sum()
    assert (replica.running, replica.waiting, replica.kv_usage) == (0, 0, 0.0)


def test_the_traces_of_that_test_preempt_and_wait():
    """Else it would show little."""
    replica = LiveReplica(ENGINES["little memory"], BUCKETS)
    for when, request in zip(*trace(12.0), strict=True):
        replica.accept(when, request)
    replica.advance(20.0)
    assert replica.preemptions > 0
    assert replica.waiting > 0
    assert replica.queue.counts[1:].sum() > 10
    assert 0.5 < replica.kv_usage <= 1.0


@pytest.mark.parametrize("rule", DispatchRule)
@pytest.mark.parametrize(("delay_s", "preferred"), [(0.0, ()), (0.02, ()), (0.05, (2, 4)), (0.0, (3,))])
@pytest.mark.parametrize("instances", [1, 2])
def test_batches_are_those_of_the_batch_simulator(rule, delay_s, preferred, instances):
    batcher = Batcher(
        service_time=ServiceTime(batches=(1, 8), means_s=(0.02, 0.08), cvs=(0.0, 0.0)),
        max_batch_size=8, preferred_batch_sizes=preferred, max_queue_delay_s=delay_s, instances=instances,
    )  # fmt: skip
    arrival = np.cumsum(np.random.default_rng(5).exponential(1.0 / (70.0 * instances), 1500))
    started, done, batch, _ = batch_loop.run(
        arrival, batcher.means_s, batcher.cvs, np.array(batcher.wanted), 8, delay_s, instances,
        rule is DispatchRule.WHILE_RUNNING and delay_s > 0.0, 1,
    )  # fmt: skip

    live = LiveBatcher(batcher, 1, rule)
    served, index = [], 0
    for now in np.arange(0.0, done.max() + 0.1, 0.033):
        while index < arrival.size and arrival[index] <= now:
            live.accept(arrival[index])
            index += 1
        served += live.advance(float(now))

    assert np.allclose(sorted(served), np.column_stack([arrival, started, done]), rtol=0.0, atol=1e-9)
    assert live.executions == round(np.sum(1.0 / batch))
    assert live.queue_sum_s == pytest.approx(np.sum(started - arrival))
    assert (live.waiting, live.outstanding) == (0, 0)


def test_a_rate_may_change_at_any_moment():
    stream = ArrivalStream(10.0, 1.0, np.random.default_rng(3))
    slow = len(stream.until(100.0))
    stream.rate_per_s = 0.0
    assert stream.until(1000.0) == []
    stream.rate_per_s = 40.0
    fast = stream.until(1100.0)
    assert min(fast) > 1000.0
    assert abs(slow - 1000) < 4 * math.sqrt(1000)
    assert abs(len(fast) - 4000) < 4 * math.sqrt(4000)


def test_a_metronome_keeps_its_beat_when_it_speeds_up():
    stream = ArrivalStream(1.0, 0.0, np.random.default_rng(3))
    assert stream.until(2.5) == [1.0, 2.0]
    stream.rate_per_s = 2.0  # half a beat has passed: the next is due after half of a beat of half a second
    assert stream.until(3.5) == [2.75, 3.25]


class Counter:
    """A replica that serves nothing."""

    def __init__(self) -> None:
        self.outstanding = 0

    def advance(self, until_s: float) -> None:
        pass

    def take(self, _when_s: float) -> None:
        self.outstanding += 1


def fleet(routing: Routing) -> Fleet[Counter]:
    arrivals = OpenArrivals(rate_per_s=10.0, burstiness=0.0)
    return Fleet(Counter, Counter.take, arrivals, routing=routing, rng=np.random.default_rng(1))


def test_replicas_come_and_go():
    under_test = fleet(Routing.LEAST_OUTSTANDING)
    under_test.advance(0.95)
    assert under_test.lost == 9
    under_test.keep(["a"])
    under_test.advance(1.95)
    assert under_test.replicas["a"].outstanding == 10
    under_test.keep(["a", "b"])
    under_test.advance(2.95)
    assert [replica.outstanding for replica in under_test.replicas.values()] == [10, 10]
    under_test.keep(["b"])
    assert list(under_test.replicas) == ["b"]
    assert under_test.lost == 9 + 10  # what "a" was serving
    with pytest.raises(InvalidInput, match="does not go back"):
        under_test.advance(1.0)


def test_the_balancer_splits_as_it_is_told():
    for routing, most in ((Routing.ROUND_ROBIN, 0), (Routing.RANDOM, 60)):
        under_test = fleet(routing)
        under_test.keep(["a", "b"])
        under_test.advance(100.05)
        one, two = (replica.outstanding for replica in under_test.replicas.values())
        assert one + two == 1000
        assert abs(one - two) <= most


def test_an_observation_on_an_edge_is_below_it():
    histogram = Histogram.of([0.1, 1.0])
    histogram.add([0.1, 0.5, 1.0, 2.0])
    assert histogram.counts.tolist() == [1, 2, 1]
    assert (histogram.count, histogram.sum) == (4, 3.6)
