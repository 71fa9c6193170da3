"""genai-perf on real files: what it says, and what it counts wrongly."""

from __future__ import annotations

import json

import pytest

from models.errors import InvalidInput
from planner.importers.client_tokens import COUNTED_BY_CLIENT
from planner.importers.genai_perf import GenaiPerf
from planner.importers.genai_perf_requests import GenaiPerfRequests
from tests.planner.importers.unpacked_samples import C8, SAMPLES, unpacked


def only(importer, path):
    (run,) = importer.runs(path)
    return run


def test_summary_takes_the_servers_tokens_not_the_clients():
    """32 were asked for with ignore_eos; genai-perf says 35.4625 and so 40.2 ms. (1483.86 − 108.02) / 31 = 44.38."""
    run = only(GenaiPerf(), SAMPLES / C8 / "profile_export_genai_perf.json")
    point = run.measurement
    assert (point.concurrency, point.input_tokens, point.output_tokens) == (8.0, 64.0, 32.0)
    assert point.ttft.mean_s == pytest.approx(0.1080177205875)
    assert point.ttft.p99_s == pytest.approx(0.16821985775)
    assert point.tpot.mean_s == pytest.approx((1.4838615788 - 0.1080177205875) / 31.0)
    assert point.tpot.p99_s is None, "percentiles by the client's count would be wrong"
    assert point.output_tokens_per_s == pytest.approx(5.3713764147497125 * 32.0)
    assert run.setup.model == "tiny-llama"
    assert run.setup.engine is None, "the backend is a default that says nothing"
    assert run.notes == ("output tokens: the server's 32, not the client's 35.4625",)


def test_requests_give_every_statistic(tmp_path):
    folder = unpacked(C8, tmp_path)
    run = only(GenaiPerfRequests(), folder / "profile_export.json")
    point, table = run.measurement, run.table
    first = json.loads((folder / "profile_export.json").read_text())["experiments"][0]["requests"][0]
    # The last response is `[DONE]`, no token.
    assert table.ttft_s[0] == pytest.approx((first["response_timestamps"][0] - first["timestamp"]) * 1e-9, abs=1e-6)
    assert table.e2e_s[0] == pytest.approx((first["response_timestamps"][-2] - first["timestamp"]) * 1e-9, abs=1e-6)
    assert (run.requests, run.failed) == (160, 0)
    assert (point.concurrency, point.input_tokens, point.output_tokens) == (8.0, 64.0, 32.0)
    assert point.ttft.p50_s == pytest.approx(0.103427894, abs=1e-6), "as genai-perf itself has it"
    assert point.tpot.mean_s == pytest.approx(((table.e2e_s - table.ttft_s) / 31.0).mean())
    assert point.itl.p50_s == pytest.approx(0.0441, abs=1e-4)
    assert run.burstiness is None


def test_requests_need_prompt_lengths_from_the_summary(tmp_path):
    folder = unpacked(C8, tmp_path, "profile_export.json")
    with pytest.raises(InvalidInput, match=r"profile_export.json, experiments\[0\]: it holds prompts as text") as error:
        only(GenaiPerfRequests(), folder / "profile_export.json")
    assert "genai_perf.json" in error.value.remedy


@pytest.mark.parametrize("beside", [True, False])
def test_csv_and_json_agree(tmp_path, beside):
    names = ["profile_export_genai_perf.csv", *(["profile_export_genai_perf.json"] if beside else [])]
    folder = unpacked(C8, tmp_path, *names)
    run = only(GenaiPerf(), folder / "profile_export_genai_perf.csv")
    assert run.measurement.concurrency == 8.0, "from the file beside it, or the folder's name"
    assert run.measurement.ttft.mean_s == pytest.approx(0.10802)
    assert run.measurement.e2e.mean_s == pytest.approx(1.48386), "1,483.86 in quotes"
    if beside:
        assert run.measurement.output_tokens == 32.0
    else:
        assert run.measurement.output_tokens == 35.46
        assert run.measurement.tpot.p99_s == pytest.approx(0.04508)
        assert COUNTED_BY_CLIENT in run.notes


