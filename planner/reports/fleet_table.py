"""A sized fleet as a person reads it: one line a workload, and the sum."""

from __future__ import annotations

from collections.abc import Sequence

from planner.fleet import FleetRow
from planner.reports.table import WIDTH, Paint, counted, plain, wrapped
from planner.units import format_share

_LONGEST_NAME = 40


def fleet_table(rows: Sequence[FleetRow], paint: Paint = plain, width: int = WIDTH) -> str:
    """Name, replicas, GPUs, utilisation, cost where prices are known and binding objective, or why there is no plan."""
    planned = [row for row in rows if row.feasible]
    priced = any(row.fields["cost"]["per_hour"] is not None for row in planned)
    names = max(len("workload"), *(len(_short(row.name)) for row in rows))
    cost = f"{'$ an hour':>12}" if priced else ""
    lines = [f"{'workload'.ljust(names)}  replicas     GPUs{cost}  utilisation  binding"]
    for row in rows:
        name = _short(row.name).ljust(names)
        lines.append(f"{name}  {_sized(row, priced)}" if row.feasible else f"{name}  {paint('no plan', 'bad')}")
    lines.append(f"{'all'.ljust(names)}  {_sum(planned, priced)}")
    for row in rows:
        if not row.feasible:
            told = f"{row.name}: {row.fields['reason']}; {row.fields['remedy']}"
            lines += ["", *wrapped(f"No plan for {told}", width)]
    return "\n".join([*lines, *_warnings(planned, paint, width)]) + "\n"


def _warnings(rows: Sequence[FleetRow], paint: Paint, width: int) -> list[str]:
    """Every warning once, with the workloads that it is about."""
    about: dict[str, list[str]] = {}
    for row in rows:
        for warning in row.fields["warnings"]:
            about.setdefault(warning, []).append(row.name)
    if not about:
        return []
    lines = ["", paint("Warnings:", "warn")]
    told = sorted(about.items(), key=lambda each: -len(each[1]))
    for warning, names in told[:_MOST_WARNINGS]:
        shown = ", ".join(map(_short, names[:_MOST_NAMES]))
        rest = f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
        lines += wrapped(f"{shown}{rest}: {warning}", width, "  - ", "    ")
    if len(told) > _MOST_WARNINGS:
        lines += wrapped(f"and {len(told) - _MOST_WARNINGS:,} other warnings: see -o json", width, "  - ", "    ")
    return lines


_MOST_WARNINGS, _MOST_NAMES = 12, 3


def _sized(row: FleetRow, priced: bool) -> str:
    fields = row.fields
    cost = _dollars(fields["cost"]["per_hour"]) if priced else ""
    return (
        f"{fields['replicas']:8,}  {fields['gpus']:7,}{cost}  {format_share(fields['utilization']):>11}  {row.binding}"
    )


def _sum(planned: Sequence[FleetRow], priced: bool) -> str:
    replicas, gpus = (sum(row.fields[unit] for row in planned) for unit in ("replicas", "gpus"))
    known = [row.fields["cost"]["per_hour"] for row in planned if row.fields["cost"]["per_hour"] is not None]
    cost = _dollars(sum(known)) if priced else ""
    unknown = len(planned) - len(known) if priced else 0
    note = f"  ({counted(unknown, 'workload')} without a price)" if unknown else ""
    return f"{replicas:8,}  {gpus:7,}{cost}{note}"


def _dollars(amount: float | None) -> str:
    return f"{'—' if amount is None else format(amount, ',.2f'):>12}"


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
