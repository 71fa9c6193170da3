"""A sized fleet as a person reads it: one line a workload, and the sum."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from planner.fleet import FleetRow
from planner.reports.table import WIDTH, Paint, counted, plain, wrapped
from planner.units import format_share

_LONGEST_NAME = 40


def fleet_table(rows: Sequence[FleetRow], paint: Paint = plain, width: int = WIDTH) -> str:
    """One line a workload, or why it has no plan; cost where prices are known; then every warning once."""
    planned = [row for row in rows if row.feasible]
    priced = any(row.fields["cost"]["per_hour"] is not None for row in planned)
    names = max(len("workload"), *(len(_short(row.name)) for row in rows))
    cost = f"{'$ an hour':>12}" if priced else ""
    lines = [f"{'workload'.ljust(names)}  replicas        range     GPUs{cost}  utilisation  binding"]
    for row in rows:
        name = _short(row.name).ljust(names)
        lines.append(f"{name}  {_sized(row, priced)}" if row.feasible else f"{name}  {paint('no plan', 'bad')}")
    lines.append(f"{'all'.ljust(names)}  {_sum(planned, priced)}")
    for row in rows:
        if not row.feasible:
            told = f"{row.name}: {row.fields['reason']}; {row.fields['remedy']}"
            lines += ["", *wrapped(f"No plan for {told}", width)]
    return "\n".join([*lines, *_range(planned, width), *_warnings(planned, paint, width)]) + "\n"


def _range(rows: Sequence[FleetRow], width: int) -> list[str]:
    """What the range is, and why some workloads have none."""
    lines = []
    if any(row.fields["range"] for row in rows):
        lines += ["", *wrapped("Range: replicas if the profile's step time is as wrong as it may be.", width)]
    for note, names in _grouped((row.fields["range_note"], row.name) for row in rows if row.fields["range"] is None):
        lines += ["", *wrapped(f"No range for {_some(names)}: {note}.", width)]
    return lines


def _warnings(rows: Sequence[FleetRow], paint: Paint, width: int) -> list[str]:
    """Every warning once, with the workloads that it is about."""
    told = _grouped((warning, row.name) for row in rows for warning in row.fields["warnings"])
    if not told:
        return []
    lines = ["", paint("Warnings:", "warn")]
    for warning, names in told[:_MOST_WARNINGS]:
        lines += wrapped(f"{_some(names)}: {warning}", width, "  - ", "    ")
    if any(len(names) > 1 for _, names in told):
        lines += ["", *wrapped("Figures in a warning are those of the workload named first.", width)]
    if len(told) > _MOST_WARNINGS:
        lines += wrapped(f"and {len(told) - _MOST_WARNINGS:,} other warnings: see -o json", width, "  - ", "    ")
    return lines


def _grouped(told: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """Each text with the workloads it is about, that of the most first; texts that differ in a figure are one."""
    about: dict[str, tuple[str, list[str]]] = {}
    for text, name in told:
        about.setdefault(_FIGURE.sub("#", text), (text, []))[1].append(name)
    return sorted(about.values(), key=lambda each: -len(each[1]))


_FIGURE = re.compile(r"(?<![\w.-])\d[\d.,]*(?![\w-])")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(map(_short, names[:_MOST_NAMES])) + more


_MOST_WARNINGS, _MOST_NAMES = 12, 3


def _sized(row: FleetRow, priced: bool) -> str:
    fields = row.fields
    cost = _dollars(fields["cost"]["per_hour"]) if priced else ""
    counts = f"{fields['replicas']:8,}  {_between(fields['range']):>11}  {fields['gpus']:7,}"
    return f"{counts}{cost}  {format_share(fields['utilization']):>11}  {row.binding}"


def _between(between: Mapping[str, Any] | None) -> str:
    """`3–5`, `3–none` where no number would do, `—` where it is not known."""
    if between is None:
        return "—"
    low, high = between["low"], between["high"]
    return f"{low:,}–{'none' if high is None else format(high, ',')}"


def _sum(planned: Sequence[FleetRow], priced: bool) -> str:
    replicas, gpus = (sum(row.fields[unit] for row in planned) for unit in ("replicas", "gpus"))
    known = [row.fields["cost"]["per_hour"] for row in planned if row.fields["cost"]["per_hour"] is not None]
    cost = _dollars(sum(known)) if priced else ""
    unknown = len(planned) - len(known) if priced else 0
    note = f"  ({counted(unknown, 'workload')} without a price)" if unknown else ""
    return f"{replicas:8,}  {'':11}  {gpus:7,}{cost}{note}"


def _dollars(amount: float | None) -> str:
    return f"{'—' if amount is None else format(amount, ',.2f'):>12}"


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
