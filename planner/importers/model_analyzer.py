"""Triton's model_analyzer: `metrics-model-inference.csv`, of models with and without tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from models.measurement import LatencySummary
from planner.importers.batching_run import BatchingRun
from planner.importers.benchmark_run import SetUp
from planner.importers.fields import Fields, naming
from planner.importers.importer import FileStart
from planner.importers.table_rows import some_rows

_MS = 1e-3
_COMPUTE = ("Server Compute Input Time (ms)", "Server Compute Infer Time (ms)", "Server Compute Output Time (ms)")
_TOKENS = re.compile(r"token", re.IGNORECASE)


class ModelAnalyzer:
    """Reads the sweep over instance counts, batch sizes and load."""

    tool = "model_analyzer"

    def recognises(self, start: FileStart) -> bool:
        """A heading with the model's configuration and a throughput."""
        line = start.first_line
        return line.startswith("Model,") and "Throughput (infer/sec)" in line

    def runs(self, path: Path) -> Iterator[BatchingRun]:
        """A run for each row."""
        for row in some_rows(path):
            with naming(row.place):
                yield _run(row, self.tool)


def _run(row: Fields, tool: str) -> BatchingRun:
    names = {"mean_s": "Avg Latency (ms)", **{f"p{p}_s": f"p{p} Latency (ms)" for p in (90, 95, 99)}}
    scaled = {field: row.number(name) * _MS for field, name in names.items() if row.has(name)}
    compute = [row.number(name) for name in _COMPUTE if row.has(name)]
    queue, most = row.maybe("Server Queue Time (ms)"), row.count("Max Batch Size")
    notes = []
    if any(_TOKENS.search(name) for name in row.values):
        notes.append(
            "columns of tokens left out: the file does not say how long prompts were; import genai-perf's file"
        )
    if row.words("Satisfies Constraints") == "No":
        notes.append("the tool's own constraints were not satisfied here")
    if row.has("Model Config Path"):
        notes.append(f"model configuration {row.words('Model Config Path')}")
    return BatchingRun(
        tool=tool,
        place=row.place,
        setup=SetUp(engine="triton", model=row.words("Model")),
        concurrency=None if row.has("Request Rate") else row.maybe("Concurrency"),
        arrival_rate_per_s=row.maybe("Request Rate"),
        inferences_per_s=row.number("Throughput (infer/sec)"),
        client_batch=row.count("Batch"),
        e2e=LatencySummary(**scaled) if scaled else None,
        queue_mean_s=None if queue is None else queue * _MS,
        service_mean_s=sum(compute) * _MS if compute else None,
        instances=row.words("Instance Group"),
        preferred_batch_sizes=tuple(
            int(each) for each in re.findall(r"\d{1,6}", row.words("Preferred Batch Sizes") or "")
        ),
        max_batch_size=most,
        notes=tuple(notes),
    )
