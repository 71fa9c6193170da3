"""aiperf: every request, as `profile_export.jsonl`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import InvalidInput
from planner.importers.aiperf import asked, set_up
from planner.importers.bare_numbers import loads
from planner.importers.benchmark_run import BenchmarkRun, RequestTable
from planner.importers.beside import neighbours
from planner.importers.client_tokens import COUNTED_BY_CLIENT, corrected_note
from planner.importers.fields import Fields
from planner.importers.figures import figure, seconds_in
from planner.importers.importer import FileStart
from planner.importers.request_run import run_of_requests
from planner.importers.tokenised_summary import Request

MAX_LINE_BYTES = 64 * 1024 * 1024


@dataclass
class _Columns:
    """Grows by one request a line."""

    start_s: list[float] = field(default_factory=list)
    ttft_s: list[float] = field(default_factory=list)
    e2e_s: list[float] = field(default_factory=list)
    prompt: list[float] = field(default_factory=list)
    client: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)
    gaps_s: list[float] = field(default_factory=list)
    failed_start_s: list[float] = field(default_factory=list)


class AiperfRequests:
    """Reads aiperf's requests one line at a time and computes everything from them."""

    tool = "aiperf"

    def recognises(self, start: FileStart) -> bool:
        """A line that holds a request's metadata in nanoseconds and its metrics."""
        return start.first_line.startswith("{") and start.has_keys("metadata", "metrics", "request_start_ns")

    def runs(self, path: Path) -> Iterator[BenchmarkRun]:
        """The one run in the file."""
        columns = _Columns()
        for line in _lines(path):
            _add(columns, line)
        summary = next((each for each in neighbours(path, "*_aiperf.json")), None)
        expected = summary.inner("request_count").maybe("avg") if summary else None
        count = len(columns.start_s)
        if expected is not None and count != expected:
            raise InvalidInput(
                f"{path}: it holds {count} requests, and the summary beside it says {expected:g}",
                remedy="take the whole file, or import the summary instead",
            )
        config = summary.inner("input_config") if summary else Fields(values={}, place=str(path))
        request = asked(config, path)
        output, notes = _output_tokens(columns, request)
        table = RequestTable(
            input_tokens=np.array(columns.prompt),
            output_tokens=output,
            ttft_s=np.array(columns.ttft_s),
            e2e_s=np.array(columns.e2e_s),
            start_s=np.array(columns.start_s),
            gaps_s=np.array(columns.gaps_s),
        )
        yield run_of_requests(
            table,
            tool=self.tool,
            place=str(path),
            concurrency=request.concurrency,
            open_loop=request.rate_per_s is not None,
            failed_start_s=np.array(columns.failed_start_s),
            setup=set_up(config),
            date=None if summary is None else (summary.words("start_time") or "")[:10] or None,
            notes=notes,
        )


def _lines(path: Path) -> Iterator[Fields]:
    """Every line's fields."""
    try:
        with path.open("rb") as stream:
            number = 0
            while data := stream.readline(MAX_LINE_BYTES):
                number += 1
                place = f"{path}, line {number}"
                if not data.strip():
                    continue
                try:
                    value = loads(data)
                except (ValueError, RecursionError):
                    raise InvalidInput(f"{place}: not valid JSON", remedy="is the file whole?") from None
                if not isinstance(value, dict):
                    raise InvalidInput(f"{place}: a request's fields are expected", remedy="is it the right file?")
                yield Fields(values=value, place=place)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error}", remedy="check the path and its mode") from None


def _add(columns: _Columns, line: Fields) -> None:
    metadata, metrics = line.inner("metadata"), line.inner("metrics")
    if (metadata.words("benchmark_phase") or "profiling") == "warmup":
        return
    start = metadata.number("request_start_ns") * 1e-9
    if line.has("error") or metadata.values.get("was_cancelled") is True:
        columns.failed_start_s.append(start)
        return
    ttft, e2e = _seconds(metrics, "time_to_first_token"), _seconds(metrics, "request_latency")
    if not 0.0 < ttft <= e2e:
        raise InvalidInput(
            f"{metrics.where('time_to_first_token')}: {ttft:g} s must be above 0 and at most the {e2e:g} s of "
            "request_latency",
            remedy="measure again; clocks may have jumped",
        )
    columns.start_s.append(start)
    columns.ttft_s.append(ttft)
    columns.e2e_s.append(e2e)
    usage = metrics.inner("usage_prompt_tokens")
    columns.prompt.append((usage if usage.has("value") else metrics.inner("input_sequence_length")).number("value"))
    columns.client.append(metrics.inner("output_sequence_length").number("value"))
    if metrics.has("usage_completion_tokens"):
        columns.server.append(metrics.inner("usage_completion_tokens").number("value"))
    gaps = metrics.inner("inter_chunk_latency")
    if gaps.has("value"):
        where, values = gaps.where("value"), gaps.values["value"]
        if not isinstance(values, list):
            raise InvalidInput(f"{where} should be a list", remedy="is the file of this tool?")
        scale = seconds_in(gaps.values.get("unit"), gaps.where("unit"))
        columns.gaps_s.extend(figure(each, where) * scale for each in values)


def _seconds(metrics: Fields, name: str) -> float:
    metric = metrics.inner(name)
    return metric.number("value") * seconds_in(metric.values.get("unit"), metric.where("unit"))


def _output_tokens(columns: _Columns, request: Request) -> tuple[Any, tuple[str, ...]]:
    """Output lengths by the server where it said, or was told, else by the client."""
    client = np.array(columns.client)
    if client.size and len(columns.server) == client.size:
        server = np.array(columns.server)
    elif client.size and request.exact_output_tokens is not None:
        server = np.full(client.size, request.exact_output_tokens)
    else:
        return client, (COUNTED_BY_CLIENT,)
    if abs(server.mean() - client.mean()) <= 0.005 * client.mean():
        return server, ()
    return server, (corrected_note(float(client.mean()), float(server.mean())),)
