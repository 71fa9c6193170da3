"""trtllm-bench: printed tables of two generations, and the report."""

from __future__ import annotations

import json

import pytest

from models.errors import InvalidInput
from planner.importers.trtllm_bench import TrtllmBench
from tests.planner.importers.unpacked_samples import SAMPLES


def only(path):
    (run,) = TrtllmBench().runs(path)
    return run


def test_one_user_on_four_gpus():
    """274.1786 / 0.2678 tokens out, (2467.6070 − 274.1786) / 0.2678 in, 0.2678 × 3.7347 users, 274.18 / 68.54 GPUs."""
    run = only(SAMPLES / "trtllm-bench/perf_overview_dsv32_tp4_conc1.txt")
    point = run.measurement
    assert point.output_tokens == pytest.approx(1023.8, abs=0.05)
    assert point.input_tokens == pytest.approx(8190.5, abs=0.05)
    assert point.concurrency == pytest.approx(1.0, abs=0.001)
    assert point.ttft.mean_s == pytest.approx(0.4259885)
    assert point.tpot.mean_s == pytest.approx((3.7347334 - 0.4259885) / 1023.0, rel=1e-4)
    assert (run.requests, run.setup.gpus_per_replica, run.capacity_only) == (10, 4, False)


def test_all_at_once_is_a_capacity():
    """43.2089 × 75.9 s = 3,280 of 5,000 requests in flight on average."""
    run = only(SAMPLES / "trtllm-bench/perf_overview_throughput_v0.20.txt")
    point = run.measurement
    assert run.capacity_only
    assert (round(point.input_tokens), round(point.output_tokens), run.requests) == (2048, 128, 5000)
    assert point.tpot.p99_s == pytest.approx(0.2065821)
    assert point.ttft.p50_s == pytest.approx(52.2697072)
    assert (point.e2e.mean_s, point.e2e.p50_s) == (pytest.approx(75.9034456), pytest.approx(78.5092102))


def test_without_prompt_lengths_there_is_no_run(tmp_path):
    text = (SAMPLES / "trtllm-bench/perf_overview_dsv32_tp4_conc1.txt").read_text()
    path = tmp_path / "out.txt"
    path.write_text("\n".join(line for line in text.splitlines() if "Total Token Throughput" not in line))
    with pytest.raises(InvalidInput, match=r"out.txt, line 2, total token throughput is missing"):
        only(path)


def test_report(tmp_path):
    """Fields as TensorRT-LLM's bench/dataclasses/reporting.py names them; figures made up for the test."""
    report = {
        "engine": {"model": "meta-llama/Llama-3.1-8B", "version": "1.0.0", "quantization": "FP8", "api_key": "SECRET"},
        "machine": {"name": "NVIDIA H100"},
        "world_info": {"tp_size": 2, "pp_size": 1, "max_batch_size": 64},
        "request_info": {"num_requests": 400, "avg_input_length": 1000.0, "avg_output_length": 101.0},
        "performance": {
            "total_latency_ms": 100000.0,
            "avg_request_latency_ms": 2500.0,
            "request_throughput_req_s": 4.0,
            "system_output_throughput_tok_s": 404.0,
            "request_latency_percentiles_ms": {"p50": 2400.0, "p99": 3000.0},
        },
        "streaming_metrics": {"avg_ttft_ms": 500.0, "avg_tpot_ms": 20.0, "tpot_percentiles": {"p95": 25.0}},
    }
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report))
    run = only(path)
    point = run.measurement
    assert (point.concurrency, point.input_tokens, point.output_tokens) == (10.0, 1000.0, 101.0)
    assert (point.ttft.mean_s, point.tpot.p95_s, point.e2e.p99_s) == (0.5, 0.025, 3.0)
    assert (run.setup.gpu, run.setup.tensor_parallel, run.setup.gpus_per_replica) == ("NVIDIA H100", 2, 2)
    assert not run.capacity_only
    assert "SECRET" not in repr(run)
