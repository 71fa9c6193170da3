"""The plain CSV of points: a row a load, columns named metric, statistic and unit."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.errors import InvalidInput
from models.measurement import LatencySummary, Measurement
from planner.importers.benchmark_run import BenchmarkRun
from planner.importers.fields import Fields, naming
from planner.importers.importer import FileStart
from planner.importers.offered_load import falls_behind
from planner.importers.table_rows import rows

_METRICS = ("ttft", "tpot", "itl", "e2e", "queue")
_LATENCY = re.compile(r"(ttft|tpot|itl|e2e|queue)_(mean|p50|p90|p95|p99)_(s|ms)")
_PLAIN = ("concurrency", "rate_per_s", "input_tokens", "output_tokens", "requests_per_s", "output_tokens_per_s")
_KNOWN = (
    *_PLAIN,
    *(f"{m}_{s}_{u}" for m in _METRICS for s in ("mean", "p50", "p90", "p95", "p99") for u in ("s", "ms")),
)


class PointsTable:
    """Reads points that somebody wrote down."""

    tool = "CSV of points"

    def recognises(self, start: FileStart) -> bool:
        """A heading with lengths and a load."""
        columns = {cell.strip() for cell in start.first_line.strip().split(",")}
        return "input_tokens" in columns and bool(columns & {"concurrency", "rate_per_s"})

    def runs(self, path: Path) -> Iterator[BenchmarkRun]:
        """A run for each row."""
        found = 0
        for row in rows(path):
            found += 1
            if found == 1:
                _require_known(row)
            with naming(row.place):
                point = _point(row)
                behind = falls_behind(point.arrival_rate_per_s, point.measured_requests_per_s)
                yield BenchmarkRun(measurement=point, tool=self.tool, place=row.place, capacity_only=behind)
        if not found:
            raise InvalidInput(f"{path}: there is no row below the heading", remedy="add a row for each load")


def _require_known(row: Fields) -> None:
    for name in row.values:
        if name not in _KNOWN:
            # A latency without its statistic is a mean, most often; the nearest name would be a percentile.
            metric, _, unit = name.partition("_")
            mean = f"{metric}_mean_{unit}"
            close = [mean] if mean in _KNOWN else difflib.get_close_matches(name, _KNOWN, n=1, cutoff=0.6)
            hint = f"did you mean {close[0]}? " if close else ""
            raise InvalidInput(
                f"{row.place.rpartition(', line ')[0]}, heading: unknown column {name[:80]!r}",
                remedy=f"{hint}columns are {', '.join(_PLAIN)} and latencies such as ttft_p99_ms or itl_mean_s",
            )


def _point(row: Fields) -> Measurement:
    laws: dict[str, dict[str, float]] = {}
    for name in row.values:
        match = _LATENCY.fullmatch(name)
        if match:
            scale = 1e-3 if match[3] == "ms" else 1.0
            if f"{match[2]}_s" in laws.get(match[1], {}):
                raise InvalidInput(
                    f"{row.place}: {match[1]} {match[2]} stands in two units", remedy="keep one of the columns"
                )
            laws.setdefault(match[1], {})[f"{match[2]}_s"] = row.number(name) * scale
    summaries: dict[str, Any] = {metric: LatencySummary(**law) for metric, law in laws.items()}
    return Measurement(
        input_tokens=row.number("input_tokens"),
        output_tokens=row.number("output_tokens"),
        concurrency=row.maybe("concurrency"),
        arrival_rate_per_s=row.maybe("rate_per_s"),
        requests_per_s=row.maybe("requests_per_s"),
        output_tokens_per_s=row.maybe("output_tokens_per_s"),
        **summaries,
    )
