"""What a sweep was meant to measure, written beside its results: what a result file alone does not say."""

from __future__ import annotations

from typing import Any

import yaml

from planner.sweep.plan import Sweep
from planner.sweep.planned_run import PlannedRun

NAME = "sweep.yaml"
"""Not a name that the globs of results meet."""


def manifest(sweep: Sweep) -> dict[str, Any]:
    """The sweep as a document, SI units."""
    setup = sweep.setup
    return {
        "apiVersion": "replicast.dev/v1alpha1",
        "kind": "Sweep",
        "metadata": {"name": sweep.slug},
        "spec": {
            "tool": sweep.tool_name,
            "engine": sweep.target.engine,
            "model": setup.model,
            "servedModel": sweep.target.served_model,
            "quantization": setup.quantization,
            "gpu": {"type": setup.gpu, "perReplica": setup.gpus_per_replica},
            **({"maxNumSeqs": setup.max_num_seqs} if setup.max_num_seqs else {}),
            **({"maxNumBatchedTokens": setup.max_num_batched_tokens} if setup.max_num_batched_tokens else {}),
            "reason": sweep.reason,
            "runs": [_run(sweep, run) for run in sweep.runs],
        },
    }


def manifest_text(sweep: Sweep) -> str:
    """The document as YAML."""
    return yaml.safe_dump(manifest(sweep), sort_keys=False, allow_unicode=True, width=110)


def _run(sweep: Sweep, run: PlannedRun) -> dict[str, Any]:
    load = run.load
    asked = (
        {"arrivalRate": load.arrival_rate_per_s, "burstiness": 1.0}
        if load.concurrency is None
        else {"concurrency": int(load.concurrency)}
    )
    return {
        "name": run.name,
        **asked,
        "inputTokens": int(load.input_tokens),
        "outputTokens": int(load.output_tokens),
        "requests": run.requests,
        "warmups": run.warmups,
        "result": sweep.tool.result(run),
    }
