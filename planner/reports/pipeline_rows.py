"""A plan of a pipeline as rows of CSV, one a stage: the same columns whether there is a plan or not."""

from __future__ import annotations

from typing import Any

from planner.plan import STATISTICS

_LAW = {name: None for name, _ in STATISTICS}
_ROW: dict[str, Any] = {
    **dict.fromkeys(("pipeline", "name", "after", "visit_ratio", "calls", "rate_per_s", "share_of_latency", "kind")),
    **dict.fromkeys(("profile", "engine", "model", "quantization", "gpu", "gpus_per_replica", "replicas", "gpus")),
    **dict.fromkeys(("shares_gpu_with", "utilization")),
    "batch": {"mean": None},
    "predicted": {"e2e": _LAW, "ttft": _LAW},
    "one_fewer": dict.fromkeys(("stable", "violates")),
    **dict.fromkeys(("feasible", "reason", "remedy")),
}


def pipeline_rows(fields: dict[str, Any]) -> list[dict[str, Any]]:
    """The fields of `planner.pipeline_fields`: a row a stage; one row with the reason where there is no plan."""
    objectives = {row["objective"]: None for row in fields["objectives"]}
    blank = {**_ROW, "one_fewer": {**_ROW["one_fewer"], "predicted": objectives}}
    whole = {"pipeline": fields["name"], **{name: fields.get(name) for name in ("feasible", "reason", "remedy")}}
    return [_filled({**stage, **whole}, blank) for stage in fields["stages"] or [{}]]


def _filled(known: dict[str, Any], blank: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _filled(known.get(name) or {}, value) if isinstance(value, dict) else known.get(name)
        for name, value in blank.items()
    }
