"""Every check of a profile, in the order in which a reader should see them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from planner.checks import arithmetic, curves, physics, trust
from planner.checks.finding import Finding, Severity, Subject

_ORDER = tuple(Severity)


def check(subject: Subject, today: date) -> tuple[Finding, ...]:
    """All findings, contradictions first; none for a profile that is consistent, plausible, sourced and recent."""
    found = [
        *arithmetic.findings(subject),
        *physics.findings(subject),
        *curves.findings(subject),
        *trust.findings(subject, today),
    ]
    return tuple(sorted(found, key=lambda finding: _ORDER.index(finding.severity)))


def is_fit(findings: Sequence[Finding]) -> bool:
    """Whether the figures can all be true; warnings and notes leave a profile usable."""
    return all(finding.severity is not Severity.CONTRADICTION for finding in findings)
