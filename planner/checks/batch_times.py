"""Whether the times of a dynamic batcher's profile can be true: of batches by their size, or of slots that are held."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from models.errors import InvalidInput
from planner.checks.finding import Finding, Severity
from planner.profile import EngineProfile
from planner.units import format_seconds

LEAST_S, QUICK_S, LONG_S = 1e-6, 2e-5, 60.0
"""A kernel is not launched and waited for in less; few batches take less; a batch that lasts longer is rare."""
UNEVEN, ABSURD = 1.0, 10.0
"""Coefficients of variation that are unusual, and that are no share any more."""
FALLING, RISING = 0.98, 1.05
LONG_DELAY_S = 1.0


def findings(profile: EngineProfile) -> Iterator[Finding]:
    """Contradictions and doubts of the times and limits."""
    usable = True
    try:
        if profile.to_slots() is None:
            profile.to_batcher()
    except InvalidInput as error:
        yield Finding(
            severity=Severity.CONTRADICTION,
            code="no-batcher",
            where="limits, serviceTime, holdTime",
            what=str(error).removeprefix(f"profile {profile.name}: "),
            meaning="nothing can be planned with it",
            remedy=error.remedy,
        )
        usable = False
    yield from _each(profile)
    if usable:
        yield from _curve(profile)
    yield from _delay(profile)


def _times(profile: EngineProfile) -> list[tuple[str, float, float]]:
    spec = profile.spec
    batches = [(f"serviceTime of batch {each.batch}", each.mean, each.cv) for each in spec.service_time]
    return [*batches, *((f"holdTime with {each.held} held", each.mean, each.cv) for each in spec.hold_time)]


def _each(profile: EngineProfile) -> Iterator[Finding]:
    for where, mean, cv in _times(profile):
        if mean < QUICK_S:
            yield Finding(
                severity=Severity.CONTRADICTION if mean < LEAST_S else Severity.WARNING,
                code="time-too-short",
                where=where,
                what=f"{mean:g} s, less than it takes to start a kernel and wait for it",
                meaning="far too few replicas are planned",
                remedy="give seconds: was it measured in milliseconds or microseconds?",
            )
        if mean > LONG_S and where.startswith("serviceTime"):
            yield Finding(
                severity=Severity.WARNING,
                code="time-too-long",
                where=where,
                what=f"a batch of {mean:g} s",
                meaning="far too many replicas are planned, if the unit is wrong",
                remedy="give seconds: was it measured in milliseconds?",
            )
        if cv > UNEVEN:
            yield Finding(
                severity=Severity.CONTRADICTION if cv > ABSURD else Severity.WARNING,
                code="cv-not-a-share",
                where=where,
                what=f"a coefficient of variation of {cv:g}: times that deviate by {cv:.0%} of their mean",
                meaning="waits grow with its square: far too many replicas are planned, if it is in per cent",
                remedy=f"give deviation over mean: 2 % is 0.02, not {cv:g}",
            )


def _curve(profile: EngineProfile) -> Iterator[Finding]:
    for low, high in pairwise(profile.spec.service_time):
        if high.mean < FALLING * low.mean:
            yield Finding(
                severity=Severity.WARNING,
                code="time-falls",
                where=f"serviceTime of batch {high.batch}",
                what=f"a batch of {high.batch} takes {format_seconds(high.mean)}, one of {low.batch} "
                f"{format_seconds(low.mean)}",
                meaning="more work in less time: one of them was measured cold or disturbed, or they are mixed up",
                remedy="measure both again, warm",
            )
        elif high.mean / high.batch > RISING * low.mean / low.batch:
            yield Finding(
                severity=Severity.WARNING,
                code="batching-does-not-pay",
                where=f"serviceTime of batch {high.batch}",
                what=f"a request takes {format_seconds(high.mean / high.batch)} of a batch of {high.batch}, "
                f"{format_seconds(low.mean / low.batch)} of one of {low.batch}",
                meaning="larger batches lower throughput",
                remedy=f"set max_batch_size to {low.batch}, or measure again",
            )


def _delay(profile: EngineProfile) -> Iterator[Finding]:
    delay = profile.spec.limits.max_queue_delay
    if delay >= LONG_DELAY_S:
        yield Finding(
            severity=Severity.WARNING,
            code="long-queue-delay",
            where="limits.maxQueueDelay",
            what=f"requests are held back for up to {format_seconds(delay)}",
            meaning="at low load every answer takes so much longer",
            remedy="give seconds: max_queue_delay_microseconds 5000 is 0.005",
        )
