"""vLLM, SGLang, InferenceX, inference-perf, llmperf and plain CSV: figures as they stand in the files, in our terms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import InvalidInput
from planner.importers.benchmark_run import BenchmarkRun
from planner.importers.recognise import importer_of, runs_of

SAMPLES = Path(__file__).parent / "samples"
STAGE_0 = "inference-perf/vllm_stage_0_lifecycle_metrics.json"


def only(name: str) -> BenchmarkRun:
    (run,) = runs_of(SAMPLES / name)
    assert isinstance(run, BenchmarkRun)
    return run


def test_vllm_summary_in_milliseconds():
    run = only("vllm_bench_serve/vllm_bench_c4.json")
    point = run.measurement
    assert run.tool == "vllm bench serve"
    assert (point.concurrency, point.arrival_rate_per_s) == (4.0, None)
    assert (point.input_tokens, point.output_tokens) == (5147 / 40, 32.0)
    assert point.ttft is not None
    assert point.ttft.mean_s == pytest.approx(69.65051430000813e-3)
    assert point.ttft.p50_s == pytest.approx(35.79472000023998e-3)
    assert point.tpot is not None
    assert point.tpot.p99_s == pytest.approx(15.141969401288845e-3)
    assert point.requests_per_s == pytest.approx(9.664416439780805)
    assert run.date == "2026-11-23"


def test_inferencex_is_the_same_in_seconds_as_json_and_as_a_row():
    run = only("inferencex/glm5_fp8_vllm_tp8_isl10240_osl128_conc16.json")
    (row, *_) = runs_of(SAMPLES / "inferencex" / "inferencex_glm5_minimax_isl_sweep.csv")
    assert isinstance(row, BenchmarkRun)
    for each in (run, row):
        point = each.measurement
        assert (point.concurrency, point.input_tokens, point.output_tokens) == (16.0, 10240.0, 128.0)
        assert point.ttft is not None
        assert point.ttft.p50_s == pytest.approx(3.1382447043433785)
        assert point.tpot is not None
        assert point.tpot.p99_s == pytest.approx(0.196229197233622)
        assert each.setup.model == "zai-org/GLM-5-FP8"


def test_sglang_lines_open_and_at_once():
    first, *rest = runs_of(SAMPLES / "sglang" / "llama_3_3_70b_online_output.jsonl")
    assert len(rest) == 6
    assert isinstance(first, BenchmarkRun)
    assert first.measurement.arrival_rate_per_s == 1.0
    assert first.measurement.input_tokens == pytest.approx(152612 / 300)
    assert first.measurement.ttft is not None
    assert first.measurement.ttft.p50_s == pytest.approx(85.74514742940664e-3)
    at_once = only("sglang/deepseek_dp_mla_output.jsonl")
    assert at_once.capacity_only
    assert at_once.measurement.output_tokens_per_s == pytest.approx(12412.394674113431)


def test_inference_perf_stages_below_the_rate_asked_for_are_capacity():
    quiet, late = (only(f"inference-perf/vllm_stage_{n}_lifecycle_metrics.json") for n in (0, 3))
    assert quiet.measurement.arrival_rate_per_s == pytest.approx(1.0254654214024423)
    assert not quiet.capacity_only
    assert quiet.measurement.ttft is not None
    assert quiet.measurement.ttft.p95_s == pytest.approx(0.03623536097584292)
    # Gaps of 0.04 ms are those inside a chunk.
    assert quiet.measurement.itl is not None
    assert quiet.measurement.itl.p50_s is None
    assert late.measurement.arrival_rate_per_s == pytest.approx(92.2241, rel=1e-4)


def test_inference_perf_tpot_that_does_not_fit_its_own_lengths_is_put_right():
    # (0.480482 − 0.031127) / (63.15 − 1) = 7.23 ms, where the file says 3.47 ms.
    run = only("inference-perf/vllm_stage_0_lifecycle_metrics.json")
    assert run.measurement.tpot is not None
    assert run.measurement.tpot.mean_s == pytest.approx(7.23e-3, rel=2e-3)
    assert any("3.473" in note or "0.003473" in note for note in run.notes)


def newer(tmp_path: Path, **load: object) -> Path:
    """A real stage under the names of newer releases, as their report generator writes them."""
    document = json.loads((SAMPLES / STAGE_0).read_text(encoding="utf-8"))
    seen = document["successes"]
    count = seen["count"]
    prompt = seen.pop("prompt_len")
    total = prompt["mean"] * count
    seen["prompt_tokens"] = {"total": total, "cached": 0.0, "uncached": total, **prompt}
    # The server's count is kept beside the client's, which tokenises again.
    seen["output_tokens"] = {**seen["output_len"], "total": 60.0 * count, "mean": 60.0}
    document["load_summary"] |= load
    path = tmp_path / "stage_0_lifecycle_metrics.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_inference_perf_of_newer_releases_counts_by_the_server(tmp_path: Path):
    (run,) = runs_of(newer(tmp_path))
    assert isinstance(run, BenchmarkRun)
    assert run.measurement.input_tokens == pytest.approx(only(STAGE_0).measurement.input_tokens)
    assert run.measurement.output_tokens == 60.0


def test_inference_perf_with_a_concurrency_is_a_closed_loop(tmp_path: Path):
    (run,) = runs_of(newer(tmp_path, concurrency=8, requested_rate=5000.0))
    assert isinstance(run, BenchmarkRun)
    assert (run.measurement.concurrency, run.measurement.arrival_rate_per_s) == (8, None)
    assert not run.capacity_only


def test_a_median_gap_of_zero_is_that_inside_a_chunk(tmp_path: Path):
    path = newer(tmp_path)
    document = json.loads(path.read_text(encoding="utf-8"))
    document["successes"]["latency"]["inter_token_latency"]["median"] = 0.0
    path.write_text(json.dumps(document), encoding="utf-8")
    (run,) = runs_of(path)
    assert isinstance(run, BenchmarkRun)
    assert run.measurement.itl is not None
    assert [name for name, _ in run.measurement.itl.items()] == ["mean"]


def altered(tmp_path: Path, **values: object) -> Path:
    document = json.loads((SAMPLES / "vllm_bench_serve" / "vllm_bench_c4.json").read_text())
    path = tmp_path / "altered.json"
    path.write_text(json.dumps({**document, **values}), encoding="utf-8")
    return path


def test_users_are_no_more_than_requests_and_a_full_limit_is_a_closed_loop(tmp_path: Path):
    (few,) = runs_of(altered(tmp_path, max_concurrency=64))
    assert few.measurement.concurrency == 40.0
    # 9.66 requests/s of 0.409 s are 3.95 in flight of the 4 allowed: the limit sends, whatever rate was asked for.
    (full,) = runs_of(altered(tmp_path, request_rate=50.0))
    assert (full.measurement.concurrency, full.measurement.arrival_rate_per_s) == (4.0, None)
    (open_,) = runs_of(altered(tmp_path, request_rate=10.0, max_concurrency=100))
    assert (open_.measurement.concurrency, open_.measurement.arrival_rate_per_s) == (None, 10.0)


def test_a_run_of_no_duration_is_refused(tmp_path: Path):
    with pytest.raises(InvalidInput, match="duration"):
        list(runs_of(altered(tmp_path, duration=0)))


@pytest.mark.parametrize("name", ["vllm_stage_0_prometheus_metrics.json", "vllm_summary_lifecycle_metrics.json"])
def test_inference_perf_without_one_load_is_refused(name: str):
    with pytest.raises(InvalidInput, match="load_summary") as refused:
        list(runs_of(SAMPLES / "inference-perf" / name))
    assert "stage" in refused.value.remedy


def test_llmperf_divides_ttft_out_again():
    run = only("llmperf/tinyllama_256_100_summary.json")
    point = run.measurement
    raw = json.loads((SAMPLES / "llmperf" / "tinyllama_256_100_summary.json").read_text())
    e2e, ttft = raw["results_end_to_end_latency_s_mean"], raw["results_ttft_s_mean"]
    assert point.concurrency == 5.0
    assert point.itl is None
    assert point.tpot is not None
    assert point.tpot.mean_s == pytest.approx((e2e - ttft) / (point.output_tokens - 1.0))
    assert any("TTFT included" in note for note in run.notes)


def points(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "points.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_points_in_either_unit(tmp_path: Path):
    text = 'concurrency,input_tokens,output_tokens,ttft_p99_ms,itl_mean_s,requests_per_s\n8,512,128,"1,637.95",0.02,3\n'
    (run,) = runs_of(points(tmp_path, text))
    assert isinstance(run, BenchmarkRun)
    assert run.measurement.ttft is not None
    assert run.measurement.ttft.p99_s == pytest.approx(1.63795)
    assert run.measurement.itl is not None
    assert run.measurement.itl.mean_s == 0.02


@pytest.mark.parametrize(
    ("text", "said", "remedy"),
    [
        ("concurrency,input_tokens,output_tokens,tttf_p99_ms\n8,512,128,3\n", "heading: unknown column 'tttf_p99_ms'",
         "did you mean ttft_p99_ms?"),
        ("concurrency,input_tokens,output_tokens,ttft_mean_s\n8,512,128,-3\n", "line 2", ""),
        ("concurrency,input_tokens,output_tokens,ttft_mean_s\n8,512,128,NaN\n", "ttft_mean_s", ""),
        ("concurrency,input_tokens,output_tokens\n", "no row below the heading", "add a row"),
        ("concurrency,rate_per_s,input_tokens,output_tokens\n8,2,512,128\n", "either", ""),
    ],
)  # fmt: skip
def test_what_is_wrong_with_points_is_told_with_its_line(tmp_path: Path, text: str, said: str, remedy: str):
    with pytest.raises(InvalidInput, match=said) as refused:
        list(runs_of(points(tmp_path, text)))
    assert remedy in refused.value.remedy


def test_a_file_of_no_tool_names_those_that_are_known(tmp_path: Path):
    path = tmp_path / "notes.txt"
    path.write_text("some words", encoding="utf-8")
    with pytest.raises(InvalidInput, match="no benchmark tool") as refused:
        importer_of(path)
    assert "guidellm" in refused.value.remedy
    assert "vllm bench serve" in refused.value.remedy


SMALL = sorted(
    path
    for folder in ("vllm_bench_serve", "sglang", "inferencex", "inference-perf", "llmperf")
    for path in (SAMPLES / folder).iterdir()
    if path.stat().st_size < 5000
)


def refusal(path: Path) -> InvalidInput | None:
    """Why the file is refused; None where it holds runs. Anything else that is raised fails the test."""
    try:
        assert all(isinstance(run, BenchmarkRun) for run in runs_of(path))
    except InvalidInput as error:
        return error
    return None


@pytest.mark.parametrize("sample", SMALL, ids=lambda path: path.name)
def test_cut_short_anywhere_it_is_runs_or_a_message(tmp_path: Path, sample: Path):
    data = sample.read_bytes()
    path = tmp_path / sample.name
    for end in range(0, len(data), max(1, len(data) // 150)):
        path.write_bytes(data[:end])
        told = refusal(path)
        assert told is None or (str(path) in str(told) and told.remedy)


@given(data=st.data())
@settings(max_examples=60)
def test_altered_anywhere_it_is_runs_or_a_message(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    sample = data.draw(st.sampled_from(SMALL))
    raw = bytearray(sample.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.sampled_from(b'"0-9e.{}[],:Nn \n'))
    path = tmp_path_factory.mktemp("altered") / sample.name
    path.write_bytes(bytes(raw))
    told = refusal(path)
    assert told is None or told.remedy
