"""trtllm-bench: the table it prints, of either generation, and its `--report_json`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.errors import InvalidInput
from models.measurement import LatencySummary, Measurement
from planner.files import read_text
from planner.importers.benchmark_run import BenchmarkRun, SetUp
from planner.importers.beside import json_fields
from planner.importers.fields import MAX_WORDS, Fields, naming
from planner.importers.importer import FileStart

_OVERVIEW = "PERFORMANCE OVERVIEW"
_LINE = re.compile(r"^\s*(?P<name>[A-Za-z][^:\n]*?)\s*:\s+(?P<value>\S.*?)\s*$")
_BREAKDOWN = re.compile(r"^\s*\[(?P<what>TPOT|TTFT|Latency)\]\s*(?P<statistic>AVERAGE|P50|P90|P95|P99)\s*$")
_MARK = re.compile(r"\s*[\[(].*$")
_MS = 1e-3
MAX_LINE = 400
"""Longer lines are somebody's prompt or log, and no figure."""
OFFLINE = 1 / 3
"""Share of all requests in flight on average above which there was no steady load, only a batch that drained."""


class TrtllmBench:
    """Reads what TensorRT-LLM measured of itself: no server and no network in front of the engine."""

    tool = "trtllm-bench"

    def recognises(self, start: FileStart) -> bool:
        """The printed overview, or a report with its sections."""
        if start.text.lstrip().startswith("{"):
            return start.has_keys("world_info", "request_info", "performance")
        return _OVERVIEW in start.text and "Request Throughput (req/sec)" in start.text

    def runs(self, path: Path) -> Iterator[BenchmarkRun]:
        """A run for each overview that was printed; a report holds one."""
        text = read_text(path, what="benchmark file")
        if text.lstrip().startswith("{"):
            with naming(str(path)):
                yield _of_report(json_fields(path), self.tool)
            return
        found = list(_overviews(text, str(path)))
        if not found:
            raise InvalidInput(f"{path}: there is no {_OVERVIEW}", remedy="keep all that trtllm-bench prints")
        for place, fields in found:
            with naming(place):
                yield _of_text(fields, self.tool)


def _overviews(text: str, place: str) -> Iterator[tuple[str, Fields]]:
    """Place and figures of each overview, with what was printed of engine and data before it."""
    values: dict[str, Any] = {}
    at: int | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if len(line) > MAX_LINE:
            continue
        if _OVERVIEW in line or (at is not None and line.startswith("= ") and "DETAILS" in line):
            if at is not None:
                yield f"{place}, line {at}", Fields(values=values, place=f"{place}, line {at}")
                values = {}
            at = number if _OVERVIEW in line else None
        elif match := _LINE.match(line):
            values[_MARK.sub("", match["name"]).lower()] = match["value"]
        elif "]" in line and ":" in line:
            name, value = line.split(":", 1)
            if breakdown := _BREAKDOWN.match(name):
                key = f"{breakdown['what']} {breakdown['statistic']}".lower()
                values[key] = value.strip().split(" ")[0]
    if at is not None:
        yield f"{place}, line {at}", Fields(values=values, place=f"{place}, line {at}")


def _of_text(fields: Fields, tool: str) -> BenchmarkRun:
    rate = fields.number("request throughput")
    output_rate = fields.number("total output throughput")
    if not rate > 0.0:
        raise InvalidInput(f"{fields.where('request throughput')}: must be above 0", remedy="was the run empty?")
    total = fields.maybe("total token throughput")
    prompt = fields.maybe("average input length") or ((total - output_rate) / rate if total is not None else None)
    if prompt is None:
        raise InvalidInput(
            f"{fields.where('total token throughput')} is missing: prompt lengths cannot be known",
            remedy="import the report of --report_json, or all that was printed",
        )
    spent = fields.maybe("total latency")
    return _run(
        fields,
        tool,
        rate=rate,
        output_rate=output_rate,
        prompt=prompt,
        output=fields.maybe("average output length") or output_rate / rate,
        e2e=_law(fields, "average request latency", "latency"),
        ttft=_law(fields, "average time-to-first-token", "ttft"),
        tpot=_law(fields, "average time-per-output-token", "tpot"),
        requests=None if spent is None else round(rate * spent * _MS),
        duration_s=None if spent is None else spent * _MS,
        setup=SetUp(
            engine="triton-trtllm",
            engine_version=fields.words("tensorrt-llm version"),
            model=fields.words("model"),
            quantization=_known(fields.words("quantization")),
            gpus_per_replica=_gpus(fields.count("tp size"), fields.count("pp size")) or _shares(fields, output_rate),
            tensor_parallel=fields.count("tp size"),
        ),
    )


