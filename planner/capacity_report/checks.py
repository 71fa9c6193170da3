"""Checks that must come to zero: the report against itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from planner.capacity_report.document import Column, Kind, Table, rows_of
from planner.capacity_report.measures import CAUSES

TOLERANCE = 1e-9
"""Relative: sums of the same numbers in another order."""
_COLUMNS = (
    Column(key="check", title="Check"),
    Column(key="left", title="Left", kind=Kind.NUMBER),
    Column(key="right", title="Right", kind=Kind.NUMBER),
    Column(key="difference", title="Difference", kind=Kind.NUMBER, meaning="0 where below 1e-9 of both sides"),
)


def checks_table(ledger: Sequence[Mapping[str, Any]], tables: Sequence[Table]) -> Table:
    """Idle causes against idle, parts against what was allocated, groupings and days against the ledger."""
    whole = {key: _total(ledger, key) for key in ("allocated_gpu_h", "allocated_cost", "idle_gpu_h", "idle_cost")}
    rows = [
        _check("idle causes = idle GPU-hours", sum(_total(ledger, f"{cause}_gpu_h") for cause in CAUSES),
               whole["idle_gpu_h"]),
        _check("idle causes = idle cost", sum(_total(ledger, f"{cause}_cost") for cause in CAUSES),
               whole["idle_cost"]),
        _check("used + idle + unexplained = allocated GPU-hours",
               sum(_total(ledger, f"{part}_gpu_h") for part in ("used", "idle", "unexplained")),
               whole["allocated_gpu_h"]),
        _check("allocated − idle − unexplained − used cost = 0",
               _total(ledger, "allocated_cost"),
               _total(ledger, "idle_cost") + _total(ledger, "unexplained_cost")
               + sum((row["used_gpu_h"] or 0.0) * (row["price"] or 0.0) for row in ledger)),
    ]  # fmt: skip
    for table in tables:
        if table.name.startswith("by_"):
            rows.append(_check(f"{table.title.lower()}: cost = ledger",
                               table.total("allocated_cost") or 0.0, whole["allocated_cost"]))  # fmt: skip
        if table.name.startswith("by_") or table.name == "days":
            rows.append(_check(f"{table.title.lower()}: allocated GPU-hours = ledger",
                               table.total("allocated_gpu_h") or 0.0, whole["allocated_gpu_h"]))  # fmt: skip
    return Table(name="checks", title="Checks", columns=_COLUMNS, rows=rows_of(_COLUMNS, rows),
                 note="Every difference must be 0.")  # fmt: skip


def _total(rows: Sequence[Mapping[str, Any]], key: str) -> float:
    return sum(row[key] or 0.0 for row in rows)


def _check(name: str, left: float, right: float) -> dict[str, Any]:
    difference = left - right
    if abs(difference) <= TOLERANCE * max(abs(left), abs(right)):
        difference = 0.0
    return {"check": name, "left": left, "right": right, "difference": difference}