def test_older_headings_without_units():
    """86.48 tokens/s over 511.90 tokens is 0.16894 requests/s, which the file rounds to 0.17."""
    run = only(GenaiPerf(), SAMPLES / "genai-perf/profile_export_genai_perf_rag_blueprint_h100.csv")
    point = run.measurement
    assert (point.input_tokens, point.output_tokens) == (127.5, 511.9)
    assert point.requests_per_s == pytest.approx(86.48 / 511.9)
    assert point.concurrency == pytest.approx(1.0, abs=0.001)
    assert point.tpot.p90_s == pytest.approx(0.01158)
    assert any("Little" in note for note in run.notes)


def test_newer_headings_with_units_and_grouped_digits():
    run = only(GenaiPerf(), SAMPLES / "genai-perf/profile_genai_perf_cloudai_dynamo.csv")
    point = run.measurement
    assert (point.input_tokens, point.output_tokens) == (3000.05, 174.45)
    assert point.ttft.p95_s == pytest.approx(3.34956)
    assert point.itl.mean_s == pytest.approx((6.40620 - 1.14631) / 173.45)
    assert run.requests == 40


def test_flat_configuration_of_older_versions(tmp_path):
    """Laid out as genai-perf wrote its arguments before they were nested; Triton's backend is then the engine."""
    document = json.loads((SAMPLES / C8 / "profile_export_genai_perf.json").read_text())
    document["input_config"] = {
        "model": ["llama"],
        "service_kind": "triton",
        "backend": "tensorrtllm",
        "endpoint": None,
        "concurrency": None,
        "request_rate": 5.5,
        "extra_inputs": ["max_tokens:32", "ignore_eos:true", "api_key:SECRET"],
    }
    path = tmp_path / "profile_export_genai_perf.json"
    path.write_text(json.dumps(document))
    run = only(GenaiPerf(), path)
    assert (run.setup.model, run.setup.engine) == ("llama", "triton-trtllm")
    assert run.measurement.output_tokens == 32.0
    assert run.measurement.arrival_rate_per_s == pytest.approx(160 / (160 / 5.37137641 - 1.4838615788))
    assert "SECRET" not in repr(run)


def test_usage_chunks_count_before_what_was_asked(tmp_path):
    """Chat: the first chunk has a role and no token, the last one the server's count."""

    def chunk(delta, **more):
        return {"response": "data: " + json.dumps({"choices": [{"delta": delta}] if delta else [], **more}) + "\n\n"}

    def request(start):
        times = [start + n * 10_000_000 for n in (1, 2, 3, 4, 5)]
        outputs = [
            chunk({"role": "assistant", "content": ""}),
            chunk({"content": "a"}),
            chunk({"content": "bc"}),
            chunk(None, usage={"prompt_tokens": 7, "completion_tokens": 3}),
            {"response": "data: [DONE]\n\n"},
        ]
        return {
            "timestamp": start,
            "request_inputs": {"payload": json.dumps({"max_tokens": 9, "ignore_eos": True, "messages": "SECRET"})},
            "response_timestamps": times,
            "response_outputs": outputs,
        }

    load = {"mode": "concurrency", "value": 1}
    failed = {"timestamp": 5, "response_timestamps": [], "response_outputs": []}
    experiment = {"experiment": load, "requests": [request(10**9), request(2 * 10**9), failed]}
    path = tmp_path / "profile_export.json"
    path.write_text(json.dumps({"experiments": [experiment]}))
    run = only(GenaiPerfRequests(), path)
    assert (run.measurement.input_tokens, run.measurement.output_tokens) == (7.0, 3.0)
    assert run.measurement.ttft.mean_s == pytest.approx(0.020)
    assert run.measurement.tpot.mean_s == pytest.approx(0.005), "two tokens in 10 ms, though in one chunk"
    assert run.measurement.itl.p50_s is None
    assert any("left out" in note for note in run.notes)
    assert (run.requests, run.failed) == (2, 1)
    assert "SECRET" not in repr(run)
