"""vLLM's `bench serve` and its forks (InferenceX): a run as JSON, summary or with every request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from models.errors import InvalidInput
from models.measurement import LatencySummary, Measurement
from planner.importers.appended_results import results
from planner.importers.benchmark_run import BenchmarkRun, SetUp, Stated
from planner.importers.fields import IMPOSSIBLE, Fields, naming
from planner.importers.importer import FileStart
from planner.importers.latency_summary import latency, without_chunks
from planner.importers.offered_load import AT_ONCE, FULL, falls_behind, is_endless
from planner.importers.request_columns import RequestColumns
from planner.importers.request_run import run_of_requests, with_lengths, with_requests

_FIGURES = frozenset(
    [
        *("date", "backend", "model_id", "num_prompts", "request_rate", "burstiness", "max_concurrency", "duration"),
        *("completed", "failed", "total_input_tokens", "total_output_tokens", "request_throughput"),
        *("output_throughput", "ramp_up_strategy", "ramp_up_start_rps", "ramp_up_end_rps"),
    ]
)
_METRICS = {"ttft": "ttft", "tpot": "tpot", "itl": "itl", "e2e": "e2el"}
_STATISTICS = ("mean", "median", "p50", "p90", "p95", "p99")
_LATENCIES = frozenset(
    f"{statistic}_{metric}{unit}" for metric in _METRICS.values() for statistic in _STATISTICS for unit in ("", "_ms")
)
SUMMARY = _FIGURES | _LATENCIES
"""The fields of a result that are read."""


class VllmBenchServe:
    """Reads what the client measured; where every request was saved, from those and not from the summary."""

    tool = "vllm bench serve"

    def recognises(self, start: FileStart) -> bool:
        """Its counters and its limit of requests in flight."""
        if not start.text.lstrip().startswith("{") or not start.has_keys("completed", "total_input_tokens"):
            return False
        return start.has_keys("num_prompts") and start.has_keys("max_concurrency")

    def runs(self, path: Path) -> Iterator[BenchmarkRun]:
        """A run for each result in the file."""
        for fields, columns in results(path, SUMMARY):
            yield run_of(fields, columns, self.tool)


def run_of(fields: Fields, columns: RequestColumns, tool: str) -> BenchmarkRun:
    """The run that one result holds: from its requests where they were saved, else from its summary."""
    with naming(fields.place):
        if fields.has("duration") and not fields.number("duration") > 0.0:
            raise InvalidInput(f"{fields.where('duration')}: a run lasts longer than nothing", remedy=IMPOSSIBLE)
        if not fields.count("completed"):
            raise InvalidInput(f"{fields.where('completed')}: no request succeeded", remedy="look at the server's log")
        _require_steady(fields)
        if columns.have_latencies:
            return _of_requests(fields, columns, tool)
        return with_lengths(_of_summary(fields, tool), columns.lengths())


def _require_steady(fields: Fields) -> None:
    """Refuse a rate that rose during the run: neither its latencies nor its throughput are of any one load."""
    strategy = fields.words("ramp_up_strategy")
    if strategy is not None:
        first, last = (fields.maybe(f"ramp_up_{end}_rps") for end in ("start", "end"))
        rates = f" from {first:g} to {last:g} requests/s" if first is not None and last is not None else ""
        raise InvalidInput(
            f"{fields.where('ramp_up_strategy')}: the rate rose{rates} ({strategy}), so that the run is of no one load",
            remedy="measure each rate in a run of its own, with --request-rate and without --ramp-up-strategy",
        )


def _load(fields: Fields) -> tuple[float | None, float | None]:
    """Users of a closed loop, or requests per second of an open one; neither where all was sent at once."""
    rate = fields.values.get("request_rate")
    users = fields.maybe("max_concurrency")
    most = fields.maybe("num_prompts")
    if users and most:
        users = min(users, most)
    if rate is not None and not is_endless(rate):
        if not users or not _full(fields, users):
            return None, fields.number("request_rate")
        return users, None
    return users or None, None


def _full(fields: Fields, users: float) -> bool:
    """Whether the limit of requests in flight was reached, by Little's law."""
    served = fields.maybe("request_throughput")
    e2e = fields.maybe("mean_e2el_ms")
    seconds = e2e * 1e-3 if e2e else fields.maybe("mean_e2el")
    return bool(served and seconds and served * seconds >= FULL * users)


