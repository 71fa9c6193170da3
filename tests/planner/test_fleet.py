"""`planner size --fleet`: defaults of file and command line, errors that name the entry, order, exit codes."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from planner.cli.main import run

PROFILE = "llama-3.1-8b-a100-vllm"
CHAT = {"name": "chat", "qps": 90.0, "inputTokens": 512, "outputTokens": 128}
WHOLE = {"profile": PROFILE, "objectives": ["ttft:p99<=500ms"]}


def entry(name: str, **fields: Any) -> dict[str, Any]:
    return {**CHAT, "name": name, **fields}


def write(folder: Path, *entries: dict[str, Any], **fields: Any) -> str:
    path = folder / "fleet.yaml"
    path.write_text(yaml.safe_dump({**fields, "workloads": list(entries)}, sort_keys=False), encoding="utf-8")
    return str(path)


def sized(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    assert run(["size", "--fleet", *arguments, "-o", "json"]) == code
    return json.loads(capsys.readouterr().out)


def test_what_an_entry_and_the_file_leave_open_comes_from_the_command_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = write(tmp_path, entry("plain"), entry("own", gpuPrice=3.0, objectives=["e2e:p95<=9s"], routing="random"))
    beside = ["--profile", PROFILE, "--slo", "ttft:p99<=500ms", "--routing", "round-robin", "--gpu-price", "2"]
    plain, own = sized(capsys, file, *beside)
    assert plain["binding"]["objective"] == "ttft:p99<=0.5"
    assert own["binding"]["objective"] == "e2e:p95<=9"
    assert (plain["cost"]["gpu_per_hour"], own["cost"]["gpu_per_hour"]) == (2.0, 3.0)


def test_routing_beside_a_fleet_is_the_routing_of_its_entries(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = write(tmp_path, entry("open"), entry("says-random", routing="random"), **WHOLE)
    # Least outstanding evens out the running sets: fewer replicas, or the same with answers that spread less.
    rows = sized(capsys, file, "--routing", "least-outstanding")
    counts, tails = [row["replicas"] for row in rows], [row["predicted"]["e2e"]["p99"] for row in rows]
    assert (counts[0], tails[0]) < (counts[1], tails[1])


def test_an_entry_without_a_plan_says_why_beside_the_others_and_exits_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = write(tmp_path, entry("small", qps=5.0), entry("large", qps=900.0), **WHOLE)
    small, large = sized(capsys, file, "--max-replicas", "2", code=1)
    assert small["feasible"] is True
    assert large["feasible"] is False
    assert "2 replicas cannot carry the load" in large["reason"]
    assert "--max-replicas" in large["remedy"]
    assert run(["size", "--fleet", file, "--max-replicas", "2", "-o", "csv"]) == 1
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["feasible"] for row in rows] == ["True", "False"]
    assert run(["size", "--fleet", file, "--max-replicas", "2"]) == 1
    table = re.sub(r"\d+ %", "N %", capsys.readouterr().out)
    assert table.startswith(
        "workload  replicas        range     GPUs  utilisation  binding\n"
        "small            1          1–1        1         N %  ttft:p99<=500ms\n"
        "large     no plan\n"
        "all              1                     1\n\n"
        "No plan for large: even 2 replicas cannot carry the load: "
    )


@pytest.mark.parametrize(
    "options",
    [["--qps", "3"], ["--input-tokens", "3"], ["--think-time", "0s"], ["--input-cv", "0"], ["--explain"],
     ["--plot", "x.svg"], ["--trace", "x.csv"], ["--trace-window", "5m"], ["--prefix-hit-rate", "0.1"]],
    ids=lambda options: options[0],
)  # fmt: skip
def test_an_option_that_would_be_idle_beside_a_fleet_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, options: list[str]
) -> None:
    assert run(["size", "--fleet", write(tmp_path, CHAT, **WHOLE), *options]) == 2
    captured = capsys.readouterr()
    assert f"{options[0]} cannot stand beside --fleet" in captured.err
    assert captured.out == ""


BAD_FLEETS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "unknown field": (entry("a", qsp=1.0), WHOLE, "line 9: unknown field workloads[0].qsp"),
    "NaN": (entry("a", qps=float("nan")), WHOLE, "workloads[0].qps should be a finite number, got nan"),
    "no load": ({k: v for k, v in entry("a").items() if k != "qps"}, WHOLE, "workload 'a': it has no load"),
    "two loads": (entry("a", concurrency=3), WHOLE, "workload 'a': qps and concurrency exclude each other"),
    "think time without users": (entry("a", thinkTime="3s"), WHOLE, "workload 'a': thinkTime belongs to concurrency"),
    "no duration": (entry("a", concurrency=3, thinkTime="3 days"), WHOLE, "workload 'a': thinkTime: '3 days'"),
    "bad objective": (entry("a", objectives=["tfft:p99<=1s"]), WHOLE, "workload 'a': objective 'tfft:p99<=1s'"),
    "no profile": (entry("a"), {"objectives": ["ttft:p99<=1s"]}, "workload 'a': it has no profile"),
    "no objective": (entry("a"), {"profile": PROFILE}, "workload 'a': it has no objectives"),
    "unknown profile": (entry("a", profile="lama"), WHOLE, "workload 'a': there is no profile 'lama'"),
    "prompt beyond KV": (entry("a", inputTokens=600_000), WHOLE, "workload 'a': "),
}


@pytest.mark.parametrize(("workload", "fields", "words"), BAD_FLEETS.values(), ids=BAD_FLEETS.keys())
def test_a_bad_entry_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, workload: dict[str, Any], fields: dict[str, Any], words: str
) -> None:
    assert run(["size", "--fleet", write(tmp_path, workload, **fields)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: fleet {tmp_path / 'fleet.yaml'}, ")
    assert words in captured.err
    assert "--qps" not in captured.err, "an option's name where a field's name is meant"


def test_a_name_that_is_there_twice_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["size", "--fleet", write(tmp_path, CHAT, dict(CHAT), **WHOLE)]) == 2
    assert "workload 'chat' is there twice" in capsys.readouterr().err


def test_the_fleet_of_the_readme_is_sized(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(# fleet.yaml.*?)```", readme, re.DOTALL)
    path = tmp_path / "fleet.yaml"
    path.write_text(block, encoding="utf-8")
    assert [row["name"] for row in sized(capsys, str(path))] == ["chat", "agents"]


def test_prices_are_summed_over_those_that_have_one(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = write(tmp_path, entry("priced", qps=5.0, gpuPrice=2.5), entry("free", qps=5.0), **WHOLE)
    assert run(["size", "--fleet", file]) == 0
    table = re.sub(r"\d+ %", "N %", capsys.readouterr().out)
    assert table.partition("\nRange:")[0] == (
        "workload  replicas        range     GPUs   $ an hour  utilisation  binding\n"
        "priced           1          1–1        1        2.50         N %  ttft:p99<=500ms\n"
        "free             1          1–1        1           —         N %  ttft:p99<=500ms\n"
        "all              2                     2        2.50  (1 workload without a price)\n"
    )


def test_a_warning_is_told_once_with_those_it_is_about(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    sound = "llama-3.1-8b-h100-trtllm-tp1"
    file = write(tmp_path, *(entry(f"w{index}", inputTokens=5000 + index) for index in range(5)),
                 entry("sound", profile=sound), **WHOLE)  # fmt: skip
    assert run(["size", "--fleet", file]) == 0
    told = " ".join(capsys.readouterr().out.partition("Warnings:")[2].split())
    assert told.count("- w0, w1, w2 and 2 more: prompts of 5,000 tokens are far outside") == 1
    assert told.count("prompts of") == 1
    assert "sound" not in told
    rows = sized(capsys, file)
    assert [any("prompts of" in warning for warning in row["warnings"]) for row in rows] == [True] * 5 + [False]
    assert all(row["range"]["low"] <= row["replicas"] <= row["range"]["high"] for row in rows)


def test_a_workload_without_a_range_says_why(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("planner.fleet.MOST_WITH_RANGE", 1)
    file = write(tmp_path, entry("a"), entry("b"), **WHOLE)
    assert run(["size", "--fleet", file]) == 0
    assert "No range for a, b: not computed for a fleet of so many" in capsys.readouterr().out
    assert [row["range"] for row in sized(capsys, file)] == [None, None]
    assert "fleet of so many" in sized(capsys, file)[0]["range_note"]


def test_a_dynamic_batcher_stands_beside_language_models(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    profile = tmp_path / "reranker.yaml"
    spec = {
        "engine": "triton",
        "model": "bge-reranker-base",
        "gpu": {"type": "A10G-24GB"},
        "limits": {"maxBatchSize": 8},
        "serviceTime": [{"batch": 1, "mean": 0.028}, {"batch": 8, "mean": 0.084}],
    }
    header = {"apiVersion": "replicast.dev/v1alpha1", "kind": "EngineProfile", "metadata": {"name": "reranker"}}
    profile.write_text(yaml.safe_dump({**header, "spec": spec}))
    rerank = {"name": "rerank", "profile": str(profile), "qps": 300, "objectives": ["e2e:p99<=150ms"], "gpuPrice": 1.0}
    file = write(tmp_path, entry("chat"), rerank, **WHOLE)
    chat, batched = sized(capsys, file)
    assert (chat["binding"]["objective"], batched["binding"]["objective"]) == ("ttft:p99<=0.5", "e2e:p99<=0.15")
    assert batched["cost"]["per_hour"] == float(batched["replicas"])
    assert run(["size", "--fleet", file]) == 0
    assert "No range for rerank: the error of a batch's time is not known." in capsys.readouterr().out
    assert run(["size", "--fleet", write(tmp_path, {**rerank, "inputTokens": 9}, **WHOLE)]) == 2
    assert "workload 'rerank': inputTokens: profile reranker is of a dynamic batcher" in capsys.readouterr().err
