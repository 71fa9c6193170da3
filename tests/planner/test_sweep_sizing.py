"""How many requests a run has: enough for the noise that was asked for, as the step simulator shows."""

import numpy as np
import pytest

from models.engine import Engine, EngineLimits
from models.mean_step import steady_point
from models.measurement import Measurement
from models.prediction import Routing
from models.simulation.replicas import simulate
from models.step_time import LinearStepTime
from models.sweep_design import Load
from planner.sweep.planned_run import plan_runs, requests_for
from planner.workload import WorkloadOptions, build_workload

STEP = LinearStepTime(base_s=8e-3, per_prefill_token_s=3e-5, per_decode_s=3e-5, per_kv_token_s=6e-8)
LIMITS = EngineLimits(max_num_seqs=256, max_num_batched_tokens=8192, kv_cache_tokens=400_000)


def closed(users):
    return Measurement(concurrency=users, input_tokens=512, output_tokens=128)


def opened(rate):
    return Measurement(arrival_rate_per_s=rate, input_tokens=512, output_tokens=128)


@pytest.mark.parametrize("utilization", [0.5, 0.75, 0.9])
def test_the_means_of_an_open_run_are_as_exact_as_asked(utilization):
    """Standard error of mean TPOT and TTFT over 16 simulated runs: near the 10 % asked, a factor 2 either way."""
    capacity = steady_point(STEP, closed(256), LIMITS).requests_per_s
    requests = max(1000, requests_for(opened(1.0), utilization, 0.1))
    asked = 0.1 * (requests_for(opened(1.0), utilization, 0.1) / requests) ** 0.5
    workload = build_workload(
        WorkloadOptions(
            qps=utilization * capacity, concurrency=None, trace=None, input_tokens=512, output_tokens=128,
            input_cv=0.0, output_cv=0.0, burstiness=None, think_time_s=0.0, trace_window_s=None, prefix_hit_rate=0.0,
            needs_rate=True,
        )
    ).workload  # fmt: skip
    runs = [
        simulate(
            Engine(step_time=STEP, limits=LIMITS), workload, replicas=1, routing=Routing.RANDOM, requests=requests,
            seed=seed,
        ).prediction.laws
        for seed in range(1, 17)
    ]  # fmt: skip
    for metric in ("tpot", "ttft"):
        means = np.array([laws[metric].mean_s for laws in runs])
        assert asked / 2.0 < means.std(ddof=1) / means.mean() < 2.0 * asked


def test_requests_grow_with_exactness_and_load_within_bounds():
    assert [requests_for(opened(5), busy, 0.03) for busy in (0.0, 0.4, 0.75, 0.9)] == [150, 278, 1600, 10_000]
    assert requests_for(opened(5), None, 0.03) == 2500
    assert requests_for(opened(40), 0.4, 0.03) == 30 * 40
    assert requests_for(opened(5), 1.3, 0.03) == 20_000
    assert requests_for(closed(1), 0.1, 0.03) == 100
    assert requests_for(closed(1), 0.1, 0.3) == 60
    assert requests_for(closed(256), 1.0, 0.03) == 20 * 256


def test_a_warm_up_fills_the_engine_twice():
    load = Load(load=opened(20), expected=steady_point(STEP, opened(20), LIMITS), utilization=0.55)
    (run,) = plan_runs([load], noise=0.03, warms_up=True)
    inside = 20 * (load.expected.ttft_s + 127 * load.expected.tpot_s)
    assert run.warmups == pytest.approx(2 * inside, abs=1)
    assert run.expected_s == pytest.approx((run.requests + run.warmups) / 20)
    assert [entry.warmups for entry in plan_runs([closed(32), opened(5)], noise=0.03, warms_up=True)] == [64, 10]
    assert [entry.warmups for entry in plan_runs([closed(32), load], noise=0.03, warms_up=False)] == [0, 0]


def test_names_say_the_load_and_differ():
    runs = plan_runs([closed(32), closed(32), opened(2.5)], noise=0.03, warms_up=False)
    assert [run.name for run in runs] == [
        "01-closed-c32-i512-o128",
        "02-closed-c32-i512-o128",
        "03-open-r2.5-i512-o128",
    ]