def _set_up(fields: Fields) -> SetUp:
    backend = (fields.words("backend") or "").lower()
    return SetUp(engine="vllm" if backend == "vllm" else None, model=fields.words("model_id"))


def _date(fields: Fields) -> str | None:
    text = fields.words("date") or ""
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}" if len(text) >= 8 and text[:8].isdigit() else None


def _of_summary(fields: Fields, tool: str) -> BenchmarkRun:
    completed = fields.number("completed")
    users, rate = _load(fields)
    notes: tuple[str, ...] = ()
    at_once = users is None and rate is None
    if at_once:
        # All requests were sent at once: a closed loop of as many users, for one round.
        users = fields.number("num_prompts")
        notes = (AT_ONCE,)
    laws: dict[str, LatencySummary | None] = {}
    for metric, name in _METRICS.items():
        for unit, scale in (("_ms", 1e-3), ("", 1.0)):
            stems = {each: f"{each}_{name}{unit}" for each in _STATISTICS}
            found = latency(fields, {**stems, "p50": (stems["p50"], stems["median"])}, scale)
            laws[metric] = laws.get(metric) or found
    zero = any(fields.maybe(name) == 0.0 for name in ("median_itl_ms", "median_itl"))
    laws["itl"], said = without_chunks(laws["itl"], laws["tpot"], zero_median=zero)
    served = fields.maybe("request_throughput")
    point = Measurement(
        input_tokens=fields.number("total_input_tokens") / completed,
        output_tokens=fields.number("total_output_tokens") / completed,
        concurrency=users,
        arrival_rate_per_s=rate,
        requests_per_s=served,
        output_tokens_per_s=fields.maybe("output_throughput"),
        ttft=laws["ttft"],
        tpot=laws["tpot"],
        itl=laws["itl"],
        e2e=laws["e2e"],
    )
    return BenchmarkRun(
        measurement=point,
        tool=tool,
        place=fields.place,
        setup=_set_up(fields),
        burstiness=_burstiness(fields) if rate is not None else None,
        capacity_only=at_once or falls_behind(rate, served),
        duration_s=fields.maybe("duration"),
        requests=fields.count("completed"),
        failed=fields.count("failed"),
        date=_date(fields),
        notes=(*notes, *([said] if said else [])),
    )


def _burstiness(fields: Fields) -> float | None:
    """The tool's `burstiness` is the shape of gamma gaps: their squared coefficient of variation is its inverse."""
    shape = fields.maybe("burstiness")
    return None if not shape else 1.0 / shape


def _of_requests(fields: Fields, columns: RequestColumns, tool: str) -> BenchmarkRun:
    table, failed_start_s = columns.table(fields)
    if table.start_s is None:
        return with_requests(_of_summary(fields, tool), table)
    users, rate = _load(fields)
    run = run_of_requests(
        table,
        tool=tool,
        place=fields.place,
        concurrency=users,
        open_loop=rate is not None,
        failed_start_s=failed_start_s,
        setup=_set_up(fields),
        stated=Stated(
            rate_per_s=rate,
            burstiness=_burstiness(fields) if rate is not None else None,
            served_per_s=fields.maybe("request_throughput"),
            duration_s=fields.maybe("duration"),
            output_tokens=fields.maybe("total_output_tokens"),
        ),
        date=_date(fields),
    )
    return replace(run, capacity_only=True) if users is None and rate is None else run
