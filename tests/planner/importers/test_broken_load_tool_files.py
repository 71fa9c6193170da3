"""Files cut short or altered: runs, or InvalidInput that names the file and what is wrong; nothing else."""

from __future__ import annotations

import copy
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InvalidInput
from planner.importers.benchmark_run import BenchmarkRun
from planner.importers.importer import FileStart
from planner.importers.load_tools import LOAD_TOOLS
from planner.importers.recognise import runs_of
from tests.planner.importers.unpacked_samples import C8, SAMPLES, unpacked

EVERY_BYTE = 2048
"""Samples up to this size are cut at every byte, larger ones at 200 places."""

SMALL = [
    f"{C8}/profile_export_genai_perf.json",
    f"{C8}/profile_export_genai_perf.csv",
    "genai-perf/profile_export_genai_perf_rag_blueprint_h100.csv",
    "genai-perf/profile_genai_perf_cloudai_dynamo.csv",
    "aiperf/c4/profile_export_aiperf.json",
    "aiperf/c4/profile_export_aiperf.csv",
    "aiperf/c8/profile_export.head.jsonl",
    "perf_analyzer/perf_inception_graphdef.csv",
    "perf_analyzer/perf_resnet50_old_schema.csv",
    "model_analyzer/metrics-model-inference.csv",
    "trtllm-bench/perf_overview_dsv32_tp4_conc1.txt",
    "trtllm-bench/perf_overview_throughput_v0.20.txt",
]
PACKED = [
    ("guidellm", "guidellm_sweep.trimmed.json"),
    (C8, "profile_export.json"),
    ("aiperf/c4", "profile_export.jsonl"),
]


def importer_of(text):
    found = [each for each in LOAD_TOOLS if each.recognises(FileStart(name="x", text=text[:65536]))]
    assert len(found) == 1, f"one importer should recognise it, not {[each.tool for each in found]}"
    return found[0]


def runs_or_complaint(read, path):
    """What came of a file. Anything but runs or InvalidInput with the file's name fails the test."""
    try:
        return list(read(path))
    except InvalidInput as error:
        complaint, remedy = str(error), error.remedy
    assert str(path) in complaint, f"{complaint} does not name the file"
    assert remedy, f"{complaint} does not say what to do"
    return complaint


@pytest.mark.parametrize("name", SMALL)
def test_each_sample_has_one_importer(name):
    importer_of((SAMPLES / name).read_text())


@pytest.mark.parametrize(("folder", "name"), PACKED)
def test_each_large_sample_has_one_importer(tmp_path, folder, name):
    importer_of((unpacked(folder, tmp_path, name) / name).read_text()[:65536])


@pytest.mark.parametrize("name", SMALL)
def test_cut_inside_a_line_it_is_refused_and_at_a_line_no_figure_changes(tmp_path, name):
    """A number that lost its last digits would be another number."""
    data = (SAMPLES / name).read_bytes()
    path = tmp_path / "cut"
    path.write_bytes(data)
    read = runs_or_complaint(runs_of, path)
    whole = [run.measurement for run in read if isinstance(run, BenchmarkRun)]
    step = 1 if len(data) <= EVERY_BYTE else len(data) // 200
    for length in range(0, len(data.rstrip()), step):
        path.write_bytes(data[:length])
        found = runs_or_complaint(runs_of, path)
        if isinstance(found, str):
            continue
        assert data[length - 1 : length] == b"\n", f"{length} bytes of {name}, cut inside a line, passed for the whole"
        for run, known in zip(found, whole, strict=False):
            if isinstance(run, BenchmarkRun):
                for metric in ("ttft", "tpot", "itl", "e2e"):
                    seen, true = getattr(run.measurement, metric), getattr(known, metric)
                    assert seen is None or set(seen.items()) <= set(true.items())


@pytest.mark.parametrize(("folder", "name"), PACKED)
def test_large_files_cut_short_are_refused(tmp_path, folder, name):
    path = unpacked(folder, tmp_path) / name
    data = path.read_bytes()
    importer = importer_of(data[:65536].decode(errors="ignore"))
    for share in (0.0, 0.001, 0.3, 0.77, 0.999):
        path.write_bytes(data[: int(share * len(data))])
        assert isinstance(runs_or_complaint(importer.runs, path), str), f"{share} of the file passed for the whole"


