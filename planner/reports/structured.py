"""JSON, YAML and CSV of an answer: the same fields, flattened for CSV."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from models.objective import METRICS
from planner.plan import STATISTICS


def render(fields: dict[str, Any] | list[dict[str, Any]], form: str, *, complete: bool = True) -> str:
    """The text of the fields; a list becomes a JSON array, YAML documents' list, or CSV rows.

    `complete` gives rows of CSV every field that a sized workload can have; without it they stay as they are.
    """
    if form == "json":
        return json.dumps(fields, indent=2, allow_nan=False) + "\n"
    if form == "yaml":
        import yaml

        return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=120)
    rows = [flatten(_completed(row) if complete else row) for row in (fields if isinstance(fields, list) else [fields])]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _completed(row: dict[str, Any]) -> dict[str, Any]:
    """A row with every field that its question can have, so that the columns do not depend on the answer.

    How replicas are started is for `planner render`, which reads no CSV.
    """
    row = {name: value for name, value in row.items() if name != "serving"}
    if "feasible" not in row:
        return row
    return _filled(row, _RATED if "max_qps" in row else _SIZED)


def _filled(fields: dict[str, Any] | None, blank: dict[str, Any]) -> dict[str, Any]:
    known = fields or {}
    filled = {
        key: _filled(known.get(key), value) if isinstance(value, dict) else known.get(key)
        for key, value in blank.items()
    }
    front = {key: value for key, value in known.items() if key == "name"}
    return {**front, **filled, **{key: value for key, value in known.items() if key not in filled}}


_PREDICTED: dict[str, Any] = {
    **{metric: {name: None for name, _ in STATISTICS} for metric in METRICS},
    "throughput": dict.fromkeys(("requests_per_s", "output_tokens_per_s", "output_tokens_per_s_per_gpu")),
    **dict.fromkeys(("running_per_replica", "kv_occupancy", "preemptions_per_request")),
}
_SIZED: dict[str, Any] = {
    **dict.fromkeys(("profile", "replicas", "gpus", "nodes")),
    "node_use": dict.fromkeys(("gpus_per_node", "replicas_per_node", "fragmented_gpus", "free_gpus")),
    **dict.fromkeys(("feasible", "reason", "remedy", "utilization", "stable")),
    "cost": dict.fromkeys(("per_hour", "per_million_output_tokens", "gpu_per_hour", "note")),
    "binding": dict.fromkeys(("constraint", "objective", "predicted", "bottleneck")),
    "predicted": _PREDICTED,
    "capacity": dict.fromkeys(("requests_per_s", "requests_per_s_per_replica", "bottleneck")),
    "range": dict.fromkeys(("step_time_error", "low", "high")),
    "range_note": None,
    "one_fewer": {
        **dict.fromkeys(("replicas", "stable", "utilization", "violates")),
        "predicted": _PREDICTED,
    },
    **dict.fromkeys(("assumptions", "warnings")),
}
"""Every field of a sized workload, in the order of its columns; those of objectives follow, by their number."""
_RATED: dict[str, Any] = {
    "max_qps": None,
    **{name: blank for name, blank in _SIZED.items() if name not in ("binding", "range", "range_note", "one_fewer")},
}
"""The same of the highest rate that given replicas carry."""


def flatten(fields: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested fields as one level: `predicted.ttft.p99`, `objectives.1.margin`; lists of words are joined by `; `."""
    flat: dict[str, Any] = {}
    for key, value in fields.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            flat |= flatten(value, f"{name}.")
        elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            for number, item in enumerate(value, start=1):
                flat |= flatten(item, f"{name}.{number}.")
        elif isinstance(value, list):
            flat[name] = "; ".join(map(str, value))
        else:
            flat[name] = value
    return flat
