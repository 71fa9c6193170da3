"""Whether a profile can be relied on: how its step time meets its points, how many there are, whose, how old."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from statistics import median

from models.load_groups import distinct_loads
from models.mean_step import MeanStep
from planner.checks.finding import Finding, Provenance, Severity, Subject

MEDIAN_ERROR, ONE_ERROR = 0.10, 0.30
"""Relative errors of TPOT over all points, and at one, that a plan's margins do not cover."""
FEW_LOADS = 4
STALE_DAYS = 365


def findings(subject: Subject, today: date) -> Iterator[Finding]:
    """How far to trust the profile on a given day."""
    yield from _residuals(subject)
    yield from _few_points(subject)
    yield from origin(subject.provenance, today)


def _residuals(subject: Subject) -> Iterator[Finding]:
    """The step time at what the mean step of each measured point carried, at its measured rate (`models.mean_step`)."""
    if subject.step_time is None:
        return
    errors: list[tuple[float, int]] = []
    for index, point in enumerate(subject.measurements):
        gap, rate = point.tpot_s, point.rate_per_s
        if gap is not None and rate is not None:
            predicted = MeanStep.at(rate, gap, point, subject.limits).seconds(subject.step_time)
            errors.append((predicted / gap - 1.0, index))
    if not errors:
        return
    middle = median(abs(error) for error, _ in errors)
    worst, index = max(errors, key=lambda entry: abs(entry[0]))
    if middle > MEDIAN_ERROR:
        yield Finding(
            severity=Severity.WARNING,
            code="step-time-misses-points",
            where="stepTime",
            what=f"stepTime misses the profile's own TPOT by {middle:.0%} in the median",
            meaning="plans inherit that error: the terms are of another engine, GPU or unit than the measurements",
            remedy="fit the step time to these measurements, or correct the limits",
        )
    if abs(worst) > ONE_ERROR:
        yield Finding(
            severity=Severity.WARNING,
            code="step-time-misses-point",
            where=subject.where(index),
            what=f"stepTime gives a TPOT {abs(worst):.0%} {'above' if worst > 0 else 'below'} what was measured here",
            meaning="this load behaves unlike the others: disturbed, or bounded by a limit that the profile lacks",
            remedy="check maxNumSeqs and kvCacheTokens against the engine's log, or measure this load again",
        )


def _few_points(subject: Subject) -> Iterator[Finding]:
    loads = distinct_loads([point for point in subject.measurements if point.tpot_s is not None])
    if loads and len(loads) < FEW_LOADS:
        yield Finding(
            severity=Severity.WARNING,
            code="few-points",
            where="measurements",
            what=f"{len(loads)} load{'s' if len(loads) > 1 else ''} measured; four tell the terms of a step apart",
            meaning="between the measured loads plans rest on data sheets and assumptions, not on measurements",
            remedy=f"measure {_users(subject.limits.max_num_seqs)} users, and one load with prompts four times as long",
        )


def _users(most: int) -> str:
    """Four loads of a closed loop that such an engine can run."""
    counts = [count for count in (1, 8, 32, 128) if count <= most]
    if len(counts) < 4:
        counts = sorted({max(1, round(most * share)) for share in (0.0, 0.25, 0.5, 1.0)})
    return f"{', '.join(map(str, counts[:-1]))} and {counts[-1]}" if len(counts) > 1 else str(counts[0])


def origin(provenance: Sequence[Provenance], today: date) -> Iterator[Finding]:
    """Who measured a profile, and when."""
    if not provenance or any(not entry.source for entry in provenance):
        yield Finding(
            severity=Severity.WARNING,
            code="no-provenance",
            where="provenance",
            what="the profile does not say who measured it",
            meaning="nobody can tell whether its set-up is yours",
            remedy="add provenance with source and date",
        )
        return
    dates = [entry.measured for entry in provenance if entry.measured is not None]
    if not dates:
        yield Finding(
            severity=Severity.NOTE,
            code="undated",
            where="provenance",
            what="the profile does not say when it was measured",
            meaning="engines gain speed from release to release; an old profile buys too many GPUs",
            remedy="add the date of the measurement",
        )
    elif (today - max(dates)).days > STALE_DAYS:
        yield Finding(
            severity=Severity.NOTE,
            code="stale",
            where="provenance",
            what=f"measured on {max(dates)}, {(today - max(dates)).days} days ago",
            meaning="engines gain speed from release to release; an old profile buys too many GPUs",
            remedy="measure again with the version that you run",
        )
    elif max(dates) > today:
        yield Finding(
            severity=Severity.WARNING,
            code="date-in-future",
            where="provenance",
            what=f"measured on {max(dates)}, which is after today ({today})",
            meaning="the date is wrong, so the profile's age cannot be told",
            remedy="correct the date",
        )
