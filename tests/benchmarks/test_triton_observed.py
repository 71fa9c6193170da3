"""A real Triton with a model of known service time, against the prediction."""

from __future__ import annotations

import pytest

from benchmarks.triton_observed import latencies_s, observed_runs


def test_runs_with_room_and_a_client_in_time_are_as_predicted():
    runs = {run.name: run for run in observed_runs()}
    assert [name for name, run in runs.items() if not run.clean] == ["d0_open_r10"]
    for name in ("d0_open_r29", "d0_open_r67"):
        run = runs[name]
        p50, _, p99 = latencies_s(run, run.predicted[0])
        assert run.predicted[0].mean_batch == pytest.approx(run.mean_batch, rel=0.05)
        assert p50 == pytest.approx(run.latency_s[0], rel=0.06)
        assert p99 == pytest.approx(run.latency_s[2], rel=0.15)


def test_with_a_queue_delay_the_truth_lies_between_the_two_rules():
    runs = {run.name: run for run in observed_runs()}
    for name in ("d10000_open_r48_rep2", "d10000_open_r67_rep2"):
        textbook, early = (latencies_s(runs[name], found)[0] for found in runs[name].predicted)
        assert textbook < runs[name].latency_s[0] < early
