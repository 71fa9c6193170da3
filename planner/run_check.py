"""Every check of a benchmark's runs before they become a profile, in the order in which a reader should see them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from planner.checks import request_clocks, request_load, request_warm_up, served
from planner.checks.finding import Counted, Finding, Severity
from planner.importers.benchmark_run import BenchmarkRun

_ORDER = tuple(Severity)


def check_runs(runs: Iterable[BenchmarkRun]) -> tuple[Finding, ...]:
    """All findings about the runs, contradictions first, each with the place of its run."""
    every = tuple(runs)
    found = [finding for run in every for finding in _of_run(run)]
    found += served.thin_tails((_where(run), run.measurement, _counted(run)) for run in every)
    return tuple(sorted(found, key=lambda finding: _ORDER.index(finding.severity)))


def _of_run(run: BenchmarkRun) -> Iterator[Finding]:
    where = _where(run)
    yield from served.point_findings(where, run.measurement, _counted(run))
    yield from request_clocks.findings(where, run)
    yield from request_load.findings(where, run)
    yield from request_warm_up.findings(where, run)


def _where(run: BenchmarkRun) -> str:
    return f"{run.place} ({run.measurement})"


def _counted(run: BenchmarkRun) -> Counted:
    return Counted(requests=run.requests, failed=run.failed, capacity_only=run.capacity_only)
