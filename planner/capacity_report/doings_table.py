"""What the controller did in the period, as its decision logs tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.capacity_report.document import Column, Kind, Table, rows_of
from planner.capacity_report.sources.decisions import Doings

_COLUMNS = (
    Column(key="service", title="Service"),
    Column(key="decisions", title="Decisions", kind=Kind.COUNT, summed=True, meaning="that changed something notable"),
    Column(key="raised", title="Raised", kind=Kind.COUNT, summed=True, meaning="writes that raised the number"),
    Column(key="lowered", title="Lowered", kind=Kind.COUNT, summed=True, meaning="writes that lowered it"),
    Column(key="refused", title="Refused", kind=Kind.COUNT, summed=True, meaning="writes that were not made"),
    Column(key="advised", title="Only advised", kind=Kind.COUNT, summed=True, meaning="moves in Advise mode"),
    Column(key="reasons", title="Most frequent reasons"),
)


def doings_table(doings: Mapping[str, Doings]) -> Table:
    """One row a service whose history is a decision log."""
    rows: list[dict[str, Any]] = [
        {
            "service": name,
            "decisions": each.decisions,
            "raised": each.raised,
            "lowered": each.lowered,
            "refused": each.refused,
            "advised": each.advised,
            "reasons": ", ".join(f"{code} ({count})" for code, count in each.reasons.most_common(5)),
        }
        for name, each in sorted(doings.items())
    ]
    return Table(name="decisions", title="The controller's decisions", columns=_COLUMNS, rows=rows_of(_COLUMNS, rows))
