"""Each warning of an answer, once where it belongs and once where it does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from planner.cli.main import run
from planner.profile import CATALOGUE

DOUBTFUL = "llama-3.1-8b-a100-vllm"
SOUND = "llama-3.1-8b-h100-trtllm-tp1"
LENGTHS = ["--input-tokens", "512", "--output-tokens", "128"]


def warnings(capsys: pytest.CaptureFixture[str], *arguments: str, profile: str = SOUND) -> str:
    assert run([arguments[0], "--profile", profile, *LENGTHS, *arguments[1:], "-o", "json"]) == 0
    return "\n".join(json.loads(capsys.readouterr().out)["warnings"])


def sized(capsys: pytest.CaptureFixture[str], slo: str, *load: str, profile: str = SOUND) -> str:
    return warnings(capsys, "size", *(load or ("--qps", "20")), "--slo", slo, profile=profile)


def test_what_profile_check_finds_is_told_with_every_answer(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = "throughput-above-peak"
    assert words in sized(capsys, "ttft:p99<=1s", profile=DOUBTFUL)
    assert words in warnings(capsys, "predict", "--replicas", "2", "--qps", "20", profile=DOUBTFUL)
    assert words not in sized(capsys, "ttft:p99<=1s")
    document = yaml.safe_load((CATALOGUE / f"{DOUBTFUL}.yaml").read_text(encoding="utf-8"))
    document["metadata"]["name"] = "mine"
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    text = sized(capsys, "ttft:p99<=1s", profile=str(file))
    assert "see `planner profile check` of mine's file" in text


def test_waiting_in_a_closed_loop_is_uncertain(capsys: pytest.CaptureFixture[str]) -> None:
    closed = ["--concurrency", "100", "--think-time", "3s"]
    assert "closed loop start together and stay together: ttft:p95<=2s" in sized(capsys, "ttft:p95<=2s", *closed)
    assert "closed loop" not in sized(capsys, "itl:p95<=90ms", *closed)
    assert "closed loop" not in sized(capsys, "ttft:p95<=2s")


def test_percentiles_beyond_what_the_laws_know(capsys: pytest.CaptureFixture[str]) -> None:
    assert "ttft p99.9 is extrapolated" in sized(capsys, "ttft:p99.9<=9s")
    assert "extrapolated" not in sized(capsys, "ttft:p99.5<=9s")
    for command in (["size"], ["predict", "--replicas", "2"]):
        asked = [*command, "--profile", SOUND, *LENGTHS, "--qps", "20", "--slo", "ttft:p99.96<=9s"]
        assert run(asked) == 2
        assert "ttft:p99.96<=9s: the predicted laws are not known beyond p99.95" in capsys.readouterr().err
    simulated = ["simulate", "--replicas", "1", "--qps", "5", "--requests", "1000", "--slo", "ttft:p99.96<=9s"]
    assert "extrapolated" not in warnings(capsys, *simulated)


def test_a_percentile_on_a_jump_is_told_where_it_can_break_the_objective(capsys: pytest.CaptureFixture[str]) -> None:
    predicted = ["predict", "--replicas", "1", "--qps", "20"]
    assert run([*predicted[:1], "--profile", DOUBTFUL, *LENGTHS, *predicted[1:], "-o", "json"]) == 0
    itl = json.loads(capsys.readouterr().out)["predicted"]["itl"]
    assert itl["p90"] > 1.5 * itl["p50"], "a step with a prompt is longer than one without: the law of itl jumps"
    told = [
        (share, warnings(capsys, *predicted, "--slo", f"itl:p{share}<={limit}ms", profile=DOUBTFUL))
        for share, limit in [(share, 10) for share in range(60, 90)]
    ]
    assert [share for share, text in told if "jumps here" in text]
    assert "jumps here" not in told[0][1]
