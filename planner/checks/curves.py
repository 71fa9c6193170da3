"""What must hold from one load to the next: with more users nothing gets faster, and no throughput is lost."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

from models.load_groups import by_lengths
from models.measurement import Measurement
from planner.checks.finding import Finding, Severity, Subject, seconds

SLACK = 0.05
"""Repeated runs of one load differ by about this much."""
COLD = 0.30
"""TTFT that falls by more than this with more users was measured cold."""


def findings(subject: Subject) -> Iterator[Finding]:
    """Falls between neighbouring loads of the same lengths."""
    found: dict[str, list[Finding]] = defaultdict(list)
    for finding in _every(subject):
        found[finding.code].append(finding)
    for first, *others in found.values():
        yield first if not others else replace(first, where=f"{first.where} (and {len(others)} more)")


def _every(subject: Subject) -> Iterator[Finding]:
    place = {id(point): index for index, point in enumerate(subject.measurements)}
    for group in by_lengths(subject.measurements):
        for closed in (True, False):
            curve = sorted((point for point in group if (point.concurrency is not None) is closed), key=_load)
            for before, after in itertools.pairwise(curve):
                if _load(after) > _load(before):
                    yield from _falls(subject.where(place[id(after)]), before, after)


def _load(point: Measurement) -> float:
    return (point.concurrency if point.concurrency is not None else point.arrival_rate_per_s) or 0.0


def _falls(where: str, before: Measurement, after: Measurement) -> Iterator[Finding]:
    first, second = before.rate_per_s, after.rate_per_s
    if before.concurrency is not None and first and second and second < first * (1.0 - SLACK):
        yield Finding(
            severity=Severity.WARNING,
            code="throughput-falls",
            where=where,
            what=f"{second:.4g} requests/s, less than the {first:.4g} of {before}",
            meaning="preemption, a saturated client or another tenant: the engine's step time does not explain it",
            remedy="look for preemptions in the engine's log; measure this load again",
        )
    first, second = before.tpot_s, after.tpot_s
    if first and second and second < first * (1.0 - SLACK):
        yield Finding(
            severity=Severity.WARNING,
            code="tpot-falls",
            where=where,
            what=f"TPOT {seconds(second)}, less than the {seconds(first)} of {before}",
            meaning="a fuller step cannot be quicker: the lighter run was disturbed or cold, and its latency misleads",
            remedy=f"measure {before} again, warm",
        )
    first, second = before.ttft_s, after.ttft_s
    if first and second and second < first * (1.0 - COLD):
        yield Finding(
            severity=Severity.NOTE,
            code="ttft-falls",
            where=where,
            what=f"TTFT {seconds(second)}, less than the {seconds(first)} of {before}",
            meaning="the lighter run has warm-up or too few requests in it; the fit gives TTFT little weight",
            remedy=f"measure {before} again after a warm-up",
        )
