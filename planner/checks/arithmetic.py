"""Laws that the numbers of one measurement must keep among themselves, whatever the engine or the GPU.

Little's law (Little 1961): users = rate × time in system. Markov's inequality: mean ≥ (1 − q) · quantile(q).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from models.measurement import LatencySummary, Measurement
from planner.checks.finding import Finding, Severity, Subject, seconds

CLOSE = 0.03
"""Rounding and warm-up explain a relative difference up to here."""
APART = 0.10
"""No rounding explains a relative difference from here."""
_QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
_METRICS = ("ttft", "tpot", "itl", "e2e", "queue")


def findings(subject: Subject) -> Iterator[Finding]:
    """Everything that the measurements say against themselves, one measurement at a time."""
    for index, point in enumerate(subject.measurements):
        where = subject.where(index)
        yield from _littles_law(where, point)
        yield from _tokens(where, point)
        yield from _composition(where, point)
        for metric in _METRICS:
            summary = getattr(point, metric)
            if summary is not None:
                yield from _ascending(where, metric, summary)
                yield from _mean_in_range(where, metric, summary)


def _littles_law(where: str, point: Measurement) -> Iterator[Finding]:
    """Users of a closed loop = requests per second × mean e2e."""
    rate = point.measured_requests_per_s
    if point.concurrency is None or rate is None or point.e2e is None:
        return
    cycle = point.concurrency / rate
    sum_of = (
        f"{point.concurrency:g} users at {_rate_in_words(point)} are {rate:.4g} requests/s, "
        f"so by Little's law a request takes {point.concurrency:g} / {rate:.4g} = {seconds(cycle)} in the mean"
    )
    mean = point.e2e.mean_s
    if mean is not None:
        gap = abs(mean / cycle - 1.0)
        if gap > CLOSE and not (gap <= 2 * APART and mean < cycle):
            yield _little(where, f"{sum_of}; the profile says e2e mean {seconds(mean)}", gap > APART)
        elif gap > CLOSE:
            yield Finding(
                severity=Severity.NOTE,
                code="idle-users",
                where=where,
                what=f"{sum_of}; the profile says e2e mean {seconds(mean)}",
                meaning="the users were not always waiting for an answer: warm-up, ramp-down or a slow client",
                remedy="nothing, or measure longer",
            )
        return
    for name, value in reversed([*point.e2e.items()]):
        quantile = _QUANTILES[name]
        # If the share `quantile` takes at most `value`, the rest must make up the mean on its own.
        rest = (cycle - quantile * value) / (1.0 - quantile)
        if rest > 10.0 * cycle:
            figures = " and ".join(f"{stat} {seconds(figure)}" for stat, figure in point.e2e.items())
            slowest = f"{1.0 - quantile:.0%} of the requests would have to take {seconds(rest)} each"
            what = f"{sum_of}; the profile says e2e {figures}, for which the slowest {slowest}"
            yield _little(where, what, certain=True)
            return


def _rate_in_words(point: Measurement) -> str:
    if point.requests_per_s is not None:
        return f"{point.requests_per_s:g} requests/s"
    return f"{point.output_tokens_per_s:,g} output tokens/s of {point.output_tokens:g} tokens a request"


def _little(where: str, what: str, certain: bool) -> Finding:
    return Finding(
        severity=Severity.CONTRADICTION if certain else Severity.WARNING,
        code="littles-law",
        where=where,
        what=what,
        meaning=(
            "that latency cannot be the end-to-end latency of these requests: it may be of another load, of one token "
            "or of one batch; plans use the throughput and never this e2e"
        ),
        remedy="measure e2e in the same run as the throughput, or drop it from the profile",
    )


def _tokens(where: str, point: Measurement) -> Iterator[Finding]:
    """Output tokens per second = requests per second × output tokens."""
    if point.requests_per_s is None or point.output_tokens_per_s is None:
        return
    expected = point.requests_per_s * point.output_tokens
    gap = abs(point.output_tokens_per_s / expected - 1.0)
    if gap <= CLOSE:
        return
    yield Finding(
        severity=Severity.CONTRADICTION if gap > APART else Severity.WARNING,
        code="token-rate",
        where=where,
        what=(
            f"{point.requests_per_s:g} requests/s × {point.output_tokens:g} output tokens = {expected:,.4g} tokens/s; "
            f"the profile says {point.output_tokens_per_s:,g}"
        ),
        meaning="the outputs were of another length than stated, or prompt tokens were counted too",
        remedy="state the mean output length that the engine really generated (its own count, not the client's)",
    )


def _composition(where: str, point: Measurement) -> Iterator[Finding]:
    """Mean e2e = mean TTFT + decode steps × mean TPOT (exact where lengths are fixed)."""
    parts = (point.e2e, point.ttft, point.tpot)
    if any(part is None or part.mean_s is None for part in parts):
        return
    e2e, ttft, tpot = (float(part.mean_s or 0.0) for part in parts if part is not None)
    expected = ttft + point.decode_steps * tpot
    gap = e2e / expected - 1.0
    if abs(gap) <= 2 * APART:
        return
    yield Finding(
        severity=Severity.CONTRADICTION if gap < 0.0 else Severity.WARNING,
        code="e2e-parts",
        where=where,
        what=(
            f"TTFT {seconds(ttft)} + {point.decode_steps:g} × TPOT {seconds(tpot)} = {seconds(expected)}; "
            f"the profile says e2e mean {seconds(e2e)}"
        ),
        meaning="one of the three is of other requests, or TPOT counts the first token or chunks of several tokens",
        remedy="check what the benchmark tool divides by; give TPOT as (e2e − TTFT) / (output tokens − 1)",
    )


def _ascending(where: str, metric: str, summary: LatencySummary) -> Iterator[Finding]:
    known = [(name, value) for name, value in summary.items() if name != "mean"]
    for (low, first), (high, second) in itertools.pairwise(known):
        if second < first * (1.0 - 1e-9):
            yield Finding(
                severity=Severity.CONTRADICTION,
                code="percentile-order",
                where=where,
                what=f"{metric} {low} {seconds(first)} is above {metric} {high} {seconds(second)}",
                meaning="percentiles ascend by definition: columns were swapped or mixed from two runs",
                remedy="correct the columns",
            )


def _mean_in_range(where: str, metric: str, summary: LatencySummary) -> Iterator[Finding]:
    """Markov: a share 1 − q lies at or above the quantile, so the mean is at least (1 − q) times it."""
    mean = summary.mean_s
    if mean is None:
        return
    for name, value in summary.items():
        if name != "mean" and mean < (1.0 - _QUANTILES[name]) * value * (1.0 - 1e-9):
            yield Finding(
                severity=Severity.CONTRADICTION,
                code="mean-too-low",
                where=where,
                what=f"{metric} mean {seconds(mean)} cannot be, with {name} at {seconds(value)}",
                meaning="the mean and the percentiles are of different runs or in different units",
                remedy="check the units (s, ms, µs) of each column",
            )
    if summary.p99_s is not None and mean > summary.p99_s:
        yield Finding(
            severity=Severity.WARNING,
            code="mean-above-p99",
            where=where,
            what=f"{metric} mean {seconds(mean)} is above its p99 {seconds(summary.p99_s)}",
            meaning="a few very slow requests (a cold start, a stall) carry the mean, or the columns differ in unit",
            remedy="warm the engine up before measuring; check the units",
        )
