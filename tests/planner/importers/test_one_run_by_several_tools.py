"""The same requests, written as three tools write them, make the same point."""

from __future__ import annotations

import json

import numpy as np
import pytest

from planner.importers.aiperf_requests import AiperfRequests
from planner.importers.genai_perf_requests import GenaiPerfRequests
from planner.importers.guidellm import Guidellm

RNG = np.random.default_rng(3)
COUNT = 120
START_NS = 1_700_000_000_000_000_000 + np.cumsum(RNG.exponential(2e8, COUNT)).astype(np.int64)
TTFT_NS = RNG.integers(40_000_000, 90_000_000, COUNT)
OUTPUT = RNG.integers(5, 40, COUNT)
GAPS_NS = [RNG.integers(9_000_000, 15_000_000, n - 1) for n in OUTPUT]
TPOT_S = np.array([gaps.mean() for gaps in GAPS_NS]) * 1e-9
ALL_GAPS_S = np.concatenate(GAPS_NS) * 1e-9


def genai_perf():
    def request(i):
        tokens = START_NS[i] + TTFT_NS[i] + np.concatenate([[0], np.cumsum(GAPS_NS[i])])
        chunk = {"response": 'data: {"choices": [{"text": "x"}]}\n\n'}
        return {
            "timestamp": int(START_NS[i]),
            "request_inputs": {"payload": json.dumps({"prompt": [1] * 50})},
            "response_timestamps": [*tokens.tolist(), int(tokens[-1]) + 100],
            "response_outputs": [*[chunk] * len(tokens), {"response": "data: [DONE]\n\n"}],
        }

    experiment = {"mode": "request_rate", "value": 5.0}
    return json.dumps({"experiments": [{"experiment": experiment, "requests": [request(i) for i in range(COUNT)]}]})


def aiperf():
    def record(i):
        metrics = {
            "time_to_first_token": {"value": TTFT_NS[i] * 1e-6, "unit": "ms"},
            "request_latency": {"value": (TTFT_NS[i] + GAPS_NS[i].sum()) * 1e-3, "unit": "us"},
            "inter_chunk_latency": {"value": (GAPS_NS[i] * 1e-6).tolist(), "unit": "ms"},
            "output_sequence_length": {"value": int(OUTPUT[i]) + 3, "unit": "tokens"},
            "usage_completion_tokens": {"value": int(OUTPUT[i]), "unit": "tokens"},
            "input_sequence_length": {"value": 50, "unit": "tokens"},
        }
        return json.dumps({"metadata": {"request_start_ns": int(START_NS[i])}, "metrics": metrics})

    return "\n".join(record(i) for i in range(COUNT))


def guidellm():
    def request(i):
        return {
            "request_start_time": START_NS[i] * 1e-9,
            "request_latency": (TTFT_NS[i] + GAPS_NS[i].sum()) * 1e-9 + 0.0004,
            "time_to_first_token_ms": TTFT_NS[i] * 1e-6,
            "inter_token_latency_ms": GAPS_NS[i].mean() * 1e-6,
            "prompt_tokens": 50,
            "output_tokens": int(OUTPUT[i]),
        }

    kept = {"successful": [request(i) for i in range(COUNT)], "errored": [], "incomplete": []}
    strategy = {"type_": "poisson", "rate": 4.0}
    stage = {"config": {"strategy": strategy}, "start_time": 1.7e9, "end_time": 1.7e9 + 30.0, "requests": kept}
    return json.dumps({"benchmarks": [stage]})


@pytest.mark.parametrize(
    ("importer", "text", "single_gaps"),
    [(GenaiPerfRequests(), genai_perf(), True), (AiperfRequests(), aiperf(), True), (Guidellm(), guidellm(), False)],
    ids=["genai-perf", "aiperf", "guidellm"],
)
def test_same_requests_same_point(tmp_path, importer, text, single_gaps):
    path = tmp_path / "profile_export"
    path.write_text(text)
    (run,) = importer.runs(path)
    point = run.measurement
    near = {"abs": 1e-6}  # nanoseconds since 1970 as a float
    assert (point.input_tokens, point.output_tokens) == (50.0, pytest.approx(OUTPUT.mean()))
    assert point.ttft.p90_s == pytest.approx(np.percentile(TTFT_NS, 90) * 1e-9, **near)
    assert point.tpot.mean_s == pytest.approx(TPOT_S.mean(), **near), "each request counts once"
    assert point.tpot.p99_s == pytest.approx(np.percentile(TPOT_S, 99), **near)
    assert point.itl.mean_s == pytest.approx(ALL_GAPS_S.mean(), **near), "each token counts once"
    assert point.itl.p95_s == (pytest.approx(np.percentile(ALL_GAPS_S, 95), **near) if single_gaps else None)
    assert point.e2e.p50_s == pytest.approx(
        np.median([t + g.sum() for t, g in zip(TTFT_NS, GAPS_NS, strict=True)]) * 1e-9, **near
    )
    gaps = np.diff(START_NS * 1e-9)
    assert point.arrival_rate_per_s == pytest.approx(1.0 / gaps.mean(), rel=1e-6)
    assert run.burstiness == pytest.approx(gaps.var() / gaps.mean() ** 2, rel=1e-4)
    assert not run.capacity_only
