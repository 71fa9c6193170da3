"""Sweeps as shell scripts: the commands of each tool word by word, safe quoting, and what running them does."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import InvalidInput
from models.measurement import Measurement
from planner.sweep.benchmark_tool import TOOLS, benchmark_tool
from planner.sweep.plan import MeasuredSetUp, Sweep
from planner.sweep.planned_run import plan_runs
from planner.sweep.script import script
from planner.sweep.target import Target
from tests.planner.benchmark_stand_ins import install

GOLDEN = Path(__file__).parents[1] / "golden"
MODEL = "meta-llama/Llama-3.1-8B-Instruct"
LOADS = (
    Measurement(concurrency=32, input_tokens=512, output_tokens=128),
    Measurement(arrival_rate_per_s=5, input_tokens=512, output_tokens=128),
)


def a_sweep(tool="vllm-bench", *, engine="vllm", url=None, reason="The loads that were asked for.", **setup) -> Sweep:
    return Sweep(
        tool_name=tool,
        target=Target(
            engine=engine,
            url=url or {"vllm": "http://localhost:8000", "triton-trtllm": "localhost:8001"}[engine],
            served_model=MODEL if engine == "vllm" else "ensemble",
            tokenizer=MODEL,
        ),
        setup=MeasuredSetUp(**{"model": MODEL, "gpu": "H100-SXM5-80GB", **setup}),
        runs=plan_runs(LOADS, noise=0.03, warms_up=benchmark_tool(tool).WARMS_UP),
        reason=reason,
    )


CASES = [(tool, "vllm") for tool in TOOLS] + [("genai-perf", "triton-trtllm")]


@pytest.mark.parametrize(("tool", "engine"), CASES)
def test_the_script_of_each_tool_is_as_looked_over(tool: str, engine: str) -> None:
    expected = (GOLDEN / f"sweep-{tool}-{engine}.sh").read_text(encoding="utf-8")
    assert script(a_sweep(tool, engine=engine)) == expected


@pytest.mark.parametrize(("tool", "engine"), CASES)
def test_bash_reads_every_script(tool: str, engine: str) -> None:
    text = script(a_sweep(tool, engine=engine))
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


class Machine:
    """A folder with stand-ins for the benchmark tools, which write down their arguments, one line a call."""

    def __init__(self, folder: Path, *, fails_on: str = "no such load") -> None:
        self.folder = folder
        self.calls_file = folder / "calls"
        install(folder / "bin", self.calls_file, fails_on=fails_on)

    def run(self, text: str, **environment: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return subprocess.run(
            ["bash"],
            input=text,
            cwd=self.folder,
            env={**os.environ, "PATH": path, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def calls(self) -> list[list[str]]:
        return [shlex.split(line) for line in self.calls_file.read_text(encoding="utf-8").splitlines()]


def value(call: list[str], option: str) -> str:
    return call[call.index(option) + 1]


def test_a_run_is_warmed_up_then_each_load_once_with_a_seed_of_its_own(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    done = machine.run(script(a_sweep()), SEED="700")
    assert done.returncode == 0, done.stderr
    assert [value(call, "--seed") for call in machine.calls] == ["700", "701", "702"]
    assert value(machine.calls[0], "--result-dir") != "results"
    assert [value(call, "--result-dir") for call in machine.calls[1:]] == ["results", "results"]
    assert value(machine.calls[1], "--max-concurrency") == "32"
    assert value(machine.calls[2], "--request-rate") == "5"
    assert not Path(value(machine.calls[0], "--result-dir")).exists(), "what the warm-up measured is thrown away"
    assert done.stdout.startswith("planner profile import --engine vllm ")
    assert done.stdout.rstrip().endswith("results/*.json")


def test_the_import_that_it_ends_with_names_the_folder_that_was_written(tmp_path: Path) -> None:
    done = Machine(tmp_path).run(script(a_sweep("aiperf")), RESULTS="my results")
    assert done.stdout.rstrip().endswith("-O profile.yaml my\\ results/*/profile_export_aiperf.json")


def test_a_tool_that_leaves_no_result_has_measured_nothing(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    program = tmp_path / "bin" / "vllm"
    program.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    done = machine.run(script(a_sweep()))
    assert done.returncode == 1
    assert "error: 01-closed-c32-i512-o128 left no results/01-closed-c32-i512-o128.json" in done.stderr
    assert not list((tmp_path / "results").glob("*.done"))


def test_another_day_has_other_seeds(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    dates = tmp_path / "bin" / "date"
    seeds = []
    for day in ("1760000000", "1760086400"):
        dates.write_text(f"#!/bin/sh\necho {day}\n", encoding="utf-8")
        dates.chmod(0o755)
        assert machine.run(script(a_sweep()), RESULTS=day).returncode == 0
        seeds += [value(call, "--seed") for call in machine.calls]
        machine.calls_file.unlink()
    assert len(set(seeds)) == 6
    assert all(0 <= int(seed) < 2**31 for seed in seeds)


def test_an_interrupted_sweep_goes_on_where_it_stopped(tmp_path: Path) -> None:
    machine = Machine(tmp_path, fails_on="--max-concurrency 32 --num-prompts 640")
    first = machine.run(script(a_sweep()))
    assert first.returncode == 1
    assert "these runs failed: 01-closed-c32-i512-o128" in first.stderr
    assert first.stdout == ""
    assert len(machine.calls) == 3, "the load after the failed one is measured all the same"
    mended = tmp_path / "again"
    mended.mkdir()
    second = Machine(mended)
    done = second.run(script(a_sweep()), RESULTS=str(tmp_path / "results"))
    assert done.returncode == 0
    assert "02-open-r5-i512-o128: measured already" in done.stderr
    assert [value(call, "--result-filename") for call in second.calls] == ["01-closed-c32-i512-o128.json"] * 2


def test_an_engine_that_does_not_answer_the_warm_up_ends_the_sweep(tmp_path: Path) -> None:
    machine = Machine(tmp_path, fails_on="--num-prompts 32")
    done = machine.run(script(a_sweep()))
    assert done.returncode == 1
    assert "error: the warm-up failed; nothing was measured" in done.stderr
    assert len(machine.calls) == 1
    assert not Path(value(machine.calls[0], "--result-dir")).exists()


def test_without_the_tool_nothing_is_begun(tmp_path: Path) -> None:
    text = script(a_sweep()).replace("program=vllm", "program=vllm-that-is-not-here")
    done = Machine(tmp_path).run(text)
    assert done.returncode == 2
    assert "error: vllm-that-is-not-here is not installed here" in done.stderr
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(("tool", "engine"), CASES)
def test_the_manifest_names_where_each_result_will_be(tmp_path: Path, tool: str, engine: str) -> None:
    machine = Machine(tmp_path)
    assert machine.run(script(a_sweep(tool, engine=engine)), RESULTS="my results").returncode == 0
    written = yaml.safe_load((tmp_path / "my results" / "sweep.yaml").read_text(encoding="utf-8"))
    assert written["spec"]["model"] == MODEL
    closed, opened = written["spec"]["runs"]
    assert (closed["concurrency"], closed["requests"]) == (32, 640)
    assert (opened["arrivalRate"], opened["burstiness"]) == (5.0, 1.0)
    for run in (closed, opened):
        assert len(list((tmp_path / "my results").glob(run["result"]))) == 1
    found = sorted((tmp_path / "my results").glob(benchmark_tool(tool).RESULTS))
    assert len(found) == 2, "what `planner profile import` is told to read is the results, all of them and no more"


@pytest.mark.parametrize("tool", ["genai-perf", "aiperf"])
def test_no_prompt_is_sent_twice(tmp_path: Path, tool: str) -> None:
    machine = Machine(tmp_path)
    machine.run(script(a_sweep(tool)))
    for call in machine.calls:
        sent = int(value(call, "--request-count")) + int(value(call, "--warmup-request-count"))
        assert int(value(call, "--num-dataset-entries")) == sent


def test_guidellm_sends_a_poisson_stream_from_one_worker() -> None:
    assert "\nexport GUIDELLM__MAX_WORKER_PROCESSES=1\n" in script(a_sweep("guidellm"))


@given(reason=st.text(max_size=300))
@settings(max_examples=60)
def test_no_text_of_the_user_becomes_a_command(reason: str) -> None:
    """Whatever a profile is called, bash reads the same commands, and the manifest gives the text back."""
    text = script(a_sweep(reason=reason))
    harmless = script(a_sweep(reason="x"))
    begin, end = "<<'MANIFEST'\n", "\nMANIFEST\n"
    code = [line for line in text.split(begin)[0].split("\n") if not line.startswith("#")]
    assert code == [line for line in harmless.split(begin)[0].split("\n") if not line.startswith("#")]
    body, _, rest = text.partition(begin)[2].partition(end)
    assert rest == harmless.partition(end)[2]
    assert yaml.safe_load(body)["spec"]["reason"] == reason


EVIL = ["a b", "$(reboot)", "a;b", "`b`", "a\nb", "-rf", "a'b", 'a"b', "", "a,b=c", "ä", "x" * 401, "a\\b", "*"]


@pytest.mark.parametrize("name", EVIL)
def test_names_that_no_tool_could_be_given_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="no name"):
        Target(engine="vllm", url="http://h:1", served_model=name, tokenizer="t")
    with pytest.raises(InvalidInput, match="tokenizer"):
        Target(engine="vllm", url="http://h:1", served_model="m", tokenizer=name)
    with pytest.raises(InvalidInput, match="--model"):
        MeasuredSetUp(model=name)


@pytest.mark.parametrize(
    ("engine", "url"),
    [
        ("vllm", "localhost:8000"),
        ("vllm", "http://h:8000/v1"),
        ("vllm", "http://h:8000;reboot"),
        ("vllm", "http://user:password@h"),
        ("vllm", "http://h:8000\n"),
        ("triton-trtllm", "http://h:8001"),
        ("triton-trtllm", "h"),
        ("triton-trtllm", "$(reboot):1"),
    ],
)
def test_addresses_that_no_tool_could_be_given_are_refused(engine, url: str) -> None:
    with pytest.raises(InvalidInput, match="is not an address"):
        Target(engine=engine, url=url, served_model="m", tokenizer="t")
