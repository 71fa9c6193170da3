"""A run from a table of requests: its load, whether it was past saturation, and its statistics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.errors import InvalidInput
from planner.importers.benchmark_run import Array, BenchmarkRun, RequestTable, SetUp, Stated
from planner.importers.fields import naming
from planner.importers.request_statistics import (
    ITL_LEFT_OUT,
    burstiness,
    measurement,
    sent_rate_per_s,
    users_of_closed_loop,
    variation,
    waits_grow,
)


def run_of_requests(
    table: RequestTable,
    *,
    tool: str,
    place: str,
    concurrency: float | None = None,
    open_loop: bool = False,
    failed_start_s: Array | None = None,
    setup: SetUp | None = None,
    stated: Stated | None = None,
    date: str | None = None,
    notes: tuple[str, ...] = (),
) -> BenchmarkRun:
    """The run. Needs start and e2e of every request; a load that the tool did not say is read off the sends."""
    start, e2e = table.start_s, table.e2e_s
    assert start is not None
    assert e2e is not None
    if start.size == 0:
        raise InvalidInput(f"{place}: no request succeeded", remedy="look at the benchmark's errors, and run it again")
    _require_first_tokens_within(table, place)
    failed = np.empty(0) if failed_start_s is None else failed_start_s
    sent = np.concatenate([start, failed])
    found: tuple[str, ...] = ()
    if concurrency is None and not open_loop:
        concurrency = users_of_closed_loop(start, e2e)
        if concurrency is not None:
            found = (f"{concurrency} users: read off the requests, for the file does not say",)
    rate = None if concurrency is not None else sent_rate_per_s(sent)
    if concurrency is None and (rate is None or sent.size < 10):
        raise InvalidInput(
            f"{place}: {sent.size} requests do not show the load they were sent at",
            remedy="keep the tool's summary beside this file, or send at least 10 requests",
        )
    wait = table.ttft_s if table.ttft_s is not None else e2e
    with naming(place):
        point, left_out = measurement(table, concurrency=concurrency, arrival_rate_per_s=rate)
    return BenchmarkRun(
        measurement=point,
        tool=tool,
        place=place,
        setup=setup or SetUp(),
        stated=stated or Stated(),
        burstiness=None if concurrency is not None else burstiness(sent),
        capacity_only=concurrency is None and waits_grow(start, wait),
        duration_s=float((start + e2e).max() - sent.min()),
        requests=int(start.size),
        failed=int(failed.size),
        date=date,
        notes=(*notes, *left_out, *found),
        table=table,
    )


def with_requests(run: BenchmarkRun, table: RequestTable) -> BenchmarkRun:
    """A summary's run with lengths and latencies of its single requests, whose starts were not kept."""
    _require_first_tokens_within(table, run.place)
    said = run.measurement
    with naming(run.place):
        point, left_out = measurement(table, concurrency=said.concurrency, arrival_rate_per_s=said.arrival_rate_per_s)
        point = replace(point, requests_per_s=said.requests_per_s, output_tokens_per_s=said.output_tokens_per_s)
    notes = tuple(note for note in run.notes if not note.startswith(ITL_LEFT_OUT))
    return replace(
        run, measurement=point, requests=int(table.output_tokens.size), notes=(*notes, *left_out), table=table
    )


def with_lengths(run: BenchmarkRun, lengths: tuple[Array, Array] | None) -> BenchmarkRun:
    """A summary's run with how much prompts and answers of its single requests vary, where these are known."""
    if lengths is None:
        return run
    prompt, output = lengths
    point = replace(run.measurement, input_tokens_cv=variation(prompt), output_tokens_cv=variation(output))
    return replace(run, measurement=point)


def _require_first_tokens_within(table: RequestTable, place: str) -> None:
    """Refuse requests whose first token came after their end: one of the clocks, or of the columns, is wrong."""
    if table.ttft_s is None or table.e2e_s is None:
        return
    late = np.flatnonzero(table.ttft_s > table.e2e_s * (1.0 + 1e-9))
    if late.size:
        first = int(late[0])
        raise InvalidInput(
            f"{place}: {late.size} of {table.e2e_s.size} requests have a first token after their end, such as a TTFT "
            f"of {table.ttft_s[first]:.4g} s in an e2e of {table.e2e_s[first]:.4g} s",
            remedy="measure again; clocks may have jumped",
        )
