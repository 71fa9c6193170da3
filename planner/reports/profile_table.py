"""Profiles and findings about them as a person reads them."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence

from models.mean_step import steady_point
from models.measurement import Measurement
from planner.checks.finding import Finding, Severity
from planner.profile import EngineProfile, Limits
from planner.reports.table import Paint, plain
from planner.units import format_seconds, format_share

_WIDTH = 112
_STYLES = {Severity.CONTRADICTION: "bad", Severity.WARNING: "warn", Severity.NOTE: ""}


def list_table(profiles: Sequence[EngineProfile]) -> str:
    """One line a profile: name, GPUs, engine and version, points, error."""
    rows = [["profile", "GPUs", "engine", "points", "error"]]
    for profile in profiles:
        spec = profile.spec
        origin = spec.provenance[0] if spec.provenance else None
        error = origin.cross_validated_error if origin else None
        rows.append(
            [
                profile.name,
                f"{spec.gpu.per_replica} × {spec.gpu.type}",
                f"{spec.engine} {spec.engine_version or ''}".rstrip(),
                str(len(spec.measurements)),
                "—" if error is None else format_share(error),
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += ["", "error: median relative error of TPOT at loads left out of the fit; — where too few were measured"]
    return "\n".join(lines) + "\n"


def show_table(profile: EngineProfile) -> str:
    """Set-up, limits, step time, provenance, and each measured point beside the step time's prediction."""
    spec = profile.spec
    gpu, limits = spec.gpu, spec.limits
    kv = "ample" if limits.kv_cache_tokens is None else f"{limits.kv_cache_tokens:,} tokens"
    memory = f"KV memory {kv}, chunked prefill {'on' if limits.chunked_prefill else 'off'}"
    lines = [
        profile.name,
        f"  engine   {spec.engine} {spec.engine_version or '(version not stated)'}",
        f"  model    {spec.model}, quantization {spec.quantization}",
        f"  replica  {gpu.per_replica} × {gpu.type}, tensor parallel {gpu.tensor_parallel}",
        f"  limits   {limits.max_num_seqs:,} sequences, {limits.max_num_batched_tokens:,} tokens a step, {memory}"
        if spec.engine != "triton"
        else f"  limits   {_batching(limits)}",
    ]
    if spec.service_time:
        times = (f"{entry.batch}: {format_seconds(entry.mean)}" for entry in spec.service_time)
        lines.append("  batches  " + ", ".join(times))
    if spec.hold_time:
        times = (f"{entry.held}: {format_seconds(entry.mean)}" for entry in spec.hold_time)
        lines.append("  slots    held for, by the number held: " + ", ".join(times))
    if spec.step_time is not None:
        terms = spec.step_time.model_dump(by_alias=True, exclude_defaults=True)
        lines.append("  step     " + ", ".join(f"{name} {value:g}" for name, value in terms.items()) + " (seconds)")
    for entry in spec.provenance:
        facts = [entry.source or "no source", entry.date or "no date", entry.licence or "no licence stated"]
        lines.append("  source   " + "; ".join(facts))
        for note in entry.notes:
            lines += _wrapped(note, "           - ", "             ")
    return "\n".join([*lines, *_point_lines(profile)]) + "\n"


def _batching(limits: Limits) -> str:
    size = (
        "batches (size not stated)" if limits.max_batch_size is None else f"batches of up to {limits.max_batch_size:,}"
    )
    delay = f"queue delay {format_seconds(limits.max_queue_delay)}" if limits.max_queue_delay else "no queue delay"
    strategy = "" if limits.slot_strategy is None else f", slots: {limits.slot_strategy.value}"
    return f"{size}, {limits.instances} instance{'' if limits.instances == 1 else 's'}, {delay}{strategy}"


def _point_lines(profile: EngineProfile) -> list[str]:
    if not profile.measurements or profile.spec.engine == "triton":
        return []
    engine = profile.to_engine()
    lines = ["", f"  {'measured at':<36}{'TTFT':>10}{'TPOT':>10}{'fitted':>10}{'error':>8}"]
    for point in profile.measurements:
        fitted = steady_point(engine.step_time, point, engine.limits).tpot_s
        gap = point.tpot_s
        error = "—" if gap is None else f"{100.0 * (fitted / gap - 1.0):+.0f} %"
        lines.append(
            f"  {point!s:<36}{format_seconds(point.ttft_s):>10}{format_seconds(gap):>10}"
            f"{format_seconds(fitted):>10}{error:>8}{_by_little(point)}"
        )
    return lines


def _by_little(point: Measurement) -> str:
    return "" if point.tpot or point.itl or point.tpot_s is None else "  TPOT from throughput and TTFT"


def check_table(name: str, findings: Sequence[Finding], paint: Paint = plain) -> str:
    """What was found, what it means and what to do, contradictions first."""
    if not findings:
        return f"{name}: {paint('nothing found', 'good')}\n"
    counts = Counter(finding.severity for finding in findings)
    summary = ", ".join(
        f"{counts[severity]} {severity}{'' if counts[severity] == 1 else 's'}"
        for severity in Severity
        if counts[severity]
    )
    lines = [f"{name}: {summary}"]
    for finding in findings:
        lines += ["", f"{paint(finding.severity, _STYLES[finding.severity])} {finding.code}: {finding.where}"]
        for label, text in (("", finding.what), ("Means: ", finding.meaning), ("Do: ", finding.remedy)):
            lines += _wrapped(label + text, "  ", "  ")
    return "\n".join(lines) + "\n"


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
