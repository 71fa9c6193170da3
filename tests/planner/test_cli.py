"""The commands as a user meets them: output, messages, exit codes."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner.cli.main import run
from planner.profile import CATALOGUE

GOLDEN = Path(__file__).parents[1] / "golden"
PROFILE = ["--profile", "llama-3.1-8b-a100-vllm"]
LENGTHS = ["--input-tokens", "512", "--output-tokens", "128"]
SLO = ["--slo", "ttft:p99<=500ms"]
GOOD = ["size", *PROFILE, "--qps", "100", *LENGTHS, *SLO]


class Answer:
    """What a run of the command printed and how it ended."""

    def __init__(self, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
        self.code = run(arguments)
        self.out, self.err = capsys.readouterr()


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> Answer:
    return Answer(capsys, list(arguments))


def test_size_in_json_has_the_fields_of_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    answer = ask(capsys, *GOOD, "--slo", "itl:p95<=60ms", "--gpu-price", "2", "-o", "json")
    assert answer.code == 0
    plan = json.loads(answer.out)
    assert plan["feasible"] is True
    assert plan["gpus"] == plan["replicas"] > 1
    assert plan["cost"]["per_hour"] == pytest.approx(2.0 * plan["gpus"])
    assert set(plan["binding"]) >= {"objective", "predicted"}
    for metric in ("ttft", "itl", "tpot", "e2e", "queue"):
        law = plan["predicted"][metric]
        assert law["p50"] <= law["p90"] <= law["p95"] <= law["p99"]
    assert plan["predicted"]["throughput"]["requests_per_s"] == pytest.approx(100.0)
    assert plan["predicted"]["throughput"]["output_tokens_per_s"] == pytest.approx(12_800.0)
    assert plan["one_fewer"]["replicas"] == plan["replicas"] - 1
    assert plan["one_fewer"]["violates"]


def test_yaml_and_csv_say_what_json_says(capsys: pytest.CaptureFixture[str]) -> None:
    plan = json.loads(ask(capsys, *GOOD, "-o", "json").out)
    assert yaml.safe_load(ask(capsys, *GOOD, "-o", "yaml").out) == plan
    header, row = ask(capsys, *GOOD, "-o", "csv").out.splitlines()
    columns = header.split(",")
    assert row.split(",")[columns.index("replicas")] == str(plan["replicas"])


def test_the_table_reads_plan_latencies_binding_one_fewer_assumptions(capsys: pytest.CaptureFixture[str]) -> None:
    text = ask(capsys, *GOOD, "--slo", "itl:p95<=60ms").out
    order = ["replicas, ", "ttft  time to first token", "Binding: ", "With ", "Assumed:", "Warnings:"]
    places = [text.index(word) for word in order]
    assert places == sorted(places)
    # Numbers move with the mathematics; the shape of the table is what this file holds.
    unwrapped = re.sub(r"\n {4}(?=\S)", " ", text)
    shape = re.sub(r" {2,}", "  ", re.sub(r"[0-9][0-9.,]*", "#", unwrapped))
    assert shape == (GOLDEN / "size.txt").read_text(encoding="utf-8")


def test_explain_names_its_formulas(capsys: pytest.CaptureFixture[str]) -> None:
    text = ask(capsys, *GOOD, "--explain").out
    for name in ("fluid limit", "birth–death chain", "prompt backlog chain", "Lindley"):
        assert name in text


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_plots_are_drawn(capsys: pytest.CaptureFixture[str], tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"plan.{suffix}"
    assert ask(capsys, *GOOD, "--plot", str(path)).code == 0
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG") if suffix == "png" else b"ttft:p99&lt;=500ms" in data


def test_a_plot_shows_the_statistics_that_objectives_are_on(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "plan.svg"
    assert ask(capsys, *GOOD, "--slo", "itl:p97.5<=60ms", "--slo", "itl:mean<=20ms", "--plot", str(path)).code == 0
    words = set(re.findall(r">([^<>]+)</text>", path.read_text(encoding="utf-8")))
    assert {"mean", "p50", "p95", "p97.5", "p99", "itl:p97.5&lt;=60ms", "50 ms", "replicas"} <= words


def test_predict_tells_an_unstable_system_and_exits_0(capsys: pytest.CaptureFixture[str]) -> None:
    answer = ask(capsys, "predict", *PROFILE, "--replicas", "1", "--qps", "500", *LENGTHS, "-o", "json")
    fields = json.loads(answer.out)
    assert (answer.code, fields["stable"], fields["predicted"]["ttft"]["p99"]) == (0, False, None)


def test_predict_and_simulate_agree(capsys: pytest.CaptureFixture[str]) -> None:
    question = [*PROFILE, "--replicas", "2", "--qps", "40", *LENGTHS, "--output-cv", "1", "-o", "json"]
    predicted = json.loads(ask(capsys, "predict", *question).out)["predicted"]
    simulated = json.loads(ask(capsys, "simulate", *question, "--requests", "100000").out)["predicted"]
    for metric, statistic in (("ttft", "p50"), ("itl", "p50"), ("e2e", "p50"), ("e2e", "p99")):
        assert predicted[metric][statistic] == pytest.approx(simulated[metric][statistic], rel=0.08)


def test_a_trace_gives_lengths_and_its_busiest_rate(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = [f"{0.5 * i if i < 400 else 200 + 0.05 * (i - 400):.2f},{100 + i % 50},{20 + i % 30}" for i in range(6400)]
    path = tmp_path / "trace.csv.gz"
    path.write_bytes(gzip.compress("\n".join(["arrival_s,input_tokens,output_tokens", *rows]).encode()))
    answer = ask(capsys, "size", *PROFILE, "--trace", str(path), "--trace-window", "60s", *SLO, "-o", "json")
    plan = json.loads(answer.out)
    assert plan["predicted"]["throughput"]["requests_per_s"] == pytest.approx(20.0, rel=0.01)
    assert any("busiest 60.0 s" in note for note in plan["assumptions"])


def test_a_fleet_is_sized_entry_by_entry(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    entries = [{"name": f"w{i}", "qps": 10.0 * (i + 1), "inputTokens": 512, "outputTokens": 128} for i in range(3)]
    path.write_text(yaml.safe_dump({"profile": PROFILE[1], "objectives": ["ttft:p99<=500ms"], "workloads": entries}))
    rows = json.loads(ask(capsys, "size", "--fleet", str(path), "-o", "json").out)
    assert [row["name"] for row in rows] == ["w0", "w1", "w2"]
    assert all(row["feasible"] for row in rows)
    path.write_text(path.read_text().replace("qps: 20.0", "qsp: 20.0"))
    bad = ask(capsys, "size", "--fleet", str(path))
    assert bad.code == 2
    assert "unknown field workloads[1].qsp" in bad.err


BAD_INPUT = {
    "no objective": (["size", *PROFILE, "--qps", "1", *LENGTHS], 2, "--slo"),
    "no load": (["size", *PROFILE, *LENGTHS, *SLO], 2, "--qps"),
    "no lengths": (["size", *PROFILE, "--qps", "1", *SLO], 2, "--input-tokens"),
    "negative rate": (["size", *PROFILE, "--qps", "-1", *LENGTHS, *SLO], 2, "--qps -1 is out of range"),
    "NaN": (["size", *PROFILE, "--qps", "nan", *LENGTHS, *SLO], 2, "--qps nan is out of range"),
    "absurd rate": (["size", *PROFILE, "--qps", "1e12", *LENGTHS, *SLO], 2, "--qps 1e+12 is out of range"),
    "two loads": (["size", *PROFILE, "--qps", "1", "--concurrency", "2", *LENGTHS, *SLO], 2, "exclude each other"),
    "trace window without a trace": ([*GOOD, "--trace-window", "5m"], 2, "--trace-window belongs to a --trace"),
    "lengths beside a trace": (
        ["size", *PROFILE, "--trace", "t.csv", "--input-tokens", "5", *SLO], 2,
        "drop --input-tokens: the trace has lengths",
    ),
    "a part of a profile's name": (["size", "--profile", "llama-3.1-70b", *GOOD[3:]], 2, "did you mean llama-3.1-70b-"),
    "gaps of one token, predicted": (
        ["predict", *PROFILE, "--replicas", "1", "--qps", "1", "--input-tokens", "9", "--output-tokens", "1",
         "--slo", "itl:p99<=1s"], 2, "answers of one token have no gaps",
    ),
    "gaps of one token, simulated": (
        ["simulate", *PROFILE, "--replicas", "1", "--qps", "1", "--input-tokens", "9", "--output-tokens", "1",
         "--slo", "itl:p99<=1s"], 2, "answers of one token have no gaps",
    ),
    "prompt beyond KV, simulated": (
        ["simulate", *PROFILE, "--replicas", "1", "--qps", "1", "--input-tokens", "600000", "--output-tokens", "9"],
        2, "does not fit",
    ),
    "unknown profile": (["size", "--profile", "llama-3.1-8b-vllm", "--qps", "1", *LENGTHS, *SLO], 2, "did you mean"),
    "missing file": (["size", "--profile", "no.yaml", "--qps", "1", *LENGTHS, *SLO], 2, "no.yaml does not exist"),
    "a folder": (["size", "--profile", "./", "--qps", "1", *LENGTHS, *SLO], 2, "is a folder"),
    "missing trace": (["size", *PROFILE, "--trace", "no.csv", *SLO], 2, "no.csv does not exist"),
    "no metric": ([*GOOD, "--slo", "tfft:p99<=1s"], 2, "unknown metric 'tfft'"),
    "impossible": (["size", *PROFILE, "--qps", "1", *LENGTHS, "--slo", "ttft:p99<=1ms"], 1, "raise that limit above"),
    "too few allowed": ([*GOOD, "--max-replicas", "1"], 1, "--max-replicas"),
    "prompt beyond KV": (
        ["size", *PROFILE, "--qps", "1", "--input-tokens", "600000", "--output-tokens", "9", *SLO], 2, "does not fit",
    ),
    "unknown option": ([*GOOD, "--qsp", "1"], 2, "--qsp"),
    "bad plot": ([*GOOD, "--plot", "plan.gif"], 2, ".svg or .png"),
    "max-qps with a rate": (
        ["predict", *PROFILE, "--replicas", "1", "--max-qps", "--qps", "1", *LENGTHS], 2, "drop --qps",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "code", "words"), BAD_INPUT.values(), ids=BAD_INPUT.keys())
def test_bad_input_gets_one_message_with_a_remedy(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    answer = ask(capsys, *arguments)
    assert (answer.code, answer.out) == (code, "")
    assert words in answer.err
    assert "Traceback" not in answer.err


BAD_PROFILE = {
    "unknown field": ("maxNumSeqs: 256", "maxNumSeq: 256", "did you mean maxNumSeqs?"),
    "negative": ("base: 0.0", "base: -0.0001", "spec.stepTime.base"),
    "NaN": ("maxNumSeqs: 256", "maxNumSeqs: .nan", "spec.limits.maxNumSeqs"),
    "twice": ("kvBlockSize: 16", "kvBlockSize: 16\n    kvBlockSize: 8", "'kvBlockSize' is given twice"),
    "broken": ("spec:", "spec: [", "line"),
    "other kind": ("kind: EngineProfile", "kind: Deployment", "kind"),
    "no engine": ("  engine: vllm\n", "", "spec.engine is missing"),
    "a field that is there under another name": ("metadata:", "metdata:", "unknown field metdata (and 1 more)"),
    "text for a number": ("maxNumSeqs: 256", "maxNumSeqs: many", "should be a whole number, got 'many'"),
    "yes for a number": ("maxNumSeqs: 256", "maxNumSeqs: yes", "should not be true or false"),
    "nothing for a number": ("maxNumSeqs: 256", "maxNumSeqs:", "should be a whole number, got nothing"),
    "a number for text": (
        "model: meta-llama/Llama-3.1-8B-Instruct",
        "model: 8",
        "should be text; a number stands in quotes",
    ),
    "an alias": ("maxNumSeqs: 256", "maxNumSeqs: *x", "write the value out where the alias stands"),
}


@pytest.mark.parametrize(("old", "new", "words"), BAD_PROFILE.values(), ids=BAD_PROFILE.keys())
def test_a_bad_profile_is_refused_with_its_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, old: str, new: str, words: str
) -> None:
    text = (CATALOGUE / "llama-3.1-8b-a100-vllm.yaml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    answer = ask(capsys, "size", "--profile", str(path), "--qps", "1", *LENGTHS, *SLO)
    assert answer.code == 2
    assert words in answer.err
    assert "mine.yaml" in answer.err


NUMBERS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True).map(repr),
    st.integers(-10, 10**9).map(str),
    st.sampled_from(["", "abc", "1e3", "5ms", "-0", "1_000", "٣"]),
)
NUMERIC_OPTIONS = [
    *("--qps", "--concurrency", "--input-tokens", "--output-tokens", "--input-cv", "--output-cv"),
    *("--burstiness", "--prefix-hit-rate", "--think-time", "--replicas", "--max-replicas", "--gpu-price"),
]
OPTIONS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(
                [
                    "--qps",
                    "--concurrency",
                    "--input-tokens",
                    "--output-tokens",
                    "--input-cv",
                    "--output-cv",
                    "--burstiness",
                    "--prefix-hit-rate",
                    "--think-time",
                    "--replicas",
                    "--max-replicas",
                    "--gpu-price",
                ]
            ),
            NUMBERS,
        ),
        st.tuples(st.just("--slo"), st.one_of(st.text(max_size=20), st.just("e2e:p95<=9s"), st.just("itl:p50<=1ms"))),
        st.tuples(st.just("--routing"), st.sampled_from(["random", "round-robin", "least-outstanding", "x"])),
        st.tuples(st.just("--profile"), st.sampled_from([PROFILE[1], "x", "", "/", "\0"])),
    ),
    max_size=7,
)


def invoke(arguments: list[str]) -> Result:
    """Through click's runner, which keeps the output of each example apart."""
    import click

    @click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
    @click.argument("rest", nargs=-1, type=click.UNPROCESSED)
    @click.pass_context
    def command(ctx: click.Context, rest: tuple[str, ...]) -> None:
        ctx.exit(run(list(rest)))

    return CliRunner().invoke(command, ["--", *arguments])


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.sampled_from(["size", "predict"]), OPTIONS, st.booleans())
def test_random_input_never_ends_in_a_traceback(command: str, options: list[tuple[str, str]], rest: bool) -> None:
    base = [*PROFILE, *LENGTHS, *SLO] if rest else []
    arguments = [command, *base, *(word for option in options for word in option), "-o", "json"]
    result = invoke(arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), arguments
    assert result.exit_code in (0, 1, 2), arguments
    if result.exit_code == 0:
        assert json.loads(result.stdout)["replicas"] >= 1


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "kvCacheTokens: 452420",
            "kvCacheTokens: 5",
            "spec.limits.kvCacheTokens 5 is less than one block (kvBlockSize 16)",
        ),
        ("perKvToken:", "experts: 8\n    perKvToken:", "spec.stepTime mixes or lacks terms"),
    ],
)
def test_a_profile_whose_fields_contradict_each_other_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, old: str, new: str, words: str
) -> None:
    text = (CATALOGUE / "llama-3.1-8b-a100-vllm.yaml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    for command in (["size", "--profile", str(path), *GOOD[3:]], ["profile", "check", str(path)]):
        answer = ask(capsys, *command)
        assert answer.code == 2
        assert answer.err.startswith(f"error: profile llama-3.1-8b-a100-vllm: {words}\n  give ")


def test_tokens_that_are_not_whole_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    question = ["size", *PROFILE, "--qps", "1", "--input-tokens", "1.5", "--output-tokens", "9", *SLO]
    assert "tokens are whole: 2.00 in and 9.00 out are what is meant" in ask(capsys, *question).out


@pytest.mark.parametrize(
    ("load", "words"),
    [
        (
            ["--replicas", "1", "--concurrency", "5000"],
            "1,000 requests are too few for 5,000 users to come to a steady",
        ),
        (["--replicas", "50", "--qps", "50"], "1,000 requests are too few for 50 replicas to come to a steady"),
    ],
)
def test_a_simulation_that_is_too_short_says_so(
    capsys: pytest.CaptureFixture[str], load: list[str], words: str
) -> None:
    assert words in ask(capsys, "simulate", *PROFILE, *load, *LENGTHS, "--requests", "1000").out


def test_an_unstable_answer_says_which_objectives_it_breaks(capsys: pytest.CaptureFixture[str]) -> None:
    text = ask(capsys, "predict", *PROFILE, "--replicas", "1", "--qps", "500", *LENGTHS, *SLO).out
    assert re.search(r"^unstable: 1,[0-9]{3} % of capacity arrives", text, re.MULTILINE)
    assert "\nbroken: ttft:p99<=500ms\n" in text
