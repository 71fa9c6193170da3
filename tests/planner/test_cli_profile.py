"""`planner profile`: golden text of the published A100 row, formats and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from planner.cli.main import run

GOLDEN = Path(__file__).parents[1] / "golden"


def test_check_finds_the_published_latency_impossible(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profile", "check", "llama-3.1-8b-a100-vllm", "--as-of", "2026-06-01"]) == 1
    shown = capsys.readouterr().out
    assert shown == (GOLDEN / "profile-check-llama-3.1-8b-a100-vllm.txt").read_text(encoding="utf-8")
    assert "Little's law a request\n  takes 32 / 27.34 = 1.17 s in the mean" in shown


def test_check_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profile", "check", "llama-3.1-8b-a100-vllm", "-o", "json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["profile"] == "llama-3.1-8b-a100-vllm"
    assert report["fit"] is False
    assert {"severity", "code", "where", "what", "meaning", "remedy"} == report["findings"][0].keys()
    assert report["findings"][0]["code"] == "littles-law"


def test_check_of_a_clean_profile(capsys: pytest.CaptureFixture[str]) -> None:
    name = "llama-3.1-70b-fp8-h100-vllm-tp8"
    assert run(["profile", "check", name, "--as-of", "2026-06-01"]) == 0
    assert capsys.readouterr().out == f"{name}: nothing found\n"


def test_check_of_several_profiles_fails_with_the_worst(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["llama-3.1-70b-fp8-h100-vllm-tp8", "llama-3.1-8b-a100-triton"]
    assert run(["profile", "check", *names, "-o", "yaml"]) == 1
    assert [report["profile"] for report in yaml.safe_load(capsys.readouterr().out)] == names


@pytest.mark.parametrize("arguments", [["check", "no-such"], ["show", "no-such"], ["check"], ["list", "--no-such"]])
def test_bad_input_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profile", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err


def test_list_filters(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profile", "list", "--gpu", "a100", "-o", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == ["llama-3.1-8b-a100-triton", "llama-3.1-8b-a100-vllm"]
    assert run(["profile", "list", "--model", "qwen"]) == 0
    shown = capsys.readouterr().out
    assert "qwen3-32b-h100-vllm-tp2" in shown
    assert "llama" not in shown


def test_show_as_yaml_is_a_profile_again(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["profile", "show", "qwen3-32b-h100-vllm-tp2", "-o", "yaml"]) == 0
    copy = tmp_path / "copy.yaml"
    copy.write_text(capsys.readouterr().out, encoding="utf-8")
    assert run(["profile", "check", str(copy), "--as-of", "2026-06-01"]) == 0
    capsys.readouterr()
    assert run(["profile", "show", str(copy)]) == 0
    assert "8 users, 1024 in / 128 out" in capsys.readouterr().out


@pytest.mark.parametrize("command", [[], ["list"], ["show"], ["check"]])
def test_help_has_worked_examples(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profile", *command, "--help"]) == 0
    assert "Examples:\n    planner profile" in capsys.readouterr().out.replace("\b", "")
