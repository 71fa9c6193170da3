"""What a reader in a hurry takes away, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from planner.capacity_report.document import CapacityReport, Kind, Table, number
from planner.capacity_report.shown import shown, shown_with_unit
from planner.capacity_report.spending import spending


def span(report: CapacityReport) -> str:
    """The period in days of its time zone, and how much of it is over."""
    zone = ZoneInfo(report.time_zone)
    first = datetime.fromisoformat(report.start).astimezone(zone).date()
    last = (datetime.fromisoformat(report.end) - timedelta(seconds=1)).astimezone(zone).date()
    hours = f"{report.hours:,.0f} hours"
    if report.covered_hours < report.hours:
        hours = f"so far {report.covered_hours:,.0f} of {hours}"
    return f"{first} to {last}, {report.time_zone}, {hours}"


def lede(report: CapacityReport) -> str:
    """Cost, how much of it was idle and mostly why."""
    ledger = report.table("ledger")
    gpu_h = ledger.total("allocated_gpu_h")
    if gpu_h is None:
        return "What was allocated is not known."
    hours = f"{shown(gpu_h, Kind.GPU_HOURS)} GPU-hours"
    cost = ledger.total("allocated_cost")
    if cost is None:
        paid = f"{hours}, of which no price is known"
    elif unpriced := unpriced_gpu_h(report):
        known = shown(gpu_h - unpriced, Kind.GPU_HOURS)
        paid = f"{_money(cost, report)} for those {known} of {hours} whose price is known"
    else:
        paid = f"{_money(cost, report)} for {hours}"
    idle = [row for row in spending(report).rows if str(row["part"]).startswith("idle")]
    shares = [number(row["share"]) for row in idle]
    if not sum(shares):
        return f"{paid}."
    most = idle[shares.index(max(shares))]
    return f"{paid}. {sum(shares):.0%} was idle; the greatest cause is {str(most['part'])[6:]}, {max(shares):.0%}."


def unpriced_gpu_h(report: CapacityReport) -> float:
    """Allocated GPU-hours that are in no cost."""
    return sum(number(row["allocated_gpu_h"]) for row in report.table("ledger").rows if row["allocated_cost"] is None)


def days_told(days: Table) -> str:
    """Of the days: how many were short, how many lack data."""
    short = [row for row in days.rows if number(row["shortfall_gpu_h"]) > 0.0]
    blind = [row for row in days.rows if number(row["unknown_service_h"]) > 0.0]
    told = f"Less than needed was there on {len(short)} of {_many(len(days.rows), 'day')}"
    return f"{told}; on {_many(len(blind), 'day')} some service lacks data." if blind else f"{told}."


def trust(report: CapacityReport) -> tuple[dict[str, Any], ...]:
    """Whether the checks come to zero, and how much is not known: `good`, `text`, `table`."""
    checks, holes = report.table("checks").rows, report.table("holes").rows
    failed = [row for row in checks if row["difference"] != 0.0]
    told = f"{len(failed)} of {len(checks)} checks differ" if failed else f"all {len(checks)} checks come to 0"
    gaps = f"{_many(len(holes), 'thing')} not known" if holes else "nothing is missing"
    return (
        {"good": not failed, "text": told, "table": "checks"},
        {"good": not holes, "text": gaps, "table": "holes"},
    )


def glossary(tables: Sequence[Table]) -> tuple[tuple[str, str], ...]:
    """Each title of a column with its meaning, once; with the tables' titles where it means something else in each."""
    meanings: dict[str, dict[str, list[str]]] = {}
    for table in tables:
        for column in table.columns:
            if column.meaning:
                meanings.setdefault(column.title, {}).setdefault(column.meaning, []).append(table.title)
    found = [
        (title if len(told) == 1 else f"{title} ({', '.join(where)})", meaning)
        for title, told in meanings.items()
        for meaning, where in told.items()
    ]
    return tuple(sorted(found, key=lambda each: (each[0].lower(), each[1])))


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _money(value: float, report: CapacityReport) -> str:
    return shown_with_unit(value, Kind.MONEY, report.currency)
