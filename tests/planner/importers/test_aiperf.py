"""aiperf on real files."""

from __future__ import annotations

import json

import numpy as np
import pytest

from models.errors import InvalidInput
from planner.importers.aiperf import Aiperf
from planner.importers.aiperf_requests import AiperfRequests
from planner.importers.client_tokens import COUNTED_BY_CLIENT
from planner.importers.importer import FileStart
from planner.importers.load_tools import LOAD_TOOLS
from tests.planner.importers.unpacked_samples import SAMPLES, unpacked


def only(importer, path):
    (run,) = importer.runs(path)
    return run


def test_closed_loop_summary():
    run = only(Aiperf(), SAMPLES / "aiperf/c4/profile_export_aiperf.json")
    point = run.measurement
    assert (point.concurrency, point.input_tokens, point.output_tokens) == (4.0, 64.0, 32.0)
    assert point.tpot.p50_s == pytest.approx(0.03979, abs=1e-5), "time after the first token over 31 tokens"
    assert (run.requests, run.failed, run.date) == (80, 0, "2026-11-23")
    assert run.notes == ("output tokens: the server's 32, not the client's 35.4625",)


def test_open_loop_summary_has_the_rate_that_was_sent():
    """250 requests; the last ended 48.867 s after the first was sent, and took 1.567 s: 250 / 47.3 = 5.285, about."""
    run = only(Aiperf(), SAMPLES / "aiperf/rate5/profile_export_aiperf.json")
    assert run.measurement.concurrency is None
    assert run.measurement.arrival_rate_per_s == pytest.approx(250 / (250 / 5.0985779 - 1.567133), rel=1e-6)
    assert not run.capacity_only
    assert run.measurement.itl.mean_s == pytest.approx((1.567133067772 - 0.09128583157) / 31.0)
    assert run.measurement.itl.p99_s == pytest.approx(0.07752506769), "gaps between chunks, where a chunk is a token"


def test_requests_agree_with_the_summary_and_say_more(tmp_path):
    folder = unpacked("aiperf/rate5", tmp_path)
    run = only(AiperfRequests(), folder / "profile_export.jsonl")
    summary = only(Aiperf(), folder / "profile_export_aiperf.json").measurement
    point, table = run.measurement, run.table
    assert point.ttft.p95_s == pytest.approx(summary.ttft.p95_s)
    assert point.e2e.p99_s == pytest.approx(summary.e2e.p99_s)
    assert point.tpot.p90_s == pytest.approx(summary.tpot.p90_s)
    sends = np.sort(table.start_s)
    assert point.arrival_rate_per_s == pytest.approx(249 / (sends[-1] - sends[0]))
    gaps = np.diff(sends)
    assert run.burstiness == pytest.approx(gaps.var() / gaps.mean() ** 2)
    assert 0.8 < run.burstiness < 1.3, "it was a Poisson stream"
    assert table.output_tokens.tolist() == [32.0] * 250


def test_requests_alone_show_their_load(tmp_path):
    closed = unpacked("aiperf/c4", tmp_path, "profile_export.jsonl")
    assert only(AiperfRequests(), closed / "profile_export.jsonl").measurement.concurrency == 4.0
    opened = unpacked("aiperf/rate5", tmp_path, "profile_export.jsonl")
    assert only(AiperfRequests(), opened / "profile_export.jsonl").measurement.concurrency is None


def test_fewer_requests_than_the_summary_counts():
    with pytest.raises(InvalidInput, match="holds 3 requests, and the summary beside it says 80"):
        only(AiperfRequests(), SAMPLES / "aiperf/c8/profile_export.head.jsonl")


def test_usage_of_the_mock_server():
    """The client counted 160 for a true 40. Chunks came together: half of the gaps within 8 ms, the mean 16 ms."""
    run = only(Aiperf(), SAMPLES / "aiperf/c8/profile_export_aiperf.csv")
    assert run.measurement.output_tokens == 40.0
    assert run.measurement.input_tokens == 41.88
    assert run.measurement.itl.mean_s == pytest.approx((0.81932 - 0.18174) / 39.0)


def without_usage(path, *, ignore_eos):
    document = json.loads(path.read_text())
    for name in [each for each in document if "usage" in each or each == "inter_chunk_latency"]:
        del document[name]
    document["input_config"]["endpoint"]["extra"]["ignore_eos"] = ignore_eos
    path.write_text(json.dumps(document))
    return path


def test_without_usage_the_engines_own_counters_speak(tmp_path):
    folder = unpacked("aiperf/c4", tmp_path, "profile_export_aiperf.json", "server_metrics_export.json")
    run = only(Aiperf(), without_usage(folder / "profile_export_aiperf.json", ignore_eos=False))
    assert run.measurement.output_tokens == 32.0
    assert run.measurement.tpot is None, "lengths may differ, so the mean over requests is not known"
    assert run.measurement.itl.mean_s == pytest.approx(0.03975, abs=1e-5)


def test_without_anything_the_clients_count_is_told_as_such(tmp_path):
    folder = unpacked("aiperf/c4", tmp_path, "profile_export_aiperf.json")
    run = only(Aiperf(), without_usage(folder / "profile_export_aiperf.json", ignore_eos=False))
    assert run.measurement.output_tokens == 35.4625
    assert COUNTED_BY_CLIENT in run.notes


def test_what_was_asked_for_with_ignore_eos_is_the_length(tmp_path):
    folder = unpacked("aiperf/c4", tmp_path, "profile_export_aiperf.json")
    run = only(Aiperf(), without_usage(folder / "profile_export_aiperf.json", ignore_eos=True))
    assert run.measurement.output_tokens == 32.0
    assert run.measurement.tpot.mean_s == pytest.approx(0.03975, abs=1e-5)


def test_configuration_of_older_versions(tmp_path):
    """`input_config.loadgen` instead of phases, and no version: still aiperf's and not genai-perf's."""
    document = json.loads((SAMPLES / "aiperf/c4/profile_export_aiperf.json").read_text())
    del document["aiperf_version"], document["schema_version"]
    document["input_config"] = {
        "endpoint": {"model_names": ["llama"]},
        "loadgen": {"concurrency": 4, "request_rate": None},
    }
    path = tmp_path / "profile_export_aiperf.json"
    path.write_text(json.dumps(document))
    (importer,) = [each for each in LOAD_TOOLS if each.recognises(FileStart(name="x", text=path.read_text()))]
    assert importer.tool == "aiperf"
    run = only(importer, path)
    assert run.measurement.concurrency == 4.0
    assert run.setup.model == "llama"


def test_zero_time_to_first_token_is_refused_with_its_line(tmp_path):
    folder = unpacked("aiperf/c4", tmp_path, "profile_export.jsonl")
    path = folder / "profile_export.jsonl"
    lines = path.read_text().splitlines()
    record = json.loads(lines[6])
    record["metrics"]["time_to_first_token"]["value"] = 0
    path.write_text("\n".join([*lines[:6], json.dumps(record), *lines[7:]]))
    with pytest.raises(InvalidInput, match=r"profile_export.jsonl, line 7, metrics.time_to_first_token"):
        only(AiperfRequests(), path)
