"""`genai-perf profile`: options of GenAI-Perf 0.0.16, and perf_analyzer's after `--`.

Two defaults would spoil a profile: it sends a hundred prompts over and over, which the prefix cache then answers (so
as many prompts as requests here), and perf_analyzer spaces an open load evenly (so Poisson is asked for).
"""

from __future__ import annotations

from collections.abc import Mapping

from planner.sweep.planned_run import PlannedRun
from planner.sweep.shell_words import Fragment, Word, result_path
from planner.sweep.target import SweptEngine, Target

PROGRAM = "genai-perf"
ENGINES: frozenset[SweptEngine] = frozenset({"vllm", "triton-trtllm"})
WARMS_UP = True
ENVIRONMENT: Mapping[str, str] = {}
RESULTS = "*/*/profile_export_genai_perf.json"


def command(run: PlannedRun, target: Target, seed: Fragment) -> tuple[Word, ...]:
    """The output's length is held by `ignore_eos` and `min_tokens` (vLLM), or by `min_length` (Triton)."""
    output = run.output_tokens
    if target.engine == "triton-trtllm":
        endpoint = ["--endpoint-type", "kserve", "--backend", "tensorrtllm"]
        exact = ["--output-tokens-mean-deterministic"]
    else:
        endpoint = ["--endpoint-type", "completions"]
        exact = ["--extra-inputs", "ignore_eos:true", "--extra-inputs", f"max_tokens:{output}"]
        exact += ["--extra-inputs", f"min_tokens:{output}"]
    load = ["--request-rate", run.rate] if run.users is None else ["--concurrency", run.users]
    poisson = ["--", "--request-distribution", "poisson"] if run.users is None else []
    return (
        "genai-perf", "profile", "-m", target.served_model, *endpoint, "--streaming", "-u", target.host_port,
        "--tokenizer", target.tokenizer,
        "--synthetic-input-tokens-mean", run.input_tokens, "--synthetic-input-tokens-stddev", "0",
        "--output-tokens-mean", output, "--output-tokens-stddev", "0", *exact, *load,
        "--request-count", str(run.requests), "--warmup-request-count", str(run.warmups),
        "--num-dataset-entries", str(run.requests + run.warmups), "--random-seed", seed,
        "--artifact-dir", result_path(run.name), *poisson,
    )  # fmt: skip


def result(run: PlannedRun) -> str:
    """Below a folder that it names after model and load."""
    return f"{run.name}/*/profile_export_genai_perf.json"
