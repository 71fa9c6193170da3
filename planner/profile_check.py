"""Every check of a profile, in the order in which a reader should see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from models.measurement import Measurement
from planner.checks import arithmetic, batch_times, curves, first_token, memory, physics, served, trust
from planner.checks.finding import Counted, Finding, Provenance, Severity, Subject
from planner.hardware import find_gpu, find_model, precision_of
from planner.profile import EngineProfile, MeasuredPoint

_ORDER = tuple(Severity)


def check(subject: Subject, today: date) -> tuple[Finding, ...]:
    """All findings, contradictions first; none for a profile that is consistent, plausible, sourced and recent."""
    found = [*figures(subject), *trust.findings(subject, today)]
    return tuple(sorted(found, key=lambda finding: _ORDER.index(finding.severity)))


def check_profile(profile: EngineProfile, today: date) -> tuple[Finding, ...]:
    """The same of a profile of any engine."""
    if profile.spec.engine != "triton":
        return check(subject_of(profile), today)
    found = [*batch_times.findings(profile), *trust.origin(_provenance(profile), today)]
    return tuple(sorted(found, key=lambda finding: _ORDER.index(finding.severity)))


def doubtful(profile: EngineProfile) -> tuple[Finding, ...]:
    """The findings about a profile's figures themselves."""
    return tuple(batch_times.findings(profile)) if profile.spec.engine == "triton" else figures(subject_of(profile))


def figures(subject: Subject) -> tuple[Finding, ...]:
    """The findings about the figures themselves, whoever measured them and when."""
    return (
        *arithmetic.findings(subject),
        *served.findings(subject),
        *memory.findings(subject),
        *physics.findings(subject),
        *curves.findings(subject),
        *first_token.findings(subject),
    )


def subject_of(profile: EngineProfile) -> Subject:
    """A profile of a continuous-batching engine as the checks see it. Raises InvalidInput for other engines."""
    spec = profile.spec
    engine = profile.to_engine()
    return Subject(
        measurements=tuple(_measurement(point) for point in spec.measurements),
        limits=engine.limits,
        step_time=engine.step_time,
        overhead_s=engine.overhead_s,
        gpu=find_gpu(spec.gpu.type),
        gpus=spec.gpu.per_replica,
        tensor_parallel=spec.gpu.tensor_parallel,
        shape=find_model(spec.model),
        precision=precision_of(spec.quantization),
        counted=tuple(
            Counted(requests=point.requests, failed=point.failed, capacity_only=point.capacity_only)
            for point in spec.measurements
        ),
        provenance=_provenance(profile),
    )


def _provenance(profile: EngineProfile) -> tuple[Provenance, ...]:
    return tuple(Provenance(source=entry.source, measured=_day(entry.date)) for entry in profile.spec.provenance)


def _measurement(point: MeasuredPoint) -> Measurement:
    """A point; of one past saturation the latencies say nothing but how long the run lasted."""
    measurement = point.to_measurement()
    return replace(measurement, ttft=None, tpot=None, itl=None, e2e=None) if point.capacity_only else measurement


def _day(text: str | None) -> date | None:
    """The day of a provenance entry; None where it is not written as YYYY-MM-DD."""
    try:
        return None if text is None else date.fromisoformat(text[:10])
    except ValueError:
        return None


def is_fit(findings: Sequence[Finding]) -> bool:
    """Whether the figures can all be true; warnings and notes leave a profile usable."""
    return all(finding.severity is not Severity.CONTRADICTION for finding in findings)
