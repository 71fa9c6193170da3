"""The simulator of pipelines: against exact queues, and its two ways to serve batchers against each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.batcher import Batcher
from models.service_time import ServiceTime
from models.simulation.pipeline import BatcherServer, DelayServer, simulate_pipeline
from models.stage_network import Stage, StageNetwork
from models.workload import OpenArrivals

ONE = Batcher(service_time=ServiceTime(batches=(1,), means_s=(0.01,), cvs=(0.0,)), max_batch_size=1)
EIGHT = Batcher(service_time=ServiceTime(batches=(1, 8), means_s=(0.01, 0.04), cvs=(0.1, 0.1)), max_batch_size=8)
SERIES = StageNetwork(stages=(Stage(), Stage(after=(0,)), Stage(after=(1,))))


def arrivals(rate_per_s: float) -> OpenArrivals:
    return OpenArrivals(rate_per_s=rate_per_s)


def test_two_queues_in_a_row_with_fixed_times_wait_once():
    """M/D/1 waits ρ/(2(1 − ρ)) services (Pollaczek and Khinchine); a second one as fast never has a queue."""
    servers = [
        BatcherServer(batcher=ONE, replicas=1),
        DelayServer(median_s=0.5),
        BatcherServer(batcher=ONE, replicas=1),
    ]
    found = simulate_pipeline(SERIES, servers, arrivals(60.0), requests=300_000)
    expected = 0.01 * 0.6 / (2.0 * 0.4) + 0.01 + 0.5 + 0.01
    assert found.e2e.mean_s == pytest.approx(expected, rel=0.002)
    assert found.settled


def test_stages_served_together_are_those_served_one_by_one():
    """Two programs that share no line: stage by stage, and event by event."""
    servers = [
        BatcherServer(batcher=EIGHT, replicas=2),
        DelayServer(median_s=0.02, sigma=0.5, calls=2),
        BatcherServer(batcher=EIGHT, replicas=3, calls=5),
    ]
    apart = simulate_pipeline(SERIES, servers, arrivals(70.0), requests=150_000)
    alone = [replace(each, shared=place) if place != 1 else each for place, each in enumerate(servers)]
    events = simulate_pipeline(SERIES, alone, arrivals(70.0), requests=150_000)
    assert events.shares_gpus
    shares = (0.5, 0.95, 0.99)
    np.testing.assert_allclose(events.e2e.quantiles(shares), apart.e2e.quantiles(shares), rtol=0.02)


def test_on_one_gpu_stages_slow_each_other_down():
    servers = [
        BatcherServer(batcher=ONE, replicas=1, shared=0),
        DelayServer(median_s=1e-3),
        BatcherServer(batcher=ONE, replicas=1, shared=0),
    ]
    apart = [replace(each, shared=None) if isinstance(each, BatcherServer) else each for each in servers]
    shared = simulate_pipeline(SERIES, servers, arrivals(30.0), requests=50_000)
    free = simulate_pipeline(SERIES, apart, arrivals(30.0), requests=50_000)
    assert shared.e2e.mean_s > 1.15 * free.e2e.mean_s
    assert shared.settled, "together they need 60 % of the GPU"


def test_first_tokens_and_requests_are_in_order():
    with_chance = StageNetwork(stages=(Stage(), Stage(after=(0,), probability=0.5)))
    servers = [BatcherServer(batcher=ONE, replicas=1), DelayServer(median_s=1.0)]
    found = simulate_pipeline(with_chance, servers, arrivals(10.0), requests=20_000)
    assert np.mean(found.samples_s > 1.0) == pytest.approx(0.5, abs=0.02)
