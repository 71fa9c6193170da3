"""A comparison as data in SI units: what `planner compare -o json` says, and its rows for CSV."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from planner.break_even import BreakEven
from planner.comparison import Comparison
from planner.comparison_row import Row
from planner.plan import STATISTICS

_METRICS = ("ttft", "itl", "tpot", "e2e", "queue")
_THROUGHPUT = ("requests_per_s", "output_tokens_per_s", "output_tokens_per_s_per_gpu")


def comparison_fields(found: Comparison, break_evens: Sequence[BreakEven], notes: Sequence[str]) -> dict[str, Any]:
    """The whole answer."""
    return {
        "feasible": found.feasible,
        "objectives": [str(objective) for objective in found.load.objectives],
        "choice": found.choice.as_dict(),
        "pareto_axis": None if found.axis is None else str(found.axis),
        "rows": comparison_rows(found),
        "break_even": [each.as_dict() for each in break_evens],
        "prices": {
            "book": found.prices.book.name,
            "rule": str(found.prices),
            "notes": list(found.prices.book.spec.notes),
        },
        "assumptions": list(notes),
        "warnings": list(found.warnings),
    }


def comparison_rows(found: Comparison) -> list[dict[str, Any]]:
    """One row a profile; the same fields in each, null where there is none."""
    return [_row(row, rank, on) for rank, (row, on) in enumerate(zip(found.rows, found.pareto, strict=True), start=1)]


def _row(row: Row, rank: int, on_front: bool | None) -> dict[str, Any]:
    candidate, fields = row.candidate, row.fields
    profile = candidate.profile or candidate.base
    assert profile is not None
    between = row.between
    predicted = fields.get("predicted") or {}
    binding = fields.get("binding") or {}
    return {
        "name": row.name,
        "rank": None if on_front is None else rank,
        "engine": profile.spec.engine,
        "engine_version": profile.spec.engine_version,
        "model": profile.spec.model,
        "quantization": profile.spec.quantization,
        "gpu": candidate.gpu,
        "gpus_per_replica": profile.spec.gpu.per_replica,
        "estimated": candidate.estimated,
        "estimate_error": candidate.error if candidate.estimated else None,
        "basis": candidate.basis,
        "feasible": row.feasible,
        "reason": fields.get("reason"),
        "remedy": fields.get("remedy"),
        "replicas": fields["replicas"],
        "range": {
            "low": None if between is None else between.low,
            "high": None if between is None else between.high,
            "step_time_error": None if between is None else between.step_time_error,
        },
        "gpus": fields["gpus"],
        "nodes": row.nodes,
        "utilization": fields.get("utilization"),
        "max_qps": row.max_rate_per_s,
        "headroom": row.headroom,
        "cost": row.costs(),
        "binding": {name: binding.get(name) for name in ("constraint", "objective", "predicted")},
        "objectives": fields["objectives"],
        "predicted": {
            **{
                metric: {name: (predicted.get(metric) or {}).get(name) for name, _ in STATISTICS} for metric in _METRICS
            },
            "throughput": {name: (predicted.get("throughput") or {}).get(name) for name in _THROUGHPUT},
        },
        "set_up": row.set_up.as_dict(),
        "pareto": on_front,
        "warnings": list(fields.get("warnings", ())),
    }
