"""JSON, YAML and CSV of an answer: the same fields, flattened for CSV."""

from __future__ import annotations

import csv
import io
import json
from typing import Any, Literal

Format = Literal["json", "yaml", "csv"]


def render(fields: dict[str, Any] | list[dict[str, Any]], form: Format) -> str:
    """The text of the fields; a list becomes a JSON array, YAML documents' list, or CSV rows."""
    if form == "json":
        return json.dumps(fields, indent=2, allow_nan=False) + "\n"
    if form == "yaml":
        import yaml

        return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=120)
    rows = [flatten(row) for row in (fields if isinstance(fields, list) else [fields])]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def flatten(fields: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested fields as one level: `predicted.ttft.p99`; lists of words are joined by `; `."""
    flat: dict[str, Any] = {}
    for key, value in fields.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            flat |= flatten(value, f"{name}.")
        elif isinstance(value, list):
            words = [item if isinstance(item, str) else json.dumps(item) for item in value]
            flat[name] = "; ".join(words)
        else:
            flat[name] = value
    return flat
