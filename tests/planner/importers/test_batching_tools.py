"""perf_analyzer and model_analyzer: requests without tokens."""

from __future__ import annotations

import json

import pytest

from models.errors import InvalidInput
from planner.importers.genai_perf_requests import GenaiPerfRequests
from planner.importers.model_analyzer import ModelAnalyzer
from planner.importers.perf_analyzer import PerfAnalyzer
from tests.planner.importers.unpacked_samples import SAMPLES


def test_rows_keep_the_load_of_their_column():
    """Sorted by throughput: users 1, 3, 4, 2. Microseconds; compute is 206 + 11781 + 19."""
    runs = list(PerfAnalyzer().runs(SAMPLES / "perf_analyzer/perf_inception_graphdef.csv"))
    assert [(run.concurrency, run.inferences_per_s) for run in runs] == [(1, 69.2), (3, 84.2), (4, 84.2), (2, 87.2)]
    assert runs[0].e2e.p99_s == pytest.approx(21018e-6)
    assert runs[0].service_mean_s == pytest.approx(12006e-6)
    assert runs[2].queue_mean_s == pytest.approx(33669e-6)
    assert runs[2].place.endswith("perf_inception_graphdef.csv, line 4")


@pytest.mark.parametrize("name", ["perf_inception_graphdef.csv", "perf_resnet50_old_schema.csv"])
def test_the_parts_add_up_to_littles_law(name):
    for run in PerfAnalyzer().runs(SAMPLES / "perf_analyzer" / name):
        assert run.inferences_per_s * run.e2e.mean_s == pytest.approx(run.concurrency, rel=0.01)


def test_old_columns_have_one_compute_time():
    run = next(PerfAnalyzer().runs(SAMPLES / "perf_analyzer/perf_resnet50_old_schema.csv"))
    assert run.service_mean_s == pytest.approx(4801e-6)


def test_request_rate_is_an_open_stream(tmp_path):
    path = tmp_path / "rate.csv"
    path.write_text("Request Rate,Inferences/Second,Server Queue,p50 latency\n40,39.5,0,900\n")
    (run,) = PerfAnalyzer().runs(path)
    assert (run.concurrency, run.arrival_rate_per_s, run.queue_mean_s) == (None, 40.0, 0.0)
    assert run.service_mean_s is None, "not known, and not zero"


def test_requests_of_a_model_without_tokens(tmp_path):
    """Two users, 20 and 30 ms a request."""

    def request(start, milliseconds):
        end = start + milliseconds * 1_000_000
        return {"timestamp": start, "response_timestamps": [end], "response_outputs": [{"output0": "1.5"}]}

    requests = [request(10**9, 20), request(10**9, 30), request(1_020_000_000, 20), request(1_030_000_000, 30)]
    experiment = {"experiment": {"mode": "concurrency", "value": 2}, "requests": requests}
    path = tmp_path / "profile_export.json"
    path.write_text(json.dumps({"service_kind": "triton", "experiments": [experiment]}))
    (run,) = GenaiPerfRequests().runs(path)
    assert run.tool == "perf_analyzer"
    assert run.concurrency == 2.0
    assert run.e2e.mean_s == pytest.approx(0.025)
    assert run.inferences_per_s == pytest.approx(4 / 0.060, rel=1e-4)
    assert not hasattr(run, "measurement")


def test_model_analyzer():
    runs = list(ModelAnalyzer().runs(SAMPLES / "model_analyzer/metrics-model-inference.csv"))
    assert [(run.concurrency, run.inferences_per_s, run.e2e.p99_s) for run in runs] == [
        (2, 195, 0.011),
        (1, 164, 0.0081),
    ]
    assert runs[0].setup.model == "resnet50_libtorch"
    assert (runs[0].instances, runs[0].preferred_batch_sizes, runs[0].client_batch) == ("1/GPU", (32,), 1)


def test_model_analyzer_does_not_pretend_tokens(tmp_path):
    path = tmp_path / "llm.csv"
    path.write_text(
        "Model,Concurrency,Model Config Path,Throughput (infer/sec),p99 Latency (ms),p99 Inter Token Latency (ms)\n"
        "llama,4,llama_i0,2.5,1700,21.5\n"
    )
    (run,) = ModelAnalyzer().runs(path)
    assert not hasattr(run, "measurement")
    assert any("columns of tokens left out" in note for note in run.notes)


def test_table_of_gpus_is_not_taken_for_the_other():
    from planner.importers.importer import FileStart

    text = (SAMPLES / "model_analyzer/metrics-model-gpu.csv").read_text()
    assert not ModelAnalyzer().recognises(FileStart(name="x", text=text))


def test_a_row_cut_short_names_its_line(tmp_path):
    path = tmp_path / "short.csv"
    path.write_text("Concurrency,Inferences/Second,p50 latency\n1,69.2,13891\n2,84.2\n")
    with pytest.raises(InvalidInput, match=r"short.csv, line 3: 2 columns where the heading has 3"):
        list(PerfAnalyzer().runs(path))
