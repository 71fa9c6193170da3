"""Files of vLLM's and SGLang's clients as they come: NaN in them, several runs in one, single requests, ramps."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.errors import InvalidInput
from planner.importers.bare_numbers import WithoutBareNumbers, loads
from planner.importers.benchmark_run import BenchmarkRun
from planner.importers.recognise import runs_of
from planner.run_check import check_runs

SAMPLES = Path(__file__).parent / "samples"
C4 = json.loads((SAMPLES / "vllm_bench_serve" / "vllm_bench_c4.json").read_text(encoding="utf-8"))
SGLANG = SAMPLES / "sglang" / "llama_3_3_70b_online_output.jsonl"


def written(path: Path, *documents: object, between: str = "\n") -> Path:
    path.write_text(between.join(json.dumps(each) for each in documents), encoding="utf-8")
    return path


def read(path: Path) -> list[BenchmarkRun]:
    runs = list(runs_of(path))
    assert all(isinstance(run, BenchmarkRun) for run in runs)
    return [run for run in runs if isinstance(run, BenchmarkRun)]


def test_a_figure_that_is_not_a_number_is_absent(tmp_path: Path):
    """Answers of one token have no TPOT: the client writes a bare NaN for its statistics."""
    path = written(tmp_path / "nan.json", {**C4, "p99_tpot_ms": math.nan, "p99_ttft_ms": math.inf})
    assert "NaN" in path.read_text(encoding="utf-8")
    (run,) = read(path)
    assert run.measurement.tpot is not None
    assert run.measurement.ttft is not None
    assert (run.measurement.tpot.p99_s, run.measurement.ttft.p99_s) == (None, None)
    assert run.measurement.tpot.mean_s == pytest.approx(C4["mean_tpot_ms"] * 1e-3)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"total_output_tokens": math.nan}, "total_output_tokens is missing"),
        ({"input_lens": [3], "output_lens": [3], "itls": [[0.1, 0.1]], "ttfts": [math.nan]}, "ttfts[0]"),
        ({"input_lens": [3], "output_lens": [3], "itls": [[0.1, math.inf]], "ttfts": [0.1]}, "itls[0]"),
    ],
)
def test_one_that_is_needed_is_asked_for_by_name(tmp_path: Path, changed: dict[str, object], field: str):
    path = written(tmp_path / "nan.json", {**C4, **changed})
    with pytest.raises(InvalidInput) as refused:
        read(path)
    assert str(refused.value).startswith(f"{path}, {field}")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text('NaInfity-\\" ,:', max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('Na:"', max_size=5), inner, max_size=4),
    max_leaves=20,
)


def without_texts(value: object) -> object:
    """The value with every text the same: what stands in them may be changed."""
    if isinstance(value, str):
        return "text"
    if isinstance(value, list):
        return [without_texts(each) for each in value]
    return [without_texts(each) for each in value.values()] if isinstance(value, dict) else value


@given(value=st.lists(json_values, max_size=3), size=st.integers(1, 40))
@example(value=[-math.inf, "a,NaN,", math.nan], size=1)
def test_bare_numbers_are_null_wherever_the_reads_part_them(value: object, size: int):
    text = json.dumps(value).encode()
    stream = WithoutBareNumbers(io.BytesIO(text))
    told = b"".join(iter(lambda: stream.read(size), b""))
    assert without_texts(json.loads(told)) == without_texts(loads(text))


@pytest.mark.parametrize("between", ["\n", "", "\n\n  "])
def test_appended_results_are_a_run_each(tmp_path: Path, between: str):
    names = [SAMPLES / "vllm_bench_serve" / f"vllm_bench_c{users}.json" for users in (1, 4, 16)]
    documents = [json.loads(name.read_text(encoding="utf-8")) for name in names]
    together = read(written(tmp_path / "all.json", *documents, between=between))
    alone = [run for name in names for run in read(name)]
    assert [run.measurement for run in together] == [run.measurement for run in alone]
    assert [run.place.removeprefix(str(tmp_path)) for run in together] == [
        "/all.json", "/all.json, result 2", "/all.json, result 3",
    ]  # fmt: skip


def test_a_broken_line_is_named(tmp_path: Path):
    path = tmp_path / "broken.json"
    path.write_text(f"{json.dumps(C4)}\n{json.dumps(C4)[:-40]}oops\n{json.dumps(C4)}\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"^[^,]*broken.json, line 2: the file is not valid JSON"):
        read(path)
    path.write_text(json.dumps(C4, indent=1).rpartition("\n")[0], encoding="utf-8")
    lines = path.read_text(encoding="utf-8").count("\n") + 1
    with pytest.raises(InvalidInput, match=rf"broken.json, line {lines}: the file ends in the middle"):
        read(path)


def test_a_rate_that_ramps_is_no_load(tmp_path: Path):
    ramp = {"ramp_up_strategy": "linear", "ramp_up_start_rps": 1, "ramp_up_end_rps": 9, "max_concurrency": None}
    path = written(tmp_path / "ramp.json", {**C4, **ramp})
    with pytest.raises(InvalidInput, match="the rate rose from 1 to 9 requests/s") as refused:
        read(path)
    assert str(refused.value).startswith(f"{path}, ramp_up_strategy")
    assert "--request-rate" in refused.value.remedy


def pytorch_records(result: dict[str, object]) -> list[dict[str, object]]:
    """As vLLM makes them of a result: each of twelve figures with everything else."""
    figures = [f"{s}_{m}_ms" for m in ("ttft", "tpot", "itl") for s in ("mean", "median", "std", "p99")]
    others = {name: value for name, value in result.items() if name not in {*figures, "ttfts", "itls", "errors"}}
    about = {"name": "vLLM benchmark", "extra_info": {"args": {"model": "m", "header": ["SECRET-sk-1234"]}}}
    return [
        {
            "benchmark": about,
            "model": {"name": "m"},
            "metric": {"name": name, "benchmark_values": [result[name]], "extra_info": others},
        }
        for name in figures
    ]


def test_pytorch_records_are_the_same_run(tmp_path: Path):
    plain = {name: value for name, value in C4.items() if not (name.startswith(("p50", "p90", "p95")))}
    (run,) = read(written(tmp_path / "c4.json", plain))
    (same,) = read(written(tmp_path / "c4.pytorch.json", pytorch_records(plain)))
    lengths_apart = {"input_tokens_cv": None, "output_tokens_cv": None}
    assert same.measurement == type(run.measurement)(**{**vars(run.measurement), **lengths_apart})
    assert "SECRET" not in repr(same)


def test_pytorch_records_of_another_benchmark_are_refused(tmp_path: Path):
    record = {"benchmark": {}, "metric": {"name": "latency", "benchmark_values": [1.0], "extra_info": {}}}
    with pytest.raises(InvalidInput, match="hold no load and no lengths") as refused:
        read(written(tmp_path / "latency.pytorch.json", [record]))
    assert "--save-result" in refused.value.remedy


def detailed(rng: np.random.Generator, count: int = 60) -> dict[str, object]:
    """A line of SGLang's with what `--output-details` adds; the last request failed."""
    first = json.loads(SGLANG.read_text(encoding="utf-8").splitlines()[0])
    output = rng.integers(2, 40, count)
    return {
        **first, "request_rate": math.inf, "max_concurrency": 4, "completed": count,
        "input_lens": [*rng.integers(10, 90, count).tolist(), 12], "output_lens": [*output.tolist(), 0],
        "ttfts": [*rng.uniform(0.02, 0.2, count).tolist(), 0.0],
        "itls": [*(rng.uniform(0.01, 0.02, n - 1).tolist() for n in output), []],
        "generated_texts": ["SECRET-sk-1234"] * (count + 1), "errors": [""] * count + ["SECRET-sk-1234"],
    }  # fmt: skip


