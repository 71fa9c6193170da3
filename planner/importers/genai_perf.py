"""genai-perf: the summary, as `*_genai_perf.json` and as CSV with either generation of headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from planner.importers.benchmark_run import BenchmarkRun, SetUp
from planner.importers.fields import Fields
from planner.importers.importer import FileStart
from planner.importers.metric_table import summary_of
from planner.importers.tokenised_summary import Request, run_of_summary

_FOLDER = re.compile(r"-(?P<what>concurrency|request_rate)(?P<value>\d+(?:\.\d+)?)$")
_ENGINES: dict[str, Any] = {"tensorrtllm": "triton-trtllm", "vllm": "vllm"}


class GenaiPerf:
    """Reads what genai-perf computed. It counts output tokens by tokenising the answers again."""

    tool = "genai-perf"

    def recognises(self, start: FileStart) -> bool:
        """JSON with its metrics and no version of aiperf; CSV that begins with statistics in its order."""
        if start.text.lstrip().startswith("{"):
            metrics = start.has_keys("request_throughput", "time_to_first_token", "input_config")
            return metrics and not any(start.has_keys(key) for key in ("aiperf_version", "schema_version", "loadgen"))
        return start.first_line.startswith("Metric,avg,min,max,p99,")

    def runs(self, path: Path) -> Iterator[BenchmarkRun]:
        """The one run in the file."""
        document, table = summary_of(path)
        config = document.inner("input_config")
        yield run_of_summary(table, asked(config, path), tool=self.tool, setup=set_up(config))


def asked(config: Fields, path: Path) -> Request:
    """Load and output length that genai-perf was told, from its configuration (nested or flat) or the folder's name."""
    stimulus = config.inner("perf_analyzer").inner("stimulus")
    concurrency = stimulus.maybe("concurrency") or config.maybe("concurrency")
    rate = stimulus.maybe("request_rate") or config.maybe("request_rate")
    folder = _FOLDER.search(path.resolve().parent.name)
    if concurrency is None and rate is None and folder:
        value = float(folder["value"])
        concurrency, rate = (value, None) if folder["what"] == "concurrency" else (None, value)
    extra = _extra_inputs(config)
    most = extra.maybe("max_tokens") or extra.maybe("max_completion_tokens")
    exact = most if str(extra.values.get("ignore_eos")).lower() == "true" or extra.maybe("min_tokens") == most else None
    wanted = config.inner("input").inner("output_tokens").maybe("mean")
    return Request(
        concurrency=concurrency,
        rate_per_s=rate,
        asked_output_tokens=wanted if wanted and wanted > 0.0 else None,
        exact_output_tokens=exact,
    )


def _extra_inputs(config: Fields) -> Fields:
    """What was sent with every request: fields, or in older files a list of `name:value`."""
    listed = config.values.get("extra_inputs")
    if isinstance(listed, list):
        pairs = (str(each).partition(":") for each in listed)
        return Fields(values={name: value for name, _, value in pairs}, place=config.place, path="extra_inputs.")
    return config.inner("input", "extra") if config.has("input") else config.inner("extra_inputs")


def set_up(config: Fields) -> SetUp:
    """Model and engine. `backend` has a default that says nothing, unless genai-perf spoke to Triton itself."""
    endpoint = config.inner("endpoint") if isinstance(config.values.get("endpoint"), dict) else config
    names = config.values.get("model_names") or config.values.get("model")
    model = names[0] if isinstance(names, list) and names else names
    engine = _ENGINES.get(str(endpoint.values.get("backend"))) if endpoint.words("service_kind") == "triton" else None
    return SetUp(model=model if isinstance(model, str) and len(model) <= 200 else None, engine=engine)
