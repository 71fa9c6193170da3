"""`planner profile sweep`: what is written, where, and what is said of a question that has no sweep."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from planner.cli.main import run

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
LENGTHS = ["--input-tokens", "512", "--output-tokens", "128"]
H100 = ["--gpu", "H100-SXM5-80GB"]
DESIGNED = [*H100, "--model", MODEL, *LENGTHS]
STATED = ["--model", MODEL, "--concurrency", "32", *LENGTHS]


def sweep(*arguments: str) -> int:
    return run(["profile", "sweep", *arguments])


def loads_of(text: str) -> list[dict[str, object]]:
    body = text.partition("<<'MANIFEST'\n")[2].partition("\nMANIFEST\n")[0]
    return list(yaml.safe_load(body)["spec"]["runs"])


def test_a_design_goes_to_stdout_and_its_loads_to_stderr(capsys) -> None:
    assert sweep("--tool", "vllm-bench", *DESIGNED) == 0
    shown = capsys.readouterr()
    assert subprocess.run(["bash", "-n"], input=shown.out, text=True, check=False).returncode == 0
    loads = loads_of(shown.out)
    assert any(load.get("concurrency") == 1 and load["inputTokens"] == 512 for load in loads)
    assert any(load.get("concurrency") == 256 and load["inputTokens"] == 512 for load in loads)
    assert sum("arrivalRate" in load for load in loads) >= 2
    assert shown.err.count("req/s, ") == sum("arrivalRate" in load for load in loads)
    assert "note: rates rest on data sheets" in shown.err


def test_a_profile_stands_in_for_data_sheets(capsys) -> None:
    assert sweep("--tool", "guidellm", "--profile", "qwen3-32b-h100-vllm-tp2", *LENGTHS) == 0
    shown = capsys.readouterr()
    assert "model=Qwen/Qwen3-32B," in shown.out
    assert "--gpu H100-SXM5-80GB --gpus-per-replica 2" in shown.out.replace(" \\\n ", "")
    assert "note:" not in shown.err


@pytest.mark.parametrize(
    "known", [["--profile", "qwen3-32b-h100-vllm-tp2"], DESIGNED[:4]], ids=["profile", "data sheets"]
)
def test_no_more_users_than_run_at_a_time(known: list[str], capsys) -> None:
    assert sweep("--tool", "aiperf", *known, *LENGTHS, "--max-num-seqs", "24") == 0
    assert max(load.get("concurrency", 0) for load in loads_of(capsys.readouterr().out)) == 24


def test_stated_loads_need_nothing_known_of_the_engine(capsys) -> None:
    assert sweep("--tool", "aiperf", "--model", "mine", "--concurrency", "4", "--qps", "2.5", *LENGTHS) == 0
    loads = loads_of(capsys.readouterr().out)
    assert [(load.get("concurrency"), load.get("arrivalRate")) for load in loads] == [(4, None), (None, 2.5)]


def test_the_published_command_for_triton(capsys) -> None:
    """Concurrency 32, 512 tokens in, 128 out, gRPC to the ensemble of the tensorrtllm backend."""
    assert sweep("--tool", "genai-perf", "--engine", "triton-trtllm", *STATED) == 0
    text = capsys.readouterr().out.replace(" \\\n ", "")
    command = next(line for line in text.splitlines() if line.startswith("run 01"))
    assert "genai-perf profile -m ensemble --endpoint-type kserve --backend tensorrtllm --streaming" in command
    assert "-u localhost:8001" in command
    assert "--synthetic-input-tokens-mean 512 --synthetic-input-tokens-stddev 0" in command
    assert "--output-tokens-mean 128 --output-tokens-stddev 0 --output-tokens-mean-deterministic" in command
    assert "--concurrency 32" in command


def test_less_noise_means_more_requests(capsys) -> None:
    counts = []
    for noise in ("0.06", "0.03"):
        assert sweep("--tool", "vllm-bench", "--model", MODEL, "--qps", "5", "--noise", noise, *LENGTHS) == 0
        counts.append(loads_of(capsys.readouterr().out)[0]["requests"])
    assert counts == [625, 2500]


def test_a_file_is_written_whole_and_stdout_stays_empty(tmp_path: Path, capsys) -> None:
    target = tmp_path / "sweep.yaml"
    job = ["--format", "job", "--image", "bench:1", "--results-claim", "sweeps"]
    assert sweep("--tool", "vllm-bench", *STATED, *job, "-O", str(target)) == 0
    assert capsys.readouterr().out == ""
    kinds = [document["kind"] for document in yaml.safe_load_all(target.read_text(encoding="utf-8"))]
    assert kinds == ["ConfigMap", "Job"]
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("arguments", "said", "remedy"),
    [
        (["--tool", "aiperf", "--engine", "triton-trtllm", *STATED], "aiperf does not speak", "--tool genai-perf"),
        (["--tool", "aiperf", *LENGTHS], "neither --profile nor --model", "give one"),
        (["--tool", "aiperf", "--model", MODEL, *LENGTHS], "nothing tells which loads", "--concurrency or --qps"),
        (["--tool", "aiperf", "--model", "mine", "--gpu", "L4-24GB", *LENGTHS], "no model 'mine'", "--profile"),
        (["--tool", "aiperf", "--model", MODEL, "--gpu", "H1000", *LENGTHS], "no GPU 'H1000'", "--profile"),
        (
            ["--tool", "aiperf", "--model", "meta-llama/Llama-3.1-405B", *H100, "--gpus-per-replica", "8", *LENGTHS],
            "at bf16 does not fit on 8 × H100-SXM5-80GB",
            "--gpus-per-replica",
        ),
        (["--tool", "aiperf", *STATED, "--format", "job"], "a Job needs --image and --results-claim", "volume"),
        (["--tool", "aiperf", *STATED, "--image", "b"], "--image means something only to a Job", "--format job"),
        (["--tool", "aiperf", *STATED, "--url", "localhost"], "--url 'localhost' is not an address", "http://"),
        (["--tool", "aiperf", *STATED, "--tokenizer", "$(x)"], "the tokenizer '$(x)'", "letters"),
        (["--tool", "aiperf", *STATED, "-O", "no/such/folder/x"], "there is no folder no/such/folder", "make it"),
        (["--tool", "aiperf", *STATED, "--noise", "nan"], "nan", ""),
        (["--tool", "aiperf", *STATED, "--qps", "nan"], "nan", ""),
        (["--tool", "aiperf", *STATED, "--qps", "inf"], "inf", ""),
    ],
)
def test_a_question_without_a_sweep_is_told_why(arguments: list[str], said: str, remedy: str, capsys) -> None:
    assert sweep(*arguments) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert remedy in shown.err
    assert shown.out == ""