def _law(fields: Fields, mean: str, short: str) -> LatencySummary | None:
    found = {"mean_s": fields.maybe(mean) or fields.maybe(f"{short} average")}
    found |= {f"p{p}_s": fields.maybe(f"{short} p{p}") for p in (50, 90, 95, 99)}
    scaled = {name: value * _MS for name, value in found.items() if value is not None}
    with naming(fields.where(mean)):
        return LatencySummary(**scaled) if scaled else None


def _of_report(report: Fields, tool: str) -> BenchmarkRun:
    engine, world, asked = report.inner("engine"), report.inner("world_info"), report.inner("request_info")
    speed, stream = report.inner("performance"), report.inner("streaming_metrics")
    spent = speed.maybe("total_latency_ms")
    machine = report.inner("machine") if isinstance(report.values.get("machine"), dict) else None
    return _run(
        report,
        tool,
        rate=speed.number("request_throughput_req_s"),
        output_rate=speed.number("system_output_throughput_tok_s"),
        prompt=asked.number("avg_input_length"),
        output=asked.number("avg_output_length"),
        e2e=_report_law(speed, "avg_request_latency_ms", "request_latency_percentiles_ms"),
        ttft=_report_law(stream, "avg_ttft_ms", "ttft_percentiles"),
        tpot=_report_law(stream, "avg_tpot_ms", "tpot_percentiles"),
        requests=asked.count("num_requests"),
        duration_s=None if spent is None else spent * _MS,
        setup=SetUp(
            engine="triton-trtllm",
            engine_version=engine.words("version"),
            model=engine.words("model"),
            quantization=_known(engine.words("quantization")),
            gpu=machine.words("name") if machine else None,
            gpus_per_replica=world.count("world_size") or _gpus(world.count("tp_size"), world.count("pp_size")),
            tensor_parallel=world.count("tp_size"),
        ),
    )


def _report_law(fields: Fields, mean: str, percentiles: str) -> LatencySummary | None:
    inner = fields.inner(percentiles)
    found = {"mean_s": fields.maybe(mean), **{f"p{p}_s": inner.maybe(f"p{p}") for p in (50, 90, 95, 99)}}
    scaled = {name: value * _MS for name, value in found.items() if value is not None}
    with naming(fields.where(mean)):
        return LatencySummary(**scaled) if scaled else None


def _run(
    fields: Fields,
    tool: str,
    *,
    rate: float,
    output_rate: float,
    prompt: float,
    output: float,
    e2e: LatencySummary | None,
    ttft: LatencySummary | None,
    tpot: LatencySummary | None,
    requests: int | None,
    duration_s: float | None,
    setup: SetUp,
) -> BenchmarkRun:
    if e2e is None or e2e.mean_s is None:
        raise InvalidInput(f"{fields.place}: average request latency is missing", remedy="keep all that was printed")
    running = max(1.0, rate * e2e.mean_s)
    offline = requests is not None and requests > 1 and running > OFFLINE * requests
    notes = ["concurrency from Little's law: throughput times mean e2e", "measured inside the engine, without a server"]
    if offline:
        notes.append("all requests were sent at once: the throughput is the capacity, latencies are those of draining")
    point = Measurement(
        input_tokens=prompt,
        output_tokens=output,
        concurrency=running,
        requests_per_s=rate,
        output_tokens_per_s=output_rate,
        ttft=ttft,
        tpot=tpot,
        e2e=e2e,
    )
    return BenchmarkRun(
        measurement=point,
        tool=tool,
        place=fields.place,
        setup=setup,
        capacity_only=offline,
        duration_s=duration_s,
        requests=requests,
        notes=tuple(notes),
    )


def _gpus(tensor: int | None, pipeline: int | None) -> int | None:
    return None if tensor is None else tensor * (pipeline or 1)


def _shares(fields: Fields, output_rate: float) -> int | None:
    """GPUs among which the throughput was divided."""
    each = fields.maybe("per gpu output throughput")
    return max(1, round(output_rate / each)) if each and each > 0.0 and output_rate / each < 1e5 else None


def _known(word: str | None) -> str | None:
    return None if word is None or len(word) > MAX_WORDS or word.lower() in {"none", "n/a", "null"} else word
