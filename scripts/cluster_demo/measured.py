"""What Prometheus measured, and what the controller shows of itself at /metrics."""

from __future__ import annotations

import json
import math
import urllib.parse
import urllib.request
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The controller's gauges and counters, by metric and policy."""

    values: dict[tuple[str, str], float]

    def of(self, metric: str, policy: str) -> float | None:
        """None where it is not shown, or not known."""
        value = self.values.get((f"replicast_{metric}", policy), math.nan)
        return None if math.isnan(value) else value


def vector(prometheus: str, query: str, label: str) -> dict[str, float]:
    """An instant query's values by one label; without those that are no numbers. Raises OSError."""
    url = f"{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 -- our own
        rows = json.load(answer)["data"]["result"]
    values = {row["metric"].get(label, ""): float(row["value"][1]) for row in rows}
    return {name: value for name, value in values.items() if math.isfinite(value)}


def shown(controller: str) -> Shown:
    """What the controller shows now. Raises OSError."""
    with urllib.request.urlopen(f"{controller}/metrics", timeout=5) as answer:  # noqa: S310 -- our own
        text = answer.read().decode()
    values: dict[tuple[str, str], float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.labels.get("result", "written") == "written":
                values[sample.name, sample.labels.get("policy", "")] = sample.value
    return Shown(values=values)
