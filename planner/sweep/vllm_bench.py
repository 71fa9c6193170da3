"""`vllm bench serve`: options of vLLM 0.9 to 0.32 (docs.vllm.ai, cli/bench/serve)."""

from __future__ import annotations

from collections.abc import Mapping

from planner.sweep.planned_run import PlannedRun
from planner.sweep.shell_words import Fragment, Word
from planner.sweep.target import SweptEngine, Target

PROGRAM = "vllm"
ENGINES: frozenset[SweptEngine] = frozenset({"vllm"})
WARMS_UP = False
ENVIRONMENT: Mapping[str, str] = {}
RESULTS = "*.json"


def command(run: PlannedRun, target: Target, seed: Fragment) -> tuple[Word, ...]:
    """No `--num-warmups`: it repeats the first prompt, which the prefix cache would then hold."""
    load = ["--request-rate", run.rate, "--burstiness", "1"] if run.users is None else ["--max-concurrency", run.users]
    return (
        "vllm", "bench", "serve", "--backend", "openai", "--base-url", target.url, "--endpoint", "/v1/completions",
        "--model", target.served_model, "--tokenizer", target.tokenizer,
        "--dataset-name", "random", "--random-input-len", run.input_tokens, "--random-output-len", run.output_tokens,
        "--ignore-eos", "--seed", seed, *load, "--num-prompts", str(run.requests),
        "--percentile-metrics", "ttft,tpot,itl,e2el", "--metric-percentiles", "50,90,95,99",
        "--save-result", "--save-detailed", "--result-dir", Fragment('"$results"'), "--result-filename", result(run),
        "--disable-tqdm",
    )  # fmt: skip


def result(run: PlannedRun) -> str:
    """One file a run."""
    return f"{run.name}.json"