def test_single_requests_of_sglang_are_used(tmp_path: Path):
    line = detailed(np.random.default_rng(1))
    (run,) = read(written(tmp_path / "details.jsonl", line))
    point = run.measurement
    ttft, output = np.array(line["ttfts"])[:-1], np.array(line["output_lens"])[:-1]
    assert (point.concurrency, run.requests) == (4.0, 60)
    assert point.output_tokens == pytest.approx(output.mean())
    assert point.output_tokens_cv == pytest.approx(output.std() / output.mean())
    assert point.ttft is not None
    assert point.ttft.p95_s == pytest.approx(np.percentile(ttft, 95))
    assert point.itl is not None
    assert point.itl.p99_s == pytest.approx(np.percentile(np.concatenate(line["itls"]), 99))
    assert point.output_tokens_per_s == pytest.approx(line["output_throughput"])
    assert run.table is not None
    assert "SECRET" not in repr(run)


def test_a_rate_behind_a_full_limit_is_a_closed_loop(tmp_path: Path):
    line = json.loads(SGLANG.read_text(encoding="utf-8").splitlines()[0])
    (full,) = read(written(tmp_path / "full.jsonl", {**line, "max_concurrency": 8, "concurrency": 7.9}))
    assert (full.measurement.concurrency, full.measurement.arrival_rate_per_s) == (8.0, None)


def test_requests_without_their_starts_pass_through_every_check(tmp_path: Path):
    (run,) = read(written(tmp_path / "details.jsonl", detailed(np.random.default_rng(1), 400)))
    assert check_runs([run]) == ()
