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
