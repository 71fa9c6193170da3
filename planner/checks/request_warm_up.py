"""Whether a run is of a warm engine in a steady state: what its first requests, its slowest and its last third say.

Requests in the order in which they were sent. What matters is how much the means that a fit reads would change.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from planner.checks.finding import Finding, Severity, seconds
from planner.importers.benchmark_run import BenchmarkRun, RequestTable

Array = NDArray[np.float64]

LEAST = 30
"""Fewer requests tell nothing about their order."""
MOVED = 0.05
"""A mean that the first requests move by more than this is not of the steady state."""
FIRST_SHARE = 0.02
"""Of an open load the first are this share of the requests; of a closed one, one for each user."""
COLD = 1.5
"""First requests whose tokens take this many times as long were served by a cold engine."""
STALLED = 10.0
"""A request this many times slower than the 95th percentile stalled."""
DRIFT = 0.10
"""TPOT of the last third this far from that of the middle third was of another engine."""
GROWING = 1.5
"""Median TTFT that grows by this factor from third to third is a queue that grows."""


def findings(where: str, run: BenchmarkRun) -> Iterator[Finding]:
    """Of one run with a table of its requests and their starts."""
    table = run.table
    if table is None or table.start_s is None or len(table.start_s) < LEAST or run.capacity_only:
        return
    order = np.argsort(table.start_s, kind="stable")
    yield from _cold(where, run, table, order)
    yield from _first(where, run, table, order)
    yield from _stalled(where, table)
    yield from _drift(where, run, table, order)


def _tpot(table: RequestTable) -> Array | None:
    if table.ttft_s is None or table.e2e_s is None:
        return None
    steps = table.output_tokens - 1.0
    known = np.divide(table.e2e_s - table.ttft_s, steps, out=np.full(len(steps), np.nan), where=steps > 0.0)
    return known if np.isfinite(known).any() else None


def _first_count(run: BenchmarkRun, requests: int) -> int:
    users = run.measurement.concurrency
    return min(requests // 2, max(1, round(FIRST_SHARE * requests if users is None else users)))


def _cold(where: str, run: BenchmarkRun, table: RequestTable, order: NDArray[np.intp]) -> Iterator[Finding]:
    tpot = _tpot(table)
    if tpot is None:
        return
    count = _first_count(run, len(order))
    first, rest = float(np.nanmedian(tpot[order[:count]])), float(np.nanmedian(tpot[order[count:]]))
    if first > COLD * rest:
        yield Finding(
            severity=Severity.WARNING,
            code="cold-engine",
            where=where,
            what=f"the first {count:,} requests take {seconds(first)} a token, the others {seconds(rest)}",
            meaning="the engine still compiled or captured graphs: its figures are worse than when it is warm",
            remedy="send a warm-up of at least as many requests before measuring",
        )


def _first(where: str, run: BenchmarkRun, table: RequestTable, order: NDArray[np.intp]) -> Iterator[Finding]:
    if table.ttft_s is None:
        return
    count = _first_count(run, len(order))
    mean, without = float(np.mean(table.ttft_s)), float(np.mean(table.ttft_s[order[count:]]))
    if mean > (1.0 + MOVED) * without:
        who = "all users at once" if run.measurement.concurrency is not None else "an engine that was empty or cold"
        yield Finding(
            severity=Severity.NOTE,
            code="warm-up-in-means",
            where=where,
            what=(
                f"mean TTFT is {seconds(mean)} with the first {count:,} requests ({who}) and "
                f"{seconds(without)} without them"
            ),
            meaning=f"the mean says {mean / without - 1.0:.0%} more than the steady state; its median is safer",
            remedy="measure 20 requests for each user and more, or leave a warm-up out of the figures",
        )


def _stalled(where: str, table: RequestTable) -> Iterator[Finding]:
    if table.e2e_s is None or len(table.e2e_s) < 3 * LEAST:
        return
    # By token, so that long answers are no stalls.
    pace = table.e2e_s / np.maximum(table.output_tokens, 1.0)
    limit = STALLED * float(np.quantile(pace, 0.95))
    stalled = int(np.sum(pace > limit))
    if stalled:
        worst = int(np.argmax(pace))
        yield Finding(
            severity=Severity.WARNING,
            code="stalled-requests",
            where=where,
            what=(
                f"{stalled:,} of {len(pace):,} requests are more than {STALLED:g} times slower than the slowest "
                f"twentieth; one took {seconds(float(table.e2e_s[worst]))}"
            ),
            meaning="a stall (network, preemption, another tenant) carries mean and p99, and is not the engine's pace",
            remedy="look in the engine's log for that moment; measure again",
        )


def _drift(where: str, run: BenchmarkRun, table: RequestTable, order: NDArray[np.intp]) -> Iterator[Finding]:
    count = _first_count(run, len(order))
    thirds = np.array_split(order[count:], 3)
    if run.measurement.concurrency is None and table.ttft_s is not None:
        waits = [float(np.median(table.ttft_s[third])) for third in thirds]
        if waits[1] > GROWING * waits[0] and waits[2] > GROWING * waits[1]:
            yield Finding(
                severity=Severity.WARNING,
                code="queue-grows",
                where=where,
                what=f"median TTFT of the thirds of the run: {', '.join(map(seconds, waits))}",
                meaning="the load is beyond capacity: latencies say how long the run lasted and nothing of the engine",
                remedy="use it for the capacity alone (capacityOnly: true), or measure a lower rate",
            )
            return
    tpot = _tpot(table)
    if tpot is None or run.measurement.concurrency is None:
        return
    middle, last = (float(np.nanmedian(tpot[third])) for third in thirds[1:])
    if abs(last / middle - 1.0) > DRIFT:
        yield Finding(
            severity=Severity.WARNING,
            code="drift",
            where=where,
            what=f"a token takes {seconds(middle)} in the middle of the run and {seconds(last)} in its last third",
            meaning="something else changed meanwhile (clocks of a hot GPU, another tenant): the mean is of neither",
            remedy="measure again on a quiet machine, for longer",
        )
