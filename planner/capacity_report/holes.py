"""What the report does not know, by name: nothing of it is filled in."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.capacity_report.document import Column, Kind, Table, rows_of
from planner.capacity_report.ledger import iso
from planner.capacity_report.period import Period
from planner.capacity_report.price_list import PriceLine
from planner.capacity_report.service_record import ServiceRecord

_COLUMNS = (
    Column(key="subject", title="Of"),
    Column(key="what", title="What is not known"),
    Column(key="hours", title="Hours", kind=Kind.HOURS),
    Column(key="start", title="From"),
    Column(key="end", title="To"),
    Column(key="text", title="Meaning, and what to do"),
)


@dataclass(frozen=True, kw_only=True)
class Hole:
    """Something that is not known."""

    subject: str
    what: str
    text: str
    hours: float | None = None
    start: str | None = None
    end: str | None = None


def holes_of(record: ServiceRecord, period: Period, *, covered: int) -> list[Hole]:
    """Of one service: hours without demand, without replicas, without a need."""
    name, hours = record.accounted.name, period.slot_s / 3600.0
    use = record.use
    found = [
        *_gaps(name, "demand", np.isnan(record.rate_per_s), period, covered,
               "what replicas held in these hours is in 'unexplained'; their requests are in no sum"),
        *_gaps(name, "replicas", np.isnan(use.allocated), period, covered,
               "what they held and cost is in no sum"),
    ]  # fmt: skip
    if record.problem and record.history.requests[:covered].size:
        found.append(Hole(subject=name, what="need", text=f"{record.problem}; all above its work is in 'unexplained'"))
    if record.contradicted:
        found.append(
            Hole(
                subject=name,
                what="model contradicted",
                hours=record.contradicted * hours,
                text="the objectives were measured to hold with fewer replicas than the model asks for: what ran is "
                "taken as the need; the profile may be slower than the engine is (planner profile check)",
            )
        )
    if record.broken:
        found.append(
            Hole(
                subject=name,
                what="model contradicted",
                hours=record.broken * hours,
                text="objectives were measured to break with as many replicas as the model asks for: the need is "
                "higher and not known, all above the work is in 'unexplained' (planner profile check)",
            )
        )
    return found


def price_holes(lines: Iterable[PriceLine], used: Mapping[str, Collection[str]]) -> list[Hole]:
    """Once for each price that is not known, with those whose cost that leaves out: `used` names them by price key."""
    missing = {line.key: line for line in lines if line.list_price is None and line.key in used}
    return [
        Hole(
            subject=line.key,
            what="price",
            hours=(line.end_s - line.start_s) / 3600.0,
            start=iso(line.start_s),
            end=iso(line.end_s),
            text=f"{_remedied(line)}; without it the cost of {named(used[line.key])} is in no sum",
        )
        for line in missing.values()
    ]


def _remedied(line: PriceLine) -> str:
    return line.told if "clusters:" in line.told else f"{line.told}: give it in the file of --prices"


def named(services: Collection[str]) -> str:
    """Some of them, in words."""
    first, more = sorted(services)[:5], len(services) - 5
    return ", ".join(first) + (f" and {more} more" if more > 0 else "")


def _gaps(name: str, what: str, unknown: NDArray[np.bool_], period: Period, covered: int, text: str) -> list[Hole]:
    """One hole for all gaps of a kind, with the first and the last moment of them."""
    at = np.flatnonzero(unknown[:covered])
    if not len(at):
        return []
    stretches = 1 + int(np.count_nonzero(np.diff(at) > 1))
    gaps = "one gap" if stretches == 1 else f"{stretches} gaps"
    return [
        Hole(
            subject=name,
            what=what,
            hours=len(at) * period.slot_s / 3600.0,
            start=iso(period.edges_s[at[0]]),
            end=iso(period.edges_s[at[-1] + 1]),
            text=f"{gaps}; {text}",
        )
    ]


def holes_table(holes: Iterable[Hole]) -> Table:
    """All of them."""
    rows = [
        {"subject": each.subject, "what": each.what, "hours": each.hours, "start": each.start, "end": each.end,
         "text": each.text}
        for each in holes
    ]  # fmt: skip
    return Table(
        name="holes",
        title="What is not known",
        columns=_COLUMNS,
        rows=rows_of(_COLUMNS, rows),
        note="" if rows else "Nothing: every hour of every service has its demand, its replicas and its price.",
    )
