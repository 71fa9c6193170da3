"""One stage of a guidellm report, in any of its three generations: its load, its requests, and its summary."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from models.errors import InvalidInput
from models.measurement import LatencySummary, Measurement
from planner.importers.benchmark_run import BenchmarkRun, RequestTable, SetUp
from planner.importers.fields import Fields, naming
from planner.importers.request_run import run_of_requests

_MS = 1e-3
CLOSED = frozenset({"synchronous", "concurrent"})
OPEN = frozenset({"constant", "poisson", "async"})


@dataclass
class Stage:
    """What was read of one benchmark so far; requests are kept as numbers, without their texts."""

    place: str
    parts: dict[str, Any] = field(default_factory=dict)
    successful: list[tuple[float, float, float, float, float]] = field(default_factory=list)
    """Start, TTFT, e2e (seconds), prompt and output tokens."""
    other_start_s: list[float] = field(default_factory=list)

    def fields(self, *names: str) -> Fields:
        """Fields of the part that the first name says, and of what is inside it."""
        first = self.parts.get(names[0])
        return Fields(values={names[0]: first} if first is not None else {}, place=self.place).inner(*names)

    def add(self, status: str, request: Fields) -> None:
        """Keep the times and counts of one request."""
        start = request.maybe("request_start_time") or request.maybe("start_time")
        if start is None:
            start = request.inner("info", "timings").maybe("request_start")
        if status != "successful":
            if start is not None:
                self.other_start_s.append(start)
            return
        if start is None:
            raise InvalidInput(f"{request.where('request_start_time')} is missing", remedy="is the file whole?")
        self.successful.append(_numbers(start, request))


def _numbers(start_s: float, request: Fields) -> tuple[float, float, float, float, float]:
    """Times of one request. e2e ends with the last token, where guidellm's latency ends with the connection."""
    output = request.number("output_tokens")
    ttft = request.maybe("time_to_first_token_ms")
    gap = request.maybe("inter_token_latency_ms")
    if ttft is None:
        raise InvalidInput(
            f"{request.where('time_to_first_token_ms')} is missing", remedy="benchmark with streaming answers"
        )
    e2e = (ttft + gap * (output - 1.0)) * _MS if gap is not None else request.number("request_latency")
    if not 0.0 < ttft * _MS <= e2e * (1.0 + 1e-9):
        raise InvalidInput(
            f"{request.where('time_to_first_token_ms')}: {ttft:g} ms must be above 0 and within the request",
            remedy="measure again; clocks may have jumped",
        )
    return start_s, ttft * _MS, max(e2e, ttft * _MS), request.number("prompt_tokens"), output


@dataclass(frozen=True, kw_only=True)
class Load:
    """How a stage sent requests."""

    kind: str
    concurrency: float | None
    nominal_per_s: float | None


def load_of(stage: Stage) -> Load:
    """The strategy, from where its generation keeps it."""
    for names in (("config", "strategy"), ("args", "strategy"), ("scheduler", "strategy")):
        strategy = stage.fields(*names)
        if strategy.values:
            break
    kind = strategy.words("type_")
    if kind not in CLOSED | OPEN | {"throughput"}:
        raise InvalidInput(
            f"{strategy.where('type_')}: not synchronous, concurrent, throughput, constant or poisson",
            remedy="benchmark with one of these",
        )
    users = strategy.maybe("streams") or strategy.maybe("max_concurrency")
    if kind == "synchronous":
        users = 1.0
    return Load(kind=kind, concurrency=None if kind in OPEN else users, nominal_per_s=strategy.maybe("rate"))


def run_of(stage: Stage, tool: str, setup: SetUp) -> BenchmarkRun:
    """The stage's run: from its requests where all were kept, else from its summary."""
    load = load_of(stage)
    counts = _counts(stage)
    kept_all = 0 < counts["successful"] == len(stage.successful)
    sends_kept = kept_all and len(stage.other_start_s) == counts["errored"] + counts["incomplete"]
    started = stage.parts.get("start_time")
    date = None
    if isinstance(started, (int, float)) and 0 < started < 4e9:
        date = datetime.fromtimestamp(started, UTC).date().isoformat()
    if kept_all and (sends_kept or load.kind not in OPEN):
        run = _from_requests(stage, load, tool, setup)
    else:
        run = _from_summary(stage, load, counts, tool, setup)
    notes = list(run.notes)
    sent = run.measurement.arrival_rate_per_s
    if sent is not None and load.nominal_per_s is not None and abs(sent - load.nominal_per_s) > 0.05 * sent:
        notes.append(f"sent {sent:.4g}/s, not the nominal {load.nominal_per_s:.4g}/s")
    return replace(
        run,
        failed=counts["errored"],
        date=date,
        notes=tuple(notes),
        capacity_only=run.capacity_only or load.kind == "throughput",
        duration_s=_duration(stage),
    )


