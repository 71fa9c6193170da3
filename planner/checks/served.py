"""Whether the requests of a measurement were served: refused ones, a rate that was not reached, too few to tell.

Of an open load at rate λ, `n` requests arrive within n/λ and the last is answered an e2e later, so that completions per
second over the whole run are n / (n/λ + e2e) at most; what is far below was not served as it arrived.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from models.measurement import Measurement
from planner.checks.finding import Counted, Finding, Severity, Subject

FEW_FAILED, MANY_FAILED = 0.005, 0.05
"""Shares of refused requests that are worth a warning, and that make latencies those of another load."""
BEHIND = 0.05
"""A rate this far below the one asked for was not reached, beyond what chance and the last answers explain."""
FEW_REQUESTS = 30
TAIL_REQUESTS = 100
"""With fewer, p99 is the slowest request or nearly so."""


def findings(subject: Subject) -> Iterator[Finding]:
    """Of every measurement whose requests were counted."""
    counted = subject.counted or (Counted(),) * len(subject.measurements)
    measured = [
        (subject.where(index), point, count)
        for index, (point, count) in enumerate(zip(subject.measurements, counted, strict=True))
    ]
    for where, point, count in measured:
        yield from point_findings(where, point, count)
    yield from thin_tails(measured)


def point_findings(where: str, point: Measurement, count: Counted) -> Iterator[Finding]:
    """Of one measurement."""
    yield from _failed(where, count)
    if not count.capacity_only:
        yield from _behind(where, point, count)
        yield from _few(where, point, count)


def _failed(where: str, count: Counted) -> Iterator[Finding]:
    if not count.failed:
        return
    total = count.failed + (count.requests or 0)
    share = count.failed / total
    if share <= FEW_FAILED and count.requests:
        return
    many = share > MANY_FAILED
    yield Finding(
        severity=Severity.CONTRADICTION if count.requests == 0 else Severity.WARNING,
        code="failed-requests",
        where=where,
        what=f"{count.failed:,} of {total:,} requests failed ({share:.1%})",
        meaning=(
            "the engine served a lighter load than stated and the slowest requests may be those that are missing: "
            "latencies here are too good, and plans on them too small"
            if many
            else "requests that were refused have no latency: the tail may be longer than measured"
        ),
        remedy="see why they failed (the engine's log, the client's timeout), lower the load and measure again",
    )


def _behind(where: str, point: Measurement, count: Counted) -> Iterator[Finding]:
    asked, served = point.arrival_rate_per_s, point.measured_requests_per_s
    if asked is None or served is None:
        return
    reachable, slack = asked, 2.0 * BEHIND
    if count.requests:
        lasting = count.requests / asked
        reachable = count.requests / (lasting + _last_answer_s(point))
        slack = BEHIND + 2.0 / math.sqrt(count.requests)
    if served >= reachable * (1.0 - slack):
        return
    yield Finding(
        severity=Severity.WARNING,
        code="rate-not-reached",
        where=where,
        what=f"{asked:.4g} requests/s were asked for and {served:.4g} were answered",
        meaning=(
            "either the load is beyond capacity, so that its latencies say how long the run lasted and nothing of "
            "the engine, or the client could not send that fast and the load was lighter than stated"
        ),
        remedy="use it for the capacity alone (capacityOnly: true), or measure a lower rate from a faster client",
    )


def _last_answer_s(point: Measurement) -> float:
    if point.e2e is not None and point.e2e.typical_s is not None:
        return point.e2e.typical_s
    return (point.ttft_s or 0.0) + point.decode_steps * (point.tpot_s or 0.0)


def _few(where: str, point: Measurement, count: Counted) -> Iterator[Finding]:
    if not count.requests:
        return
    users = point.concurrency or 0.0
    if count.requests < max(FEW_REQUESTS, 3.0 * users):
        rounds = f", {count.requests / users:.1f} for each user" if users > 1.0 else ""
        yield Finding(
            severity=Severity.WARNING,
            code="few-requests",
            where=where,
            what=f"{count.requests:,} requests{rounds}",
            meaning="most of them came while the engine filled or emptied: its steady state is hardly in the figures",
            remedy="measure 20 requests for each user, and 100 at least (`planner profile sweep` sizes runs)",
        )


def thin_tails(measured: Iterable[tuple[str, Measurement, Counted]]) -> Iterator[Finding]:
    """One finding for all measurements whose p99 rests on too few requests."""
    thin = [
        (count.requests, where)
        for where, point, count in measured
        if count.requests and count.requests < TAIL_REQUESTS and not count.capacity_only and _has_p99(point)
    ]
    if thin:
        fewest, where = min(thin)
        others = f" (and {len(thin) - 1} more)" if len(thin) > 1 else ""
        yield Finding(
            severity=Severity.NOTE,
            code="few-requests-for-p99",
            where=f"{where}{others}",
            what=f"p99 of {fewest:,} requests is the slowest of them, or nearly so",
            meaning="that percentile is chance; plans use the fitted step time, not it",
            remedy="measure 1,000 requests where p99 matters",
        )


def _has_p99(point: Measurement) -> bool:
    # ITL is by tokens, of which there are many in a few requests.
    return any(law is not None and law.p99_s is not None for law in (point.ttft, point.e2e, point.queue, point.tpot))
