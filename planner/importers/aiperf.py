"""aiperf: the summary, as `profile_export_aiperf.json` and as CSV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from models.errors import InvalidInput
from planner.importers.benchmark_run import BenchmarkRun, SetUp
from planner.importers.beside import neighbours
from planner.importers.fields import Fields
from planner.importers.importer import FileStart
from planner.importers.metric_table import summary_of
from planner.importers.tokenised_summary import Request, run_of_summary

SERVER_METRICS = "server_metrics_export.json"


class Aiperf:
    """Reads what aiperf computed. Its output lengths are tokenised again; the server's usage, where sent, is kept."""

    tool = "aiperf"

    def recognises(self, start: FileStart) -> bool:
        """JSON with aiperf's version or its older configuration; CSV with its statistics, which end in std."""
        if start.text.lstrip().startswith("{"):
            named = start.has_keys("aiperf_version") or start.has_keys("input_config", "loadgen")
            return named and start.has_keys("request_latency") and not start.has_keys("metrics_phase")
        line = start.first_line.strip()
        return line.startswith("Metric,avg,min,max,") and line.endswith(",std")

    def runs(self, path: Path) -> Iterator[BenchmarkRun]:
        """The one run in the file."""
        document, table = summary_of(path)
        if document.values.get("was_cancelled") is True:
            raise InvalidInput(f"{path}, was_cancelled: the run was cancelled", remedy="run the benchmark to its end")
        yield run_of_summary(
            table,
            asked(document.inner("input_config"), path),
            tool=self.tool,
            setup=set_up(document.inner("input_config")),
            failed=failures(document) if document.values else None,
            date=(document.words("start_time") or "")[:10] or None,
        )


def asked(config: Fields, path: Path) -> Request:
    """Load and output length that aiperf was told, of either generation of its configuration."""
    phases = [each for each in config.items("phases") if each.words("kind") != "warmup"]
    phase = phases[0] if phases else config.inner("loadgen")
    rate = phase.maybe("rate") or phase.maybe("request_rate")
    extra = config.inner("endpoint").inner("extra")
    exact = asked_for = None
    for dataset in config.items("datasets"):
        length = dataset.inner("prompts", "osl")
        asked_for = length.maybe("mean")
        exact = asked_for if extra.values.get("ignore_eos") is True and not length.maybe("stddev") else None
    return Request(
        concurrency=None if rate else phase.maybe("concurrency"),
        rate_per_s=rate,
        asked_output_tokens=asked_for,
        exact_output_tokens=exact,
        server_output_tokens=server_output_tokens(path),
    )


def server_output_tokens(path: Path) -> float | None:
    """Mean output length by vLLM's own counters, from the metrics that aiperf scraped in the same run."""
    for metrics in neighbours(path, SERVER_METRICS):
        for series in metrics.inner("metrics", "vllm:request_generation_tokens").items("series"):
            stats = series.inner("stats")
            total, count = stats.maybe("sum"), stats.maybe("count")
            if total and count:
                return total / count
    return None


def set_up(config: Fields) -> SetUp:
    """The model; aiperf does not know the engine."""
    if isinstance(config.values.get("models"), dict):
        items = config.inner("models").items("items")
        return SetUp(model=items[0].words("name") if items else None)
    names = config.inner("endpoint").values.get("model_names")
    named = {"name": names[0]} if isinstance(names, list) and names else {}
    return SetUp(model=Fields(values=named, place=config.place).words("name"))


def failures(document: Fields) -> int:
    """Requests that failed. Their texts are not looked at."""
    return sum(each.count("count") or 0 for each in document.items("error_summary"))
