"""vLLM's results in PyTorch's benchmark format (`.pytorch.json`): a record a figure, each with the run's set-up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.errors import InvalidInput
from planner.importers.benchmark_run import BenchmarkRun
from planner.importers.fields import Fields
from planner.importers.importer import FileStart
from planner.importers.json_stream import parts
from planner.importers.request_columns import RequestColumns
from planner.importers.vllm_bench_serve import SUMMARY, run_of

_METRIC = "item.metric"


class VllmPytorchRecords:
    """Puts the records of one `bench serve` together again. The arguments, which may hold keys, are not read."""

    tool = "vllm bench serve"

    def recognises(self, start: FileStart) -> bool:
        """A list of records of vLLM's benchmarks."""
        return start.text.lstrip().startswith("[") and start.has_keys("benchmark_values", "metric", "extra_info")

    def runs(self, path: Path) -> Iterator[BenchmarkRun]:
        """The one run in the file."""
        values: dict[str, Any] = {}
        for number, (_, metric) in enumerate(parts(path, frozenset({_METRIC}))):
            record = Fields(values={}, place=str(path)).item("records", number, metric)
            figures = record.values.get("benchmark_values")
            name = record.words("name")
            if name in SUMMARY and isinstance(figures, list) and len(figures) == 1:
                values[name] = figures[0]
            values |= {key: value for key, value in record.inner("extra_info").values.items() if key in SUMMARY}
        if "completed" not in values:
            raise InvalidInput(
                f"{path}: its records are not of `vllm bench serve`: they hold no load and no lengths",
                remedy="import the JSON beside it, of `vllm bench serve --save-result`",
            )
        yield run_of(Fields(values=values, place=str(path)), RequestColumns(), self.tool)
