"""Every mistake ends in the same form: `error: what and where`, then the remedy on a line of its own, exit code 2."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import yaml

from planner.cli.main import _COMMANDS, run

PROFILE = ["--profile", "llama-3.1-8b-a100-vllm"]
LENGTHS = ["--input-tokens", "512", "--output-tokens", "128"]
GOOD = ["size", *PROFILE, "--qps", "100", *LENGTHS, "--slo", "ttft:p99<=500ms"]

SHOWS = "--help` shows what there is"

MISUSED = {
    "unknown command": (["sise"], "planner: there is no command 'sise'", "did you mean size?"),
    "unlike any command": (
        ["zzz"], "planner: there is no command 'zzz'",
        f"use one of {', '.join(_COMMANDS)}; `planner {SHOWS}",
    ),
    "unknown subcommand": (["profile", "lst"], "planner profile: there is no command 'lst'", "did you mean list?"),
    "unknown option": ([*GOOD, "--qsp", "1"], "planner size: there is no option --qsp", "did you mean --qps?"),
    "unlike any option": ([*GOOD, "-x"], "planner size: there is no option -x", f"`planner size {SHOWS}"),
    "no value": (["size", "--qps"], "--qps has no value", "write one after it"),
    "a value too many": (["size", "--explain=yes"], "--explain takes no value", "write it alone"),
    "missing option": (
        ["predict", *PROFILE], "planner predict: --replicas is missing", "add it: Replicas behind the balancer",
    ),
    "missing argument": (
        ["profile", "show"], "planner profile show: NAME is missing", f"`planner profile show {SHOWS}",
    ),
    "no number": (
        ["size", "--qps", "ten"], "planner size: --qps: 'ten' is not a number", "give a number, such as 1000 or 0.5",
    ),
    "no whole number": (
        ["predict", "--replicas", "1.5"], "planner predict: --replicas: '1.5' is not a whole number",
        "give a whole number from 1 to 10,000,000",
    ),
    "beyond the range": (
        ["predict", "--replicas", "0"], "planner predict: --replicas 0 is out of range",
        "give a whole number from 1 to 10,000,000",
    ),
    "negative price": (
        [*GOOD, "--gpu-price", "-1"], "planner size: --gpu-price -1.0 is out of range", "give a number from 0 to 1e+06",
    ),
    "NaN price": (
        [*GOOD, "--gpu-price", "nan"], "planner size: --gpu-price nan is out of range", "give a number from 0 to 1e+06",
    ),
    "no such choice": (
        [*GOOD, "--routing", "randm"], "planner size: --routing: there is no 'randm'",
        "did you mean random? use one of random, round-robin, least-outstanding",
    ),
    "a word too many": (
        [*GOOD, "p99 <= 1s"], "planner size: 'p99 <= 1s' is not expected here",
        "options begin with --; put values with blanks in quotes",
    ),
    "no date": (
        ["profile", "check", "x", "--as-of", "today"],
        "planner profile check: --as-of: 'today' does not match the format '%Y-%m-%d'",
        "write a day such as 2026-06-30",
    ),
    "no objective": (GOOD[:-2], "no objective is given", "add for example --slo 'ttft:p99<=500ms'"),
    "no profile": (
        ["size", *GOOD[3:]], "--profile is missing", "name a file, or a shipped one of `planner profile list`",
    ),
    "rate out of range": (
        ["size", *PROFILE, "--qps", "-1", *LENGTHS, *GOOD[-2:]], "--qps -1 is out of range",
        "give a number from 1e-09 to 10,000,000",
    ),
    "highest rate of a rate": (
        ["predict", *PROFILE, "--replicas", "1", "--max-qps", *GOOD[3:]], "--max-qps and --qps exclude each other",
        "drop --qps: the rate is the answer",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "what", "remedy"), MISUSED.values(), ids=MISUSED.keys())
def test_a_misuse_says_what_where_and_the_remedy(
    capsys: pytest.CaptureFixture[str], arguments: list[str], what: str, remedy: str
) -> None:
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"error: {what}\n  {remedy}\n")


@pytest.mark.parametrize("group", [[], ["profile"]])
def test_a_group_without_a_command_shows_its_help_and_exits_2(
    capsys: pytest.CaptureFixture[str], group: list[str]
) -> None:
    assert run(group) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("Usage: planner")


BAD_OBJECTIVES = {
    "ttft:p101<=1s": ("p101 is not a percentile between 0 and 100", "p99.9"),
    "ttft:p0<=1s": ("p0 is not a percentile between 0 and 100", "p99.9"),
    "ttft:max<=1s": ("unknown statistic 'max'", "mean or a percentile such as p99"),
    "ttft<=1s": ("is not understood", "'ttft:p99<=200ms'"),
    "ttft:p99": ("is not understood", "without quotes the shell takes `<` for itself"),
    "ttft:p99>=1s": ("'>=' does not limit from above", "metric:statistic<=limit"),
    "ttft:p99=1s": ("'=' does not limit from above", "metric:statistic<=limit"),
    "ttft:p99<=": ("'' is not a duration", "200ms"),
    "ttft:p99<=200msec": ("'200msec' is not a duration", "200ms"),
    "ttft:p99<=-1s": ("'-1s' is not a duration", "200ms"),
    "ttft:p99<=1e9s": ("the limit is out of range", "from 1us to 1e6s"),
    "ttft:p99<=1e-9s": ("the limit is out of range", "from 1us to 1e6s"),
    "ttft:p99<=1s,itl:p99<=1s": ("is more than one", "an --slo, or a list item, of its own"),
    "tttf:p99<=1s": ("unknown metric 'tttf'", "did you mean ttft? use one of ttft, itl, tpot, e2e, queue"),
}


@pytest.mark.parametrize(("objective", "words"), BAD_OBJECTIVES.items())
def test_an_objective_that_is_none_says_which_part(
    capsys: pytest.CaptureFixture[str], objective: str, words: tuple[str, str]
) -> None:
    assert run([*GOOD[:-2], "--slo", objective]) == 2
    what, remedy = capsys.readouterr().err.splitlines()
    assert what.startswith(f"error: objective {objective!r}")
    assert words[0] in what
    assert words[1] in remedy


PLOTS = {
    "no/plan.svg": "there is no folder no",
    "README.md/plan.svg": "README.md is not a folder",
    "plan.gif": "must end in .svg or .png",
    "folder.svg": "is a folder",
}


@pytest.mark.parametrize(("path", "words"), PLOTS.items())
def test_a_plot_that_could_not_be_written_is_refused_before_the_work(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, words: str
) -> None:
    (tmp_path / "README.md").touch()
    (tmp_path / "folder.svg").mkdir()
    monkeypatch.chdir(tmp_path)
    # The profile is not even looked for: there is none of this name.
    assert run(["size", "--profile", "none", *GOOD[3:], "--plot", path]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"--plot {path}" in captured.err
    assert words in captured.err


def test_a_plot_without_matplotlib_is_refused_before_the_work(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("planner.plot.find_spec", lambda _name: None)
    assert run(["size", "--profile", "none", *GOOD[3:], "--plot", "plan.svg"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: --plot needs matplotlib\n  install it beside Replicast: ")
    assert "pip install 'replicast[plot]'" in told


IMPOSSIBLE = ["size", *PROFILE, "--qps", "1", *LENGTHS, "--slo", "ttft:p99<=1ms"]
TRICKLE = ["predict", *PROFILE, "--replicas", "2", "--max-qps", *LENGTHS, "--slo", "ttft:p99<=1ms"]


@pytest.mark.parametrize("command", [IMPOSSIBLE, TRICKLE], ids=lambda command: command[0])
@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_no_plan_is_a_document_too(capsys, command, form, read) -> None:
    assert run([*command, "-o", form]) == 1
    captured = capsys.readouterr()
    fields = read(captured.out)
    assert (fields["feasible"], fields["replicas"], fields["profile"]) == (False, None, PROFILE[1])
    assert fields["reason"].startswith("nothing meets ttft:p99<=1ms: even with ")
    assert fields["remedy"].startswith("raise that limit above ")
    assert captured.err == f"no plan: {fields['reason']}\n  {fields['remedy']}\n"


@pytest.mark.parametrize("asked", [["size", "--qps", "1"], ["predict", "--replicas", "2", "--max-qps"]], ids=" ".join)
def test_columns_of_csv_do_not_depend_on_whether_there_is_a_plan(
    capsys: pytest.CaptureFixture[str], asked: list[str]
) -> None:
    def answer(limit: str, code: int) -> dict[str, str]:
        assert run([*asked, *PROFILE, *LENGTHS, "--slo", f"ttft:p99<={limit}", "-o", "csv"]) == code
        header, row = csv.reader(capsys.readouterr().out.splitlines())
        return dict(zip(header, row, strict=True))

    without, planned = answer("1ms", 1), answer("1s", 0)
    assert list(without) == list(planned)
    assert (without["feasible"], planned["feasible"]) == ("False", "True")
    assert (without["replicas"], without["reason"][:13]) == ("", "nothing meets")
    assert (without["objectives.1.objective"], without["objectives.1.met"]) == ("ttft:p99<=0.001", "False")
    assert not any("{" in cell for cell in [*without.values(), *planned.values()])


EDGES = {
    "hardly any load on very many replicas": ["--qps", "1e-9", "--burstiness", "0.5", "--replicas", "1000000"],
    "regular arrivals, hardly any": ["--qps", "1e-9", "--burstiness", "0", "--replicas", "10000000"],
}


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.filterwarnings("error")
def test_the_edges_of_the_documented_ranges_are_answered(capsys: pytest.CaptureFixture[str], edge: str) -> None:
    assert run(["predict", *PROFILE, *LENGTHS, "--routing", "round-robin", *EDGES[edge]]) == 0
    assert capsys.readouterr().err == ""


def test_a_fault_of_ours_is_a_message(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr("planner.sizing_request.size", broken)
    assert run(GOOD) == 3
    told = capsys.readouterr().err
    assert told.startswith("error: a fault of Replicast's own: ZeroDivisionError")
    assert "please report it" in told
