"""perf_analyzer: its CSV, with compute time in one column (until 2020) or in three; microseconds throughout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from models.measurement import LatencySummary
from planner.importers.batching_run import BatchingRun
from planner.importers.benchmark_run import SetUp
from planner.importers.fields import Fields, naming
from planner.importers.importer import FileStart
from planner.importers.table_rows import some_rows

_US = 1e-6
_COMPUTE = ("Server Compute", "Server Compute Input", "Server Compute Infer", "Server Compute Output")
_PARTS = ("Client Send", "Network+Server Send/Recv", "Server Queue", *_COMPUTE, "Client Recv")


class PerfAnalyzer:
    """Reads requests to Triton's dynamic batcher. Rows are sorted by throughput: the load is in its column."""

    tool = "perf_analyzer"

    def recognises(self, start: FileStart) -> bool:
        """A heading that begins with the load, then inferences per second."""
        return start.first_line.startswith(("Concurrency,Inferences/Second", "Request Rate,Inferences/Second"))

    def runs(self, path: Path) -> Iterator[BatchingRun]:
        """A run for each row."""
        for row in some_rows(path):
            with naming(row.place):
                yield _run(row, self.tool)


def _run(row: Fields, tool: str) -> BatchingRun:
    compute = [row.number(name) for name in _COMPUTE if row.has(name)]
    parts = [row.number(name) for name in _PARTS if row.has(name)]
    mean = row.maybe("Avg latency")
    percentiles = {f"p{p}_s": row.maybe(f"p{p} latency") for p in (50, 90, 95, 99)}
    latencies = {"mean_s": mean if mean is not None else (sum(parts) if compute else None), **percentiles}
    scaled = {name: value * _US for name, value in latencies.items() if value is not None}
    queue = row.maybe("Server Queue")
    return BatchingRun(
        tool=tool,
        place=row.place,
        setup=SetUp(engine="triton" if compute else None),
        concurrency=row.maybe("Concurrency"),
        arrival_rate_per_s=row.maybe("Request Rate"),
        inferences_per_s=row.number("Inferences/Second"),
        e2e=LatencySummary(**scaled) if scaled else None,
        queue_mean_s=None if queue is None else queue * _US,
        service_mean_s=sum(compute) * _US if compute else None,
        notes=() if mean is not None else ("mean latency: sum of the parts that the tool gives",),
    )
