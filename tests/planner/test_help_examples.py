"""Every example in every help page runs as it stands, in a folder that has the files it names."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from controller.decision_log import Entry, line_of
from planner.cli.main import cli
from planner.profile import CATALOGUE
from tests.controller.world import World

ROOT = Path(__file__).parents[2]
CALL = f"""#!{sys.executable}
import sys
sys.path.insert(0, {str(ROOT)!r})
from planner.cli.main import main
if __name__ == "__main__":
    sys.argv[0] = "planner"
    main()
"""
FLEET = """
profile: llama-3.1-8b-a100-vllm
objectives: ['ttft:p99<=500ms', 'itl:p95<=60ms']
workloads:
  - {name: chat, qps: 30, inputTokens: 512, outputTokens: 128}
  - {name: agents, concurrency: 100, thinkTime: 5s, inputTokens: 3000, outputTokens: 300, objectives: ['e2e:p95<=20s']}
"""
RAG = """
name: rag
qps: 5
objectives: ['ttft:p95<=700ms']
stages:
  - {name: retrieve, fanOut: 4, delay: {p50: 15ms, p99: 60ms}}
  - {name: generate, after: [retrieve], service: {profile: llama-3.1-8b-a100-vllm, inputTokens: 1500, outputTokens: 50}}
"""
TRACE = "arrival_s,input_tokens,output_tokens\n" + "".join(
    f"{0.4 * row},{200 + row % 300},{20 + row % 90}\n" for row in range(1500)
)
PROFILE = (CATALOGUE / "qwen3-32b-h100-vllm-tp2.yaml").read_text(encoding="utf-8")
POINTS = "concurrency,input_tokens,output_tokens,ttft_mean_ms,tpot_mean_ms\n" + "".join(
    f"{users},512,128,{40 + 2 * users},{8 + 0.1 * users}\n" for users in (1, 4, 16, 64)
)
SAMPLES = Path(__file__).parent / "importers" / "samples" / "vllm_bench_serve"
RUN = (SAMPLES / "vllm_bench_c4.json").read_text(encoding="utf-8")
PLANS = Path(__file__).parent / "plans"
TOPOLOGY = Path(__file__).parent / "topologies"
PACK = """
models:
  - {name: reranker, profile: reranker.yaml, qps: 60, objectives: ['e2e:p99<=150ms'],
     memory: {weights: 2Gi, workspace: 1Gi}}
  - {name: chat, profile: llama-3.1-8b-a100-vllm, qps: 8, inputTokens: 512, outputTokens: 128,
     objectives: ['ttft:p99<=500ms']}
gpus:
  - {type: A100-SXM4-80GB, count: 4, pricePerHour: 2.5, mig: [all]}
"""
PRICES = """
apiVersion: replicast.dev/v1alpha1
kind: PriceBook
metadata: {name: ours}
spec:
  asOf: 2026-10-01
  currency: EUR
  prices:
  - {gpu: A100-SXM4-80GB, cloud: here, pricing: on_demand, perGpuHour: 2, asOf: 2026-10-01, source: our contract}
"""
BATCH_TIMES = """
apiVersion: replicast.dev/v1alpha1
kind: EngineProfile
metadata: {name: reranker}
spec:
  engine: triton
  model: reranker
  gpu: {type: A100-SXM4-80GB}
  limits: {maxBatchSize: 8}
  serviceTime: [{batch: 1, mean: 0.010}, {batch: 8, mean: 0.030}]
"""
FILES = {
    "plan.json": (PLANS / "topology.json").read_text(encoding="utf-8"),
    "hybrid.yaml": (TOPOLOGY / "hybrid.yaml").read_text(encoding="utf-8"),
    "models.yaml": PACK,
    "points.csv": POINTS,
    "closed_c*.json": RUN,
    "open_*.json": RUN,
    "fleet.yaml": FLEET,
    "prices.yaml": PRICES,
    "requests.csv": TRACE,
    "my.yaml": PROFILE,
    "my-profile.yaml": PROFILE,
    "llama-live.yaml": PROFILE,
    "*.yaml": PROFILE,
    "rag.yaml": RAG,
    "times.csv": "batch,mean_ms\n1,28\n8,84\n",
}


def decisions() -> str:
    """A decision log of some minutes."""
    world = World()
    world.run(600.0)
    profile = world.capacity.profile
    return "".join(
        line_of(Entry(snapshot=snapshot, memory=memory, decision=decision), profile) + "\n"
        for snapshot, memory, decision in world.seen
    )


BATCHER = 'name: "reranker" max_batch_size: 8 dynamic_batching { }'


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, f"{path} {name}")


def examples() -> list[str]:
    found = []
    for path, command in commands(cli, "planner"):
        shown = re.findall(r"^ +(planner .*)$", (command.epilog or "").replace("\\\n", " "), re.MULTILINE)
        assert shown, f"`{path} --help` has no example"
        # Those that ask a server run against a real one (test_from_prometheus.py, cluster/test_explain.py); one is one
        # (test_simulate_serve.py).
        asks = "--(prometheus|serve|kubeconfig|namespace)"
        found += [re.sub(r" +", " ", line) for line in shown if not re.search(asks, line)]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("example", examples())
def test_an_example_runs_as_it_stands(tmp_path: Path, example: str) -> None:
    program = tmp_path / "bin" / "planner"
    program.parent.mkdir()
    program.write_text(CALL, encoding="utf-8")
    program.chmod(0o755)
    home = tmp_path / "home"
    (home / ".config" / "fish" / "completions").mkdir(parents=True)
    folder = tmp_path / "work"
    folder.mkdir()
    for name, text in FILES.items():
        if re.search(rf"(?<![\w-]){re.escape(name)}(?!\w)", example):
            (folder / name.replace("*", "4")).write_text(text, encoding="utf-8")
    if "decisions.jsonl" in example:
        (folder / "decisions.jsonl").write_text(decisions(), encoding="utf-8")
    if "hybrid.yaml" in example:
        for name in ("embedder-a100.yaml", "reranker-a100.yaml"):
            shutil.copy(TOPOLOGY / name, folder)
    if "pack models.yaml" in example:
        (folder / "reranker.yaml").write_text(BATCH_TIMES, encoding="utf-8")
    if "--model-repository models" in example:
        (folder / "models" / "reranker").mkdir(parents=True)
        (folder / "models" / "reranker" / "config.pbtxt").write_text(BATCHER, encoding="utf-8")
    done = subprocess.run(
        ["bash", "-c", example],
        cwd=folder,
        env={**os.environ, "HOME": str(home), "PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    impossible_figures = example == "planner profile check llama-3.1-8b-a100-vllm"
    assert done.returncode == int(impossible_figures), done.stdout + done.stderr
    assert done.stdout or ">" in example.partition("planner")[2]
    assert "Traceback" not in done.stderr
    for written in re.findall(r">>? (\S+)$", example):
        assert (folder / written.replace("~", str(home))).stat().st_size > 0
