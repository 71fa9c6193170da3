"""InferenceX results as a table: a row a run, under the names of its JSON, in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from planner.importers.benchmark_run import BenchmarkRun
from planner.importers.importer import FileStart
from planner.importers.request_columns import RequestColumns
from planner.importers.table_rows import rows
from planner.importers.vllm_bench_serve import run_of


class InferencexTable:
    """Reads the flattened CSV; single results are JSON that `VllmBenchServe` reads."""

    tool = "InferenceX"

    def recognises(self, start: FileStart) -> bool:
        """Its heading."""
        columns = set(start.first_line.strip().split(","))
        return {"model_id", "max_concurrency", "completed", "total_input_tokens"} <= columns

    def runs(self, path: Path) -> Iterator[BenchmarkRun]:
        """A run for each row."""
        for row in rows(path):
            yield run_of(row, RequestColumns(), self.tool)
