"""The table as a person meets it: objectives as written, the width of the terminal, colour, verdicts."""

from __future__ import annotations

import json
import re

import pytest

from planner.cli.main import run

PROFILE = ["--profile", "llama-3.1-8b-a100-vllm"]
LENGTHS = ["--input-tokens", "512", "--output-tokens", "128"]
QUESTION = [*PROFILE, "--qps", "100", *LENGTHS]


def table(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert run(list(arguments)) == code
    return capsys.readouterr().out


def test_objectives_are_shown_as_they_were_written_and_in_seconds_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["size", *QUESTION, "--slo", " TTFT : p99 < 0.5 s", "--slo", "itl:p95≤ 60ms"]
    text = table(capsys, *asked, "--explain")
    assert "p99 ≤ 0.5s" in text
    assert "p95 ≤ 60ms" in text
    assert "itl:p95<=60ms, predicted" in text
    assert "would hold ttft:p99<=0.5s, itl:p95<=60ms" in text
    assert not re.search(r"<=0\.0?[56]\b(?!s)", text)
    plan = json.loads(table(capsys, *asked, "-o", "json"))
    assert [row["objective"] for row in plan["objectives"]] == ["ttft:p99<=0.5", "itl:p95<=0.06"]


def test_a_limit_without_a_unit_is_in_seconds_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    text = table(capsys, "size", *QUESTION, "--slo", "ttft:p99<=200")
    assert "p99 ≤ 200s" in text
    assert "the limit of ttft:p99 is written without a unit and taken as 200 seconds" in text
    assert "without a unit" not in table(capsys, "size", *QUESTION, "--slo", "ttft:p99<=200ms")


def test_one_fewer_names_what_would_break_as_written(capsys: pytest.CaptureFixture[str]) -> None:
    text = table(capsys, "size", *QUESTION, "--slo", "itl:p99<=40ms")
    assert re.search(r"^Binding: itl:p99<=40ms, predicted [0-9.]+ ms\.$", text, re.MULTILINE)
    assert re.search(r"^With [0-9]+ replicas? these would break: itl:p99<=40ms: [0-9.]+ ms\.$", text, re.MULTILINE)


def test_where_fewer_could_not_carry_the_load_throughput_binds(capsys: pytest.CaptureFixture[str]) -> None:
    text = table(capsys, "size", *QUESTION, "--slo", "ttft:p99<=9s")
    assert "Binding: throughput; the objective nearest to its limit is ttft:p99<=9s, predicted" in text
    assert "With 2 replicas the queue would grow for ever" in text


@pytest.mark.parametrize("columns", [64, 80, 112, 200])
def test_no_line_is_wider_than_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text = table(capsys, "size", *QUESTION, "--slo", "ttft:p99<=500ms", "--slo", "itl:p95<=60ms", "--gpu-price", "2")
    assert max(len(line) for line in text.splitlines()) <= columns
    head = "mean      p50      p90      p95      p99" if columns >= 80 else "p50      p99"
    assert head in text
    assert ("time to first token" in text) == (columns >= 112)


def test_predict_says_whether_the_objectives_hold(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["predict", "--replicas", "3", *QUESTION]
    assert "Every objective holds." in table(capsys, *asked, "--slo", "ttft:p99<=500ms")
    text = table(capsys, *asked, "--slo", "ttft:p99<=500ms", "--slo", "itl:p99<=9ms")
    assert "\nbroken: itl:p99<=9ms\n" in text
    assert re.search(r"p99 ≤ 9ms +[0-9.]+× the limit", text)
    assert "objective holds" not in table(capsys, *asked)


def test_a_margin_has_its_sign_however_small(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["predict", "--replicas", "3", *QUESTION, "-o", "json"]
    tail = json.loads(table(capsys, *asked))["predicted"]["ttft"]["p99"]
    for limit, margin in ((tail * 1.00001, r"\+0\.0 %"), (tail / 1.03, r"−3\.0 %"), (tail / 30.0, "30.0× the limit")):
        text = table(capsys, *asked[:-2], "--slo", f"ttft:p99<={limit!r}s")
        assert re.search(rf"^  ttft .* {margin}$", text, re.MULTILINE)


def test_requests_longer_than_the_models_context_are_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    lengths = ["--input-tokens", "131000", "--output-tokens", "100"]
    asked = ["predict", *PROFILE, "--replicas", "9", "--qps", "0.1"]
    text = " ".join(table(capsys, *asked, *lengths).split())
    assert "131,100 tokens is longer than the context of meta-llama/Llama-3.1-8B-Instruct, 131,072 tokens" in text
    assert "longer than the context" not in table(capsys, *asked, *LENGTHS)
