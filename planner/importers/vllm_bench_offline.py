"""vLLM's `bench throughput` and `bench latency`: no arrivals, no server; what of them tells a load."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from models.errors import InvalidInput
from planner.importers.benchmark_run import BenchmarkRun
from planner.importers.importer import FileStart


class VllmBenchOffline:
    """Recognises both, and says what is missing: neither file holds the lengths that a point needs."""

    tool = "vllm bench throughput or latency"

    def recognises(self, start: FileStart) -> bool:
        """Their few keys."""
        return start.has_keys("avg_latency", "latencies", "percentiles") or start.has_keys(
            "elapsed_time", "num_requests", "total_num_tokens", "tokens_per_second"
        )

    def runs(self, path: Path) -> Iterator[BenchmarkRun]:
        """None: always refused, with what to run instead."""
        return iter(self._refused(path))

    def _refused(self, path: Path) -> tuple[BenchmarkRun, ...]:
        raise InvalidInput(
            f"{path}: {self.tool} writes neither prompt and answer lengths nor the load: no point can be made of it",
            remedy="measure with `vllm bench serve --save-result`, or write its row into a CSV of concurrency, "
            "input_tokens, output_tokens and output_tokens_per_s",
        )
