"""What single requests say: each latency as DESIGN defines it, and the load that was really offered."""

from __future__ import annotations

import numpy as np

from models.measurement import LatencySummary, Measurement
from planner.importers.benchmark_run import Array, RequestTable

CHUNKED_BELOW = 0.1
"""A median gap below this share of TPOT is the gap inside a chunk, not the engine's step."""
ITL_LEFT_OUT = "percentiles of ITL left out"
"""How notes of it begin."""
TOKENS_PER_CHUNK = 1.1
"""With more tokens to a chunk than this, gaps between chunks are no gaps between tokens."""
GROWTH = 0.05
"""Seconds that waits may grow in a second of a steady load: r/c − 1 for arrivals at r and a capacity of c."""


def summary(values: Array) -> LatencySummary | None:
    """Mean and percentiles (linear interpolation); None of nothing."""
    if values.size == 0:
        return None
    p50, p90, p95, p99 = (float(each) for each in np.percentile(values, (50, 90, 95, 99)))
    return LatencySummary(mean_s=float(values.mean()), p50_s=p50, p90_s=p90, p95_s=p95, p99_s=p99)


def variation(values: Array) -> float | None:
    """Coefficient of variation; None of nothing."""
    return float(values.std() / values.mean()) if values.size and values.mean() > 0.0 else None


def sent_rate_per_s(sent_s: Array) -> float | None:
    """Requests sent per second, from the first to the last."""
    span = float(np.ptp(sent_s)) if sent_s.size > 1 else 0.0
    return (sent_s.size - 1) / span if span > 0.0 else None


def burstiness(sent_s: Array) -> float | None:
    """Squared coefficient of variation of the gaps between sends; None of fewer than ten gaps."""
    gaps = np.diff(np.sort(sent_s))
    if gaps.size < 10 or not gaps.mean() > 0.0:
        return None
    return float(gaps.var() / gaps.mean() ** 2)


def users_of_closed_loop(sent_s: Array, e2e_s: Array) -> int | None:
    """Users, where nearly every send finds all the others busy; None where the loop looks open or is too short."""
    order = np.argsort(sent_s)
    sent, ends = sent_s[order], np.sort(sent_s + e2e_s)
    running = np.arange(1, sent.size + 1) - np.searchsorted(ends, sent, side="right")
    users = int(running.max())
    steady = running[users:]
    if steady.size < 2 * users or np.mean(steady >= users - max(1, users // 10)) < 0.9:
        return None
    return users


def waits_grow(sent_s: Array, wait_s: Array) -> bool:
    """Whether waits grow all through the run: more was sent than served. Compares the first third with the last."""
    if sent_s.size < 30:
        return False
    order = np.argsort(sent_s)
    third = sent_s.size // 3
    first, last = order[:third], order[-third:]
    elapsed = float(np.median(sent_s[last]) - np.median(sent_s[first]))
    growth = float(np.median(wait_s[last]) - np.median(wait_s[first]))
    return elapsed > 0.0 and growth > GROWTH * elapsed


def itl(gaps_s: Array, tpot: LatencySummary, tokens: float, decode_s: float) -> tuple[LatencySummary, tuple[str, ...]]:
    """Gaps between tokens: the mean from all tokens after the first, percentiles where a chunk is a token."""
    mean = decode_s / tokens
    if gaps_s.size == 0:
        return LatencySummary(mean_s=mean), ()
    per_chunk = tokens / gaps_s.size
    median = float(np.median(gaps_s))
    if median < CHUNKED_BELOW * (tpot.typical_s or mean) or per_chunk > TOKENS_PER_CHUNK:
        left_out = f"{ITL_LEFT_OUT}: tokens came in chunks ({per_chunk:.2f} a chunk, median gap {median:.2g} s)"
        return LatencySummary(mean_s=mean), (left_out,)
    p50, p90, p95, p99 = (float(each) for each in np.percentile(gaps_s, (50, 90, 95, 99)))
    return LatencySummary(mean_s=mean, p50_s=p50, p90_s=p90, p95_s=p95, p99_s=p99), ()


def measurement(
    table: RequestTable, *, concurrency: float | None, arrival_rate_per_s: float | None = None
) -> tuple[Measurement, tuple[str, ...]]:
    """The point that the requests make, and what was left out of it."""
    tpot = gap_law = ttft = None
    notes: tuple[str, ...] = ()
    if table.ttft_s is not None:
        ttft = summary(table.ttft_s)
    if table.ttft_s is not None and table.e2e_s is not None:
        steps = table.output_tokens - 1.0
        long = steps > 0.0
        decode = table.e2e_s - table.ttft_s
        if long.any() and decode[long].sum() > 0.0:
            tpot = summary(decode[long] / steps[long])
            assert tpot is not None
            gaps = table.gaps_s if table.gaps_s is not None else np.empty(0)
            gap_law, notes = itl(gaps, tpot, float(steps[long].sum()), float(decode[long].sum()))
    span = None
    if table.start_s is not None and table.e2e_s is not None:
        span = float((table.start_s + table.e2e_s).max() - table.start_s.min())
    point = Measurement(
        input_tokens=float(table.input_tokens.mean()),
        output_tokens=float(table.output_tokens.mean()),
        input_tokens_cv=variation(table.input_tokens),
        output_tokens_cv=variation(table.output_tokens),
        concurrency=concurrency,
        arrival_rate_per_s=arrival_rate_per_s,
        requests_per_s=table.output_tokens.size / span if span else None,
        output_tokens_per_s=float(table.output_tokens.sum()) / span if span else None,
        ttft=ttft,
        tpot=tpot,
        itl=gap_law,
        e2e=None if table.e2e_s is None else summary(table.e2e_s),
    )
    return point, notes