SECRET = "SECRET-sk-1234"
odd_values = st.sampled_from(
    [
        None,
        True,
        -1,
        0,
        1e308,
        10**30,
        math.nan,
        math.inf,
        "",
        "1,234.5",
        "NaN",
        SECRET,
        [],
        {},
        [SECRET],
        {SECRET: SECRET},
    ]
)


def places(value, path=()):
    """Every path in a document."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def altered(document, path, value):
    if not path:
        return value
    document = copy.deepcopy(document)
    here = document
    for key in path[:-1]:
        here = here[key]
    here[path[-1]] = value
    return document


def small_guidellm(tmp_path_factory):
    folder = unpacked("guidellm", tmp_path_factory.mktemp("fuzz"))
    document = json.loads((folder / "guidellm_sweep.trimmed.json").read_text())
    wanted = (
        "request_totals",
        "request_latency",
        "time_to_first_token_ms",
        "inter_token_latency_ms",
        "prompt_token_count",
    )
    for stage in document["benchmarks"]:
        metrics = {name: stage["metrics"][name] for name in (*wanted, "output_token_count", "request_concurrency")}
        for name, metric in metrics.items():
            if name != "request_totals":
                metrics[name] = {"successful": metric["successful"], "total": metric["total"]}
        stage["metrics"] = metrics
        for status, kept in stage["requests"].items():
            stage["requests"][status] = kept[:2] if kept else kept
    document["benchmarks"] = document["benchmarks"][1:3]
    return document


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """JSON of each kind, small enough to alter many times."""
    found = {name: json.loads((SAMPLES / name).read_text()) for name in SMALL if name.endswith(".json")}
    lines = (SAMPLES / "aiperf/c8/profile_export.head.jsonl").read_text().splitlines()
    found["aiperf/request"] = json.loads(lines[0])
    folder = unpacked(C8, tmp_path_factory.mktemp("fuzz"), "profile_export.json")
    requests = json.loads((folder / "profile_export.json").read_text())
    experiment = requests["experiments"][0]
    experiment["requests"] = experiment["requests"][:12]
    for each in experiment["requests"]:
        each["request_inputs"]["payload"] = json.dumps({"prompt": [1, 2, 3], "max_tokens": 32, "ignore_eos": True})
    found["genai-perf/requests"] = requests
    found["guidellm"] = small_guidellm(tmp_path_factory)
    return found


KINDS = [
    *[name for name in SMALL if name.endswith(".json")],
    "aiperf/request",
    "genai-perf/requests",
    "guidellm",
]


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_any_value_altered(documents, tmp_path_factory, kind, data):
    document = documents[kind]
    importer = importer_of(json.dumps(document))
    where = data.draw(st.sampled_from(list(places(document))))
    path = tmp_path_factory.mktemp("altered") / "file.json"
    path.write_text(json.dumps(altered(document, where, data.draw(odd_values))))
    outcome = runs_or_complaint(importer.runs, path)
    if isinstance(outcome, str):
        assert SECRET not in outcome


TEXTS = [name for name in SMALL if name.endswith((".csv", ".txt"))]


@pytest.mark.parametrize("name", TEXTS)
@given(data=st.data())
def test_any_text_altered(tmp_path_factory, name, data):
    text = (SAMPLES / name).read_text()
    importer = importer_of(text)
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 12))
    piece = data.draw(st.sampled_from(["", ",", '"', "\n", "\0", "nan", "-", "inf", "9" * 400, "é", "0", ":", "]"]))
    path = tmp_path_factory.mktemp("altered") / "file"
    path.write_text(text[:at] + piece + text[at + cut :])
    runs_or_complaint(importer.runs, path)


@pytest.mark.parametrize("importer", LOAD_TOOLS, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"{}", b"[]", b"{" * 5000, b'{"a":' * 5000, b"a: [b\n", b"x,y\n1,2\n"]
)
def test_files_of_something_else(tmp_path, importer, content):
    path = tmp_path / "other"
    path.write_bytes(content)
    assert isinstance(runs_or_complaint(importer.runs, path), str)


@pytest.mark.parametrize("importer", LOAD_TOOLS, ids=lambda each: type(each).__name__)
def test_no_file_and_a_folder(tmp_path, importer):
    for path in (tmp_path / "absent", tmp_path):
        assert isinstance(runs_or_complaint(importer.runs, path), str)
