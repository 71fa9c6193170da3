"""Metrics by statistics, as genai-perf and aiperf write them: JSON or CSV, any generation of headings."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from models.errors import InvalidInput
from models.measurement import LatencySummary
from planner.files import read_text
from planner.importers.beside import json_fields, neighbours
from planner.importers.fields import Fields, naming
from planner.importers.figures import figure, name_and_unit, seconds_in


def summary_of(path: Path) -> tuple[Fields, MetricTable]:
    """The document and its metrics, of JSON; of CSV the metrics, and the JSON of the same run where it lies beside."""
    text = read_text(path, what="benchmark file")
    if text.lstrip().startswith("{"):
        document = json_fields(path)
        return document, from_json(document)
    twin = next(neighbours(path, f"{path.stem}.json"), None)
    return twin or Fields(values={}, place=str(path)), from_csv(text, str(path))


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric: its unit, and its statistics with the place of each."""

    unit: str | None
    statistics: Mapping[str, tuple[object, str]]


@dataclass(frozen=True, kw_only=True)
class MetricTable:
    """All metrics of one run, by name as JSON has it (`time_to_first_token`)."""

    place: str
    metrics: dict[str, Metric]

    def value(self, name: str, statistic: str = "avg") -> float | None:
        """One figure in the file's own unit; None where it is absent."""
        metric = self.metrics.get(name)
        if metric is None or statistic not in metric.statistics:
            return None
        value, where = metric.statistics[statistic]
        return figure(value, where)

    def required(self, name: str) -> float:
        """The mean of a metric without which there is no run."""
        value = self.value(name)
        if value is None:
            raise InvalidInput(
                f"{self.place}, {name} is missing", remedy="is the file whole, and of a streaming benchmark of an LLM?"
            )
        return value

    def latency(self, name: str, *, positive_only: bool = False) -> LatencySummary | None:
        """Mean and percentiles, seconds. `positive_only` leaves out zeros, which a chunked stream makes."""
        metric = self.metrics.get(name)
        if metric is None:
            return None
        found = {"mean_s" if key == "avg" else f"{key}_s": key for key in ("avg", "p50", "p90", "p95", "p99")}
        values = {field: self.value(name, key) for field, key in found.items()}
        scale = seconds_in(metric.unit, f"{self.place}, {name}, unit")
        scaled = {field: v * scale for field, v in values.items() if v is not None and not (positive_only and v <= 0.0)}
        with naming(f"{self.place}, {name}"):
            return LatencySummary(**scaled) if scaled else None


def from_json(document: Fields) -> MetricTable:
    """The metrics among a document's fields: those that hold a unit and a mean."""
    metrics = {}
    for name, value in document.values.items():
        if isinstance(value, dict) and "unit" in value and ("avg" in value or "value" in value):
            inner = document.inner(name)
            found = {key: (each, inner.where(key)) for key, each in value.items() if key != "unit" and each is not None}
            if "value" in found:
                found.setdefault("avg", found["value"])
            metrics[name] = Metric(unit=inner.words("unit"), statistics=found)
    return MetricTable(place=document.place, metrics=metrics)


def from_csv(text: str, place: str) -> MetricTable:
    """The metrics of both blocks of a CSV: with statistics, and with one value each. Telemetry after them is left."""
    metrics: dict[str, Metric] = {}
    header: list[str] | None = None
    reader = csv.reader(io.StringIO(text))
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                header = None
            elif header is None:
                header = [cell.strip() for cell in row]
                if header[0] != "Metric":
                    break
            else:
                where = f"{place}, line {reader.line_num}"
                if len(row) != len(header):
                    raise InvalidInput(
                        f"{where}: {len(row)} columns where the heading has {len(header)}", remedy="is the file whole?"
                    )
                name, unit = name_and_unit(row[0])
                cells = {
                    ("avg" if key == "Value" else key): (cell, f"{where}, column {key}")
                    for key, cell in zip(header[1:], row[1:], strict=True)
                    if cell.strip()
                }
                metrics[name.replace(" ", "_")] = Metric(unit=unit, statistics=cells)
    except csv.Error as error:
        raise InvalidInput(f"{place}, line {reader.line_num}: {error}", remedy="is the file whole?") from None
    return MetricTable(place=place, metrics=metrics)