def _from_requests(stage: Stage, load: Load, tool: str, setup: SetUp) -> BenchmarkRun:
    start, ttft, e2e, prompt, output = (np.array(each) for each in zip(*stage.successful, strict=True))
    table = RequestTable(input_tokens=prompt, output_tokens=output, ttft_s=ttft, e2e_s=e2e, start_s=start)
    return run_of_requests(
        table,
        tool=tool,
        place=stage.place,
        concurrency=_users(stage, load) if load.kind not in OPEN else None,
        open_loop=load.kind in OPEN,
        failed_start_s=np.array(stage.other_start_s),
        setup=setup,
    )


def _from_summary(stage: Stage, load: Load, counts: dict[str, int], tool: str, setup: SetUp) -> BenchmarkRun:
    duration, done = _duration(stage), counts["successful"]
    if done == 0:
        raise InvalidInput(f"{stage.place}: no request succeeded", remedy="look at the benchmark's errors")
    prompt, output = _metric(stage, "prompt_token_count"), _metric(stage, "output_token_count")
    tokens = output.number("mean")
    gap = _law(stage, "inter_token_latency_ms", _MS)
    fixed = output.maybe("std_dev") == 0.0
    notes = []
    if gap is not None and not fixed:
        notes.append("percentiles of ITL left out: guidellm's are of each request's mean, weighted by its tokens")
    if load.kind in OPEN:
        kept = len(stage.successful) + len(stage.other_start_s)
        notes.append(f"burstiness unknown: {kept} of {sum(counts.values())} requests were kept in the file")
    with naming(stage.place):
        point = Measurement(
            input_tokens=prompt.number("mean"),
            output_tokens=tokens,
            input_tokens_cv=_variation(prompt),
            output_tokens_cv=_variation(output),
            concurrency=None if load.kind in OPEN else _users(stage, load),
            arrival_rate_per_s=sum(counts.values()) / duration if load.kind in OPEN else None,
            requests_per_s=done / duration,
            output_tokens_per_s=done * tokens / duration,
            ttft=_law(stage, "time_to_first_token_ms", _MS),
            tpot=gap if fixed else None,
            itl=LatencySummary(mean_s=gap.mean_s) if gap is not None and gap.mean_s is not None else None,
            e2e=_law(stage, "request_latency", 1.0),
        )
    return BenchmarkRun(measurement=point, tool=tool, place=stage.place, setup=setup, requests=done, notes=tuple(notes))


def _users(stage: Stage, load: Load) -> float:
    """Users of a closed loop, or requests in flight where nothing held them back."""
    if load.concurrency is not None:
        return load.concurrency
    return max(1.0, stage.fields("metrics", "request_concurrency", "total").number("mean"))


def _metric(stage: Stage, name: str) -> Fields:
    return stage.fields("metrics", name, "successful")


def _variation(counts: Fields) -> float | None:
    """Coefficient of variation of token counts; None where the report does not say."""
    mean, spread = counts.maybe("mean"), counts.maybe("std_dev")
    return spread / mean if mean and spread is not None else None


def _law(stage: Stage, name: str, scale: float) -> LatencySummary | None:
    fields = _metric(stage, name)
    percentiles = fields.inner("percentiles")
    found = {"mean_s": fields.maybe("mean"), "p50_s": fields.maybe("median")}
    found |= {f"p{p}_s": percentiles.maybe(f"p{p}") for p in (90, 95, 99)}
    scaled = {key: value * scale for key, value in found.items() if value is not None}
    with naming(f"{stage.place}, metrics.{name}"):
        return LatencySummary(**scaled) if scaled else None


def _counts(stage: Stage) -> dict[str, int]:
    """Requests by how they ended, within the measured window where the file tells."""
    for names in (
        ("metrics", "request_totals"),
        ("run_stats", "requests_made"),
        ("scheduler_metrics", "requests_made"),
    ):
        fields = stage.fields(*names)
        if fields.has("successful"):
            return {status: fields.count(status) or 0 for status in ("successful", "errored", "incomplete")}
    return {"successful": len(stage.successful), "errored": 0, "incomplete": len(stage.other_start_s)}


def _duration(stage: Stage) -> float:
    fields = Fields(values=stage.parts, place=stage.place)
    duration = fields.maybe("duration")
    if duration is None:
        duration = fields.number("end_time") - fields.number("start_time")
    if not 0.0 < duration < 1e9:
        raise InvalidInput(f"{fields.where('duration')}: {duration:g} s is no duration", remedy="measure again")
    return duration
