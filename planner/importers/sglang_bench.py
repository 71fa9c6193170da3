"""SGLang's bench_serving: an object of JSON for each run, appended; every request with `--output-details`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from models.errors import InvalidInput
from models.measurement import Measurement
from planner.importers.appended_results import results
from planner.importers.benchmark_run import BenchmarkRun, SetUp
from planner.importers.fields import Fields, naming
from planner.importers.importer import FileStart
from planner.importers.latency_summary import latency, without_chunks
from planner.importers.offered_load import AT_ONCE, FULL, falls_behind, is_endless
from planner.importers.request_columns import RequestColumns
from planner.importers.request_run import with_lengths, with_requests

_STATISTICS = {"mean": "mean_{}", "p50": "median_{}", "p90": "p90_{}", "p95": "p95_{}", "p99": "p99_{}"}
_FIGURES = frozenset(
    [
        *("completed", "request_rate", "max_concurrency", "duration", "output_throughput", "model"),
        *("total_input_tokens", "total_output_tokens", "concurrency"),
    ]
)
_SUMMARY = _FIGURES | frozenset(
    name.format(metric)
    for name in _STATISTICS.values()
    for metric in ("ttft_ms", "tpot_ms", "itl_ms", "e2e_latency_ms")
)


class SglangBench:
    """Reads each object as a run."""

    tool = "sglang bench_serving"

    def recognises(self, start: FileStart) -> bool:
        """Its name for e2e latency, and its token counts after tokenising again."""
        return start.has_keys("mean_e2e_latency_ms", "total_output_tokens_retokenized")

    def runs(self, path: Path) -> Iterator[BenchmarkRun]:
        """A run for each result in the file."""
        for fields, columns in results(path, _SUMMARY):
            with naming(fields.place):
                run = _of_summary(fields, self.tool)
                yield _with_requests(run, fields, columns)


def _with_requests(run: BenchmarkRun, fields: Fields, columns: RequestColumns) -> BenchmarkRun:
    """The run with what its single requests say, where they were saved and streamed."""
    if columns.have_latencies:
        table, _ = columns.table(fields)
        if table.output_tokens.size:
            return with_requests(run, table)
    return with_lengths(run, columns.lengths())


def _of_summary(fields: Fields, tool: str) -> BenchmarkRun:
    completed = fields.number("completed")
    if completed < 1:
        raise InvalidInput(f"{fields.where('completed')}: no request succeeded", remedy="look at the server's log")
    asked = fields.values.get("request_rate")
    rate = None if is_endless(asked) or asked is None else fields.number("request_rate")
    users, running = fields.maybe("max_concurrency"), fields.maybe("concurrency")
    if rate is not None and users is not None and running is not None and running >= FULL * users:
        rate = None  # the limit of requests in flight sends, not the rate
    users = None if rate is not None else users
    notes: tuple[str, ...] = ()
    at_once = rate is None and users is None
    if at_once:
        users = completed
        notes = (AT_ONCE,)

    def law(metric: str) -> dict[str, str | tuple[str, ...]]:
        return {statistic: name.format(metric) for statistic, name in _STATISTICS.items()}

    tpot, e2e = latency(fields, law("tpot_ms"), 1e-3), latency(fields, law("e2e_latency_ms"), 1e-3)
    ttft = latency(fields, law("ttft_ms"), 1e-3)
    gaps = latency(fields, law("itl_ms"), 1e-3)
    itl, said = without_chunks(gaps, tpot, zero_median=fields.maybe("median_itl_ms") == 0.0)
    output = fields.number("total_output_tokens") / completed
    duration = fields.number("duration")
    served = completed / duration if duration > 0.0 else None
    return BenchmarkRun(
        measurement=Measurement(
            input_tokens=fields.number("total_input_tokens") / completed,
            output_tokens=output,
            concurrency=users,
            arrival_rate_per_s=rate,
            requests_per_s=served,
            output_tokens_per_s=fields.maybe("output_throughput"),
            ttft=ttft,
            tpot=tpot,
            itl=itl,
            e2e=e2e,
        ),
        tool=tool,
        place=fields.place,
        setup=SetUp(model=fields.words("model")),
        burstiness=1.0 if rate is not None else None,
        capacity_only=at_once or falls_behind(rate, served),
        duration_s=duration,
        requests=int(completed),
        notes=(*notes, *([said] if said else [])),
    )
