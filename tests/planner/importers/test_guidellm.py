"""guidellm: a real sweep of 0.8.1, and the layouts of older generations."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml

from models.errors import InvalidInput
from planner.importers.guidellm import Guidellm
from tests.planner.importers.unpacked_samples import unpacked


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    return unpacked("guidellm", tmp_path_factory.mktemp("guidellm")) / "guidellm_sweep.trimmed.json"


def test_sweep_has_real_rates_and_marks_saturation(sweep):
    """Nominal 2.61, 4.21, 5.82 and 7.43; sent 112, 184, 239 and 284 in 28 s; the throughput stage served 208."""
    runs = list(Guidellm().runs(sweep))
    loads = [(run.measurement.concurrency, run.measurement.arrival_rate_per_s) for run in runs]
    assert loads == [(1, None), (512, None), *[(None, pytest.approx(n / 28)) for n in (112, 184, 239, 284)]]
    assert [run.capacity_only for run in runs] == [False, True, False, False, True, True]
    assert [run.requests for run in runs] == [28, 208, 89, 166, 196, 201]
    assert any("not the nominal 2.607/s" in note for note in runs[2].notes)
    assert all(run.burstiness is None for run in runs), "twelve requests of each stage do not show it"
    assert any("15 of 112 requests were kept" in note for note in runs[2].notes)
    assert {run.setup.model for run in runs} == {"tiny-llama"}
    assert runs[0].date == "2026-11-23"


def test_the_first_token_is_not_in_tpot(sweep):
    """Its time_per_output_token_ms is 30.747 for one user; between tokens it is 30.312."""
    point = next(iter(Guidellm().runs(sweep))).measurement
    assert point.tpot.mean_s == pytest.approx(0.0303124, abs=1e-7)
    assert point.tpot.p99_s == pytest.approx(0.034162, abs=1e-6)
    assert point.itl.mean_s == point.tpot.mean_s
    assert point.itl.p99_s is None, "guidellm keeps no single gaps"
    assert point.ttft.mean_s == pytest.approx(0.0442284, abs=1e-7)


def test_neither_keys_nor_prompts_are_copied(sweep, tmp_path):
    document = json.loads(sweep.read_text())
    document["config"]["spec"]["backend"]["api_key"] = "SECRET-KEY"
    for stage in document["benchmarks"]:
        stage["config"]["backend"]["api_key"] = "SECRET-KEY"
    path = tmp_path / "secret.json"
    path.write_text(json.dumps(document))
    prompts = [each["request_args"][:200] for each in document["benchmarks"][0]["requests"]["successful"]]
    told = "".join(repr(run) for run in Guidellm().runs(path))
    assert "SECRET-KEY" not in told
    assert not any(prompt in told for prompt in prompts)


def requests(count, rate_per_s):
    """Sends as a Poisson stream has them, 64 tokens in, 11 out, 50 ms to the first token and 10 ms between."""
    starts = 1.7e9 + np.cumsum(np.random.default_rng(7).exponential(1.0 / rate_per_s, count))
    return [
        {
            "request_start_time": float(start),
            "request_end_time": float(start) + 0.151,
            "request_latency": 0.151,
            "time_to_first_token_ms": 50.0,
            "time_per_output_token_ms": 13.6,
            "inter_token_latency_ms": 10.0,
            "prompt_tokens": 64,
            "output_tokens": 11,
            "request_args": "SECRET prompt",
            "output": "SECRET answer",
        }
        for start in starts
    ]


def whole_stage(kept, **parts):
    """A stage with every request in it."""
    return {
        "type_": "generative_benchmark",
        "start_time": 1.7e9,
        "end_time": 1.7e9 + 100.0,
        "requests": {"successful": kept, "errored": [], "incomplete": []},
        **parts,
    }


def generations():
    kept = requests(200, 2.0)
    counts = {"successful": 200, "errored": 0, "incomplete": 0, "total": 200}
    strategy = {"type_": "poisson", "rate": 3.0}
    oldest = [{**each, "start_time": each["request_start_time"]} for each in kept]
    for each in oldest:
        del each["request_start_time"]
    yield (
        "0.2",
        {"benchmarks": [whole_stage(oldest, args={"strategy": strategy}, run_stats={"requests_made": counts})]},
    )
    middle = whole_stage(kept, config={"strategy": strategy}, scheduler_metrics={"requests_made": counts})
    yield "0.4", {"args": {"model": "m"}, "benchmarks": [middle]}
    newest = whole_stage(kept, config={"strategy": strategy}, metrics={"request_totals": counts})
    yield "0.6", {"metadata": {"guidellm_version": "0.6.0"}, "args": {"model": "m"}, "benchmarks": [newest]}


@pytest.mark.parametrize(
    ("version", "document"), list(generations()), ids=lambda each: each if isinstance(each, str) else ""
)
@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_requests_of_each_generation(tmp_path, version, document, suffix):
    path = tmp_path / f"report.{suffix}"
    path.write_text(json.dumps(document) if suffix == "json" else yaml.safe_dump(document))
    (run,) = Guidellm().runs(path)
    point = run.measurement
    starts = run.table.start_s
    assert point.arrival_rate_per_s == pytest.approx(199 / np.ptp(starts)), "as sent, not the nominal 3"
    assert point.arrival_rate_per_s == pytest.approx(2.0, rel=0.2)
    assert run.burstiness == pytest.approx(1.0, abs=0.35)
    assert point.tpot.p95_s == pytest.approx(0.010)
    assert point.e2e.mean_s == pytest.approx(0.150), "to the last token, not to the end of the connection"
    assert not run.capacity_only
    assert run.setup.model == (None if version == "0.2" else "m")
    assert "SECRET" not in repr(run)


def test_a_lone_saturated_stage(tmp_path):
    """600 sent in 100 s and 200 served; each took 3 s, so that about 206 should have been."""
    metrics = {
        "request_totals": {"successful": 200, "errored": 0, "incomplete": 400},
        "prompt_token_count": {"successful": {"mean": 64.0}},
        "output_token_count": {"successful": {"mean": 11.0, "std_dev": 2.0}},
        "request_latency": {"successful": {"mean": 3.0, "median": 3.0}},
        "time_to_first_token_ms": {"successful": {"mean": 50.0}},
        "inter_token_latency_ms": {"successful": {"mean": 10.0, "median": 9.0}},
    }
    stage = whole_stage([], config={"strategy": {"type_": "constant", "rate": 6.0}}, metrics=metrics)
    path = tmp_path / "report.json"
    path.write_text(json.dumps({"benchmarks": [stage]}))
    (run,) = Guidellm().runs(path)
    assert run.capacity_only
    assert run.measurement.arrival_rate_per_s == 6.0
    assert run.measurement.tpot is None, "outputs differ, so a mean over tokens is no mean over requests"
    assert run.measurement.itl.mean_s == 0.010


def test_cut_short_names_the_line(sweep, tmp_path):
    text = sweep.read_bytes()
    path = tmp_path / "cut.json"
    path.write_bytes(text[: len(text) // 2])
    with pytest.raises(InvalidInput, match=r"cut.json, line \d+: the file ends in the middle"):
        list(Guidellm().runs(path))
