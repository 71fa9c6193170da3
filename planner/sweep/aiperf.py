"""`aiperf profile`: options of AIPerf 0.13 (docs.nvidia.com/aiperf, load generator options reference).

Like GenAI-Perf it sends a hundred prompts over and over unless told otherwise; here as many as requests.
"""

from __future__ import annotations

from collections.abc import Mapping

from planner.sweep.planned_run import PlannedRun
from planner.sweep.shell_words import Fragment, Word, result_path
from planner.sweep.target import SweptEngine, Target

PROGRAM = "aiperf"
ENGINES: frozenset[SweptEngine] = frozenset({"vllm"})
WARMS_UP = True
ENVIRONMENT: Mapping[str, str] = {}
RESULTS = "*/profile_export_aiperf.json"


def command(run: PlannedRun, target: Target, seed: Fragment) -> tuple[Word, ...]:
    """Tokens are counted by the server: AIPerf's own count of a generated text is off by some percent."""
    if run.users is None:
        load = ["--request-rate", run.rate, "--arrival-pattern", "poisson"]
    else:
        load = ["--concurrency", run.users]
    return (
        "aiperf", "profile", "--model", target.served_model, "--url", target.url, "--endpoint-type", "completions",
        "--streaming", "--use-server-token-count", "--tokenizer", target.tokenizer,
        "--isl", run.input_tokens, "--isl-stddev", "0", "--osl", run.output_tokens, "--osl-stddev", "0",
        "--extra-inputs", "ignore_eos:true", "--extra-inputs", f"min_tokens:{run.output_tokens}", *load,
        "--request-count", str(run.requests), "--warmup-request-count", str(run.warmups),
        "--num-dataset-entries", str(run.requests + run.warmups), "--random-seed", seed,
        "--artifact-dir", result_path(run.name), "--ui", "simple", "--no-gpu-telemetry",
    )  # fmt: skip


def result(run: PlannedRun) -> str:
    """In a folder for each run."""
    return f"{run.name}/profile_export_aiperf.json"
