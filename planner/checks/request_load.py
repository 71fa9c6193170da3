"""Whether the load was the one that was asked for: sent as fast, as irregularly, by as many users, for as long answers.

In a closed loop the time-average of requests in flight is Σ e2e / duration (Little 1961, with no assumption at all),
and cannot exceed the users. In an open one the starts themselves tell rate and squared coefficient of variation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from planner.checks.finding import Finding, Severity
from planner.importers.benchmark_run import BenchmarkRun, RequestTable

LATE = 0.05
"""A client that sends this much slower than asked, beyond chance, was saturated."""
MORE_THAN_USERS, IDLE = 0.05, 0.15
"""Requests in flight above the users, and users that wait for no answer, as shares of the users."""
LEAST_GAPS = 100
SCV_APART = 0.4
SHORTER = 0.05
"""Answers this much shorter than asked, in the mean, were ended by the model."""


def findings(where: str, run: BenchmarkRun) -> Iterator[Finding]:
    """Of one run."""
    yield from _counts(where, run)
    yield from _lengths(where, run)
    if run.table is None or run.table.start_s is None or len(run.table.start_s) < 2:
        return
    if run.measurement.concurrency is None:
        yield from _sent(where, run, run.table.start_s)
    else:
        yield from _in_flight(where, run, run.table)


def _counts(where: str, run: BenchmarkRun) -> Iterator[Finding]:
    """Requests = rate × duration; tokens = requests × length."""
    point = run.measurement
    rate = run.stated.served_per_s or point.requests_per_s
    duration = run.stated.duration_s or run.duration_s
    if rate is None or not run.requests or duration is None:
        return
    expected = rate * duration
    gap = abs(expected / run.requests - 1.0)
    if gap > 0.03 and abs(expected - run.requests) > 1.0:
        yield Finding(
            severity=Severity.CONTRADICTION if gap > 0.10 else Severity.WARNING,
            code="requests-and-duration",
            where=where,
            what=(
                f"{rate:.4g} requests/s for {duration:.4g} s are {expected:,.0f} requests; "
                f"{run.requests:,} were answered"
            ),
            meaning=f"the throughput of {point} is of another time or other requests than its latencies",
            remedy="take the rate from the count and the duration, or measure again",
        )
    tokens = run.stated.output_tokens
    if tokens is not None and abs(tokens / (point.output_tokens * run.requests) - 1.0) > SHORTER and not run.failed:
        yield Finding(
            severity=Severity.CONTRADICTION,
            code="tokens-and-lengths",
            where=where,
            what=(
                f"{tokens:,.0f} output tokens are said to have come, and {run.requests:,} requests of "
                f"{point.output_tokens:.4g} in the mean are {point.output_tokens * run.requests:,.0f}"
            ),
            meaning="one of the counts is of another tokeniser or another run, and TPOT is off by it",
            remedy="take the engine's own count of tokens, or measure again",
        )


def _lengths(where: str, run: BenchmarkRun) -> Iterator[Finding]:
    asked, got = run.requested_output_tokens, run.measurement.output_tokens
    if asked is None:
        yield from _cut_short(where, run.table)
        return
    gap = got / asked - 1.0
    if abs(gap) <= SHORTER:
        return
    yield Finding(
        severity=Severity.WARNING,
        code="output-length",
        where=where,
        what=f"{asked:g} output tokens were asked for and {got:.4g} came in the mean",
        meaning=(
            "the model ended its answers: the load was lighter than planned, and short answers leave early, so that "
            "throughput in requests is higher than for the length asked"
            if gap < 0.0
            else "the client counts tokens of its own, or the engine does not keep to the length: TPOT is off by it"
        ),
        remedy="ask for exact lengths (ignore_eos, min_tokens) and take the engine's own count of tokens",
    )


def _cut_short(where: str, table: RequestTable | None) -> Iterator[Finding]:
    """Without knowing what was asked: many answers of the very same greatest length, and others below it."""
    if table is None or len(table.output_tokens) < LEAST_GAPS:
        return
    longest = float(np.max(table.output_tokens))
    full = float(np.mean(table.output_tokens == longest))
    mean = float(np.mean(table.output_tokens))
    if 0.2 <= full < 1.0 and mean < (1.0 - SHORTER) * longest:
        yield Finding(
            severity=Severity.NOTE,
            code="answers-ended-early",
            where=where,
            what=f"{full:.0%} of the answers have {longest:g} tokens, the limit, and the mean is {mean:.4g}",
            meaning="lengths vary although one was asked for: the profile states the mean, plans need the variation",
            remedy="measure with ignore_eos, or plan with --output-cv",
        )


def _sent(where: str, run: BenchmarkRun, start_s: np.ndarray) -> Iterator[Finding]:
    asked = run.stated.rate_per_s or run.measurement.arrival_rate_per_s
    assert asked is not None
    shape = run.burstiness if run.stated.burstiness is None else run.stated.burstiness
    gaps = np.diff(np.sort(start_s))
    mean = float(np.mean(gaps))
    if mean <= 0.0:
        return
    scv = float(np.var(gaps)) / mean**2
    # The rate of n gaps is known within √(scv / n); of requests that failed none is in the table.
    slack = LATE + 2.0 * math.sqrt(max(scv, shape or 0.0) / len(gaps))
    sent = (1.0 / mean) * (1.0 + (run.failed or 0) / len(start_s))
    if abs(sent / asked - 1.0) > slack:
        late = sent < asked
        yield Finding(
            severity=Severity.WARNING,
            code="client-saturated" if late else "sent-faster",
            where=where,
            what=f"{asked:.4g} requests/s were asked for and {sent:.4g} were sent",
            meaning=(
                "the client did not keep up: the engine was loaded less than stated, and looks quicker than it is"
                if late
                else "the engine was loaded more than stated, and looks slower than it is"
            ),
            remedy="run the client on more cores or several of it; state the rate that was sent",
        )
    if shape is not None and len(gaps) >= LEAST_GAPS and abs(scv - shape) > _scv_slack(shape, gaps):
        yield Finding(
            severity=Severity.WARNING,
            code="arrivals-not-as-stated",
            where=where,
            what=(
                f"gaps between requests have a squared coefficient of variation of {scv:.2f}; "
                f"{shape:.2f} was stated (Poisson: 1, evenly spaced: 0)"
            ),
            meaning="waiting grows with that variation: the latencies are of another stream than stated",
            remedy=f"give burstiness: {scv:.2f} for this measurement, or measure with Poisson arrivals",
        )


def _scv_slack(shape: float, gaps: np.ndarray) -> float:
    """Beyond `SCV_APART`, three standard errors of the estimate: √(8/n) for exponential gaps, by the delta method."""
    return SCV_APART * max(1.0, shape) + 3.0 * shape * math.sqrt(8.0 / len(gaps))


def _in_flight(where: str, run: BenchmarkRun, table: RequestTable) -> Iterator[Finding]:
    users = run.measurement.concurrency
    if table.e2e_s is None or table.start_s is None or users is None or run.failed:
        return
    end = table.start_s + table.e2e_s
    span = float(np.max(end) - np.min(table.start_s))
    if span <= 0.0:
        return
    inside = float(np.sum(table.e2e_s)) / span
    if inside > (1.0 + MORE_THAN_USERS) * users:
        yield Finding(
            severity=Severity.CONTRADICTION,
            code="more-in-flight-than-users",
            where=where,
            what=f"{inside:.4g} requests are in flight in the mean (Σ e2e / duration), and {users:g} users were stated",
            meaning="the load is not the one stated, or e2e contains waiting in the client",
            remedy="state the concurrency that was really used",
        )
        return
    # Users that have no more requests to send leave at the end: one e2e each, half of it in the mean.
    ending = 0.5 * users * float(np.mean(table.e2e_s)) / span
    if inside < (1.0 - IDLE) * users - ending:
        yield Finding(
            severity=Severity.WARNING,
            code="client-saturated",
            where=where,
            what=f"{inside:.4g} requests are in flight in the mean (Σ e2e / duration) of {users:g} users",
            meaning="users waited for the client: the engine was loaded less than stated, and looks quicker than it is",
            remedy="run the client on more cores, nearer to the engine, or state the concurrency that was reached",
        )
