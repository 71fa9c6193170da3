"""`guidellm run`: options of GuideLLM 0.8. It holds the output's length and draws new prompts by itself."""

from __future__ import annotations

from collections.abc import Mapping

from planner.sweep.planned_run import PlannedRun
from planner.sweep.shell_words import Fragment, Word, result_path
from planner.sweep.target import SweptEngine, Target

PROGRAM = "guidellm"
ENGINES: frozenset[SweptEngine] = frozenset({"vllm"})
WARMS_UP = True
ENVIRONMENT: Mapping[str, str] = {"GUIDELLM__MAX_WORKER_PROCESSES": "1"}
"""Its workers draw the gaps of a Poisson stream from one seed each, all the same: several make it neither Poisson nor
of the rate that was asked for."""
RESULTS = "*.json"


def command(run: PlannedRun, target: Target, seed: Fragment) -> tuple[Word, ...]:
    """Requests of the warm-up are sent beside those that count, and left out of the figures."""
    load = f"kind=poisson,rate={run.rate}" if run.users is None else f"kind=concurrent,streams={run.users}"
    backend = f"kind=openai_http,target={target.url},model={target.served_model},request_format=/v1/completions"
    return (
        "guidellm", "run", "--backend", backend,
        "--profile", f"{load},warmup.value={run.warmups},warmup.mode=requests",
        "--constraint", f"kind=max_requests,count={run.requests + run.warmups}",
        "--tokenizer", f"kind=hf_auto,model={target.tokenizer}",
        "--data", f"kind=synthetic_text,prompt_tokens={run.input_tokens},output_tokens={run.output_tokens}",
        "--seed", Fragment(f"kind=static,value={seed}"),
        "--output", Fragment(f"kind=json,path={result_path(result(run))}"), "--disable-console-interactive",
    )  # fmt: skip


def result(run: PlannedRun) -> str:
    """One report a run."""
    return f"{run.name}.json"
