"""Figures that contradict each other are refused, with file and field; whatever can be true is not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InvalidInput
from models.measurement import Measurement
from planner.importers.benchmark_run import BenchmarkRun
from planner.importers.possible_figures import require_possible
from planner.importers.recognise import runs_of
from planner.importers.request_statistics import summary

SAMPLES = Path(__file__).parent / "samples"
C4 = json.loads((SAMPLES / "vllm_bench_serve" / "vllm_bench_c4.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"p95_ttft_ms": 900.0, "p99_ttft_ms": 300.0}, "ttft: p95 0.9 s lies above p99 0.3 s"),
        ({"mean_ttft_ms": 0.06965}, "ttft: a mean of 6.965e-05 s cannot go with a p50 of 0.03579 s"),
        ({"mean_ttft_ms": 69650.0}, "ttft: a mean of 69.65 s cannot go with"),
        ({f"{name}_ttft_ms": 900.0 for name in ("mean", "median", "p50", "p90", "p95", "p99")},
         "ttft: mean 0.9 s is more than the 0.4089 s of e2e"),
        ({f"{name}_tpot_ms": 12000.0 for name in ("mean", "median", "p50", "p90", "p95", "p99")},
         "tpot: 31 gaps of 12 s do not go with the"),
    ],
)  # fmt: skip
def test_what_cannot_be_true_is_refused_with_file_and_field(tmp_path: Path, changed: dict[str, float], said: str):
    path = tmp_path / "odd.json"
    path.write_text(json.dumps({**C4, **changed}), encoding="utf-8")
    with pytest.raises(InvalidInput) as refused:
        list(runs_of(path))
    assert str(refused.value).startswith(f"{path}, {said}")
    assert refused.value.remedy


def test_a_first_token_after_the_end_of_its_request_is_refused(tmp_path: Path):
    requests = {"input_lens": [64] * 3, "output_lens": [2] * 3, "ttfts": [0.1, 0.5, 0.1], "itls": [[0.02]] * 3}
    timed = {"start_times": [0.0, 1.0, 2.0], "latencies": [0.12, 0.3, 0.12]}
    path = tmp_path / "odd.json"
    path.write_text(json.dumps({**C4, **requests, **timed}), encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"1 of 3 requests .* a TTFT of 0.5 s in an e2e of 0.3 s"):
        list(runs_of(path))


within_twenty = st.floats(0.01, 0.19)
"""Seconds, so that no request takes twenty times another one: what is beyond that is refused generously."""


@given(st.lists(st.tuples(within_twenty, within_twenty), min_size=1, max_size=60))
def test_no_requests_that_can_be_are_refused(requests: list[tuple[float, float]]):
    ttft, decode = np.array(requests).T
    point = Measurement(
        input_tokens=10.0, output_tokens=11.0, concurrency=1.0,
        ttft=summary(ttft), tpot=summary(decode / 10.0), e2e=summary(ttft + decode),
    )  # fmt: skip
    require_possible(BenchmarkRun(measurement=point, tool="t", place="p"))


@pytest.mark.parametrize("folder", ["of, commas", "plain"])
def test_the_file_of_a_run_is_the_whole_path(tmp_path: Path, folder: str):
    path = tmp_path / folder / "c4, again.json"
    path.parent.mkdir()
    path.write_text(json.dumps(C4), encoding="utf-8")
    (run,) = runs_of(path)
    assert isinstance(run, BenchmarkRun)
    assert run.file == path
