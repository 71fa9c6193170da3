"""Whether the times of single requests can be of one clock: none negative, parts within the whole, sums that agree."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from planner.checks.finding import Finding, Severity, seconds
from planner.importers.benchmark_run import BenchmarkRun, RequestTable

SUMS_APART = 0.05
"""Gaps between tokens and the time from first to last token differ by less where one clock made both."""
LONGER = 0.05
"""Requests span the run: from the first sent to the last answered is its duration."""
_CHUNKED = 0.05
"""Share of gaps missing from which several tokens arrive at once."""


def findings(where: str, run: BenchmarkRun) -> Iterator[Finding]:
    """Of one run with a table of its requests."""
    if run.table is None:
        return
    yield from _impossible(where, run.table)
    yield from _span(where, run, run.table)
    yield from _gaps(where, run.table)


def _impossible(where: str, table: RequestTable) -> Iterator[Finding]:
    counts = {}
    if table.ttft_s is not None:
        counts["a TTFT of nothing or less"] = int(np.sum(table.ttft_s <= 0.0))
    if table.e2e_s is not None:
        counts["an e2e of nothing or less"] = int(np.sum(table.e2e_s <= 0.0))
    if table.ttft_s is not None and table.e2e_s is not None:
        counts["a first token after the last"] = int(np.sum(table.ttft_s > table.e2e_s * (1.0 + 1e-6) + 1e-6))
    if table.gaps_s is not None:
        counts["(gaps between tokens) negative"] = int(np.sum(table.gaps_s < 0.0))
    wrong = [f"{count:,} with {what}" for what, count in counts.items() if count]
    if wrong:
        yield Finding(
            severity=Severity.CONTRADICTION,
            code="clock-runs-backwards",
            where=where,
            what=f"of {len(table.input_tokens):,} requests {', '.join(wrong)}",
            meaning="start and end are of different clocks, or a clock was set during the run: no latency here counts",
            remedy="measure with a client whose clock is monotonic, on one machine, and measure again",
        )


def _span(where: str, run: BenchmarkRun, table: RequestTable) -> Iterator[Finding]:
    """From the first sent to the last answered, against the duration that the tool states."""
    stated = run.stated.duration_s or run.duration_s
    if table.start_s is None or table.e2e_s is None or stated is None or len(table.start_s) < 2:
        return
    span = float(np.max(table.start_s + table.e2e_s) - np.min(table.start_s))
    ratio = span / stated
    failed = run.failed or 0
    # Requests that failed may have been the first or the last, and are not in the table.
    if ratio > 1.0 + LONGER or (ratio < 1.0 - 2.0 * LONGER and failed == 0):
        yield Finding(
            severity=Severity.CONTRADICTION if ratio > 1.0 + LONGER else Severity.WARNING,
            code="duration",
            where=where,
            what=f"its requests span {seconds(span)}, and the run is said to have lasted {seconds(stated)}",
            meaning="rates are counts over the duration: one of the two is wrong by that much",
            remedy="take the rate from the requests themselves, or measure again",
        )


def _gaps(where: str, table: RequestTable) -> Iterator[Finding]:
    """Gaps between tokens: as many as tokens after the first, and together as long as from first to last token."""
    if table.gaps_s is None or table.ttft_s is None or table.e2e_s is None or len(table.gaps_s) == 0:
        return
    tokens = float(np.sum(np.maximum(table.output_tokens - 1.0, 0.0)))
    streaming = float(np.sum(table.e2e_s - table.ttft_s))
    total = float(np.sum(table.gaps_s))
    if streaming > 0.0 and abs(total / streaming - 1.0) > SUMS_APART:
        yield Finding(
            severity=Severity.WARNING,
            code="gaps-and-e2e",
            where=where,
            what=(
                f"gaps between tokens add up to {seconds(total)}, from first to last token the requests take "
                f"{seconds(streaming)}"
            ),
            meaning="ITL and TPOT of this run are of different clocks or requests: one of them misleads",
            remedy="trust (e2e − TTFT) / (output tokens − 1)",
        )
    elif len(table.gaps_s) > (1.0 + _CHUNKED) * max(tokens, 1.0):
        yield Finding(
            severity=Severity.CONTRADICTION,
            code="more-gaps-than-tokens",
            where=where,
            what=f"{len(table.gaps_s):,} gaps between tokens and {tokens:,.0f} tokens after the first",
            meaning="output lengths are not those of the answers: TPOT and throughput in tokens are off by as much",
            remedy="take the engine's own count of output tokens",
        )
    elif tokens > 0.0 and len(table.gaps_s) < (1.0 - _CHUNKED) * tokens:
        per = tokens / len(table.gaps_s)
        yield Finding(
            severity=Severity.NOTE,
            code="tokens-in-chunks",
            where=where,
            what=f"{len(table.gaps_s):,} gaps for {tokens:,.0f} tokens: {per:.2g} tokens arrive at once",
            meaning="ITL is of chunks, not tokens, and its percentiles are not an engine's; TPOT is right",
            remedy="set objectives on TPOT, or have the engine stream every token",
        )
