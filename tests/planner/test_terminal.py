"""What depends on where the output goes: colour, closed streams, encodings, repeated options."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from planner.cli.main import run
from planner.cli.options import painter

CALL = "import sys; sys.argv[0] = 'planner'; from planner.cli.main import main; main()"
SIZE = [
    *("size", "--profile", "llama-3.1-8b-a100-vllm", "--qps", "5", "--input-tokens", "512", "--output-tokens", "128"),
    *("--slo", "ttft:p99<=500ms"),
]


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_a_terminal_gets_colour_for_what_is_good_or_bad_and_none_for_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_terminal(monkeypatch)
    paint = painter()
    assert paint("x", "good").startswith("\x1b[32m")
    assert paint("x", "bad").startswith("\x1b[31m")
    assert paint("x", "warn").startswith("\x1b[33m")
    assert paint("x", "") == "x"


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colour_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    on_a_terminal(monkeypatch, **variables)
    assert painter()("x", "bad") == "x"


def test_a_closed_output_is_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert run(SIZE) == 0
    assert capsys.readouterr().err == ""


def test_an_encoding_that_lacks_a_sign_gets_another_sign() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CALL, *SIZE],
        env={**os.environ, "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"},
        capture_output=True,
        encoding="latin-1",
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "p99 ? 500ms" in done.stdout


def test_an_option_given_twice_is_told_and_the_last_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*SIZE, "--qps", "100", "-o", "json", "--output", "csv"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("profile,")
    assert captured.err == (
        "warning: --qps is given more than once; the last counts\n"
        "warning: --output is given more than once; the last counts\n"
    )
    assert run([*SIZE, "--slo", "itl:p95<=60ms", "--explain", "--explain"]) == 0
    assert capsys.readouterr().err == ""
