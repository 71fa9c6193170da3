"""Checks as formulas: what must come to zero does so in the workbook itself, and a change that breaks it shows."""

from __future__ import annotations

from planner.capacity_report.checks import TOLERANCE
from planner.capacity_report.document import Column
from planner.capacity_report.measures import CAUSES
from planner.capacity_report.spreadsheet_layout import FIRST_ROW, Layout, Place

_Sides = tuple[str, str]


def check_formula(place: Place, column: Column, index: int, layout: Layout) -> str | None:
    """Of one side of a check or of its difference; None for a check that is not known here: its sides are figures."""
    if column.key == "difference":
        left, right = (place.cell(side, FIRST_ROW + index) for side in ("left", "right"))
        return f"IF(ABS({left}-{right})<={TOLERANCE:.0E}*MAX(ABS({left}),ABS({right})),0,{left}-{right})"
    sides = _sides(layout).get(str(place.table.rows[index]["check"]))
    if sides is None or column.key not in ("left", "right"):
        return None
    return sides[0] if column.key == "left" else sides[1]


def all_checks_formula(layout: Layout) -> str | None:
    """Says whether every difference is 0; an error is none."""
    if layout.place("checks") is None:
        return None
    zero, count = "COUNTIF(checks_difference,0)", "ROWS(checks_difference)"
    broken = f'IF({zero}={count},"all "&{count}&" are zero",{count}-{zero}&" of "&{count}&" are not zero")'
    if layout.place("ledger") is None:
        return broken
    return f'IF(SUMPRODUCT(--ISERROR(ledger_price))>0,"the ledger has an error",{broken})'


def _sides(layout: Layout) -> dict[str, _Sides]:
    """Both sides of each check by its name, as checks.py writes it."""
    if layout.place("ledger") is None:
        return {}
    return {
        "idle causes = idle GPU-hours": (_ledger(*(f"{cause}_gpu_h" for cause in CAUSES)), _ledger("idle_gpu_h")),
        "idle causes = idle cost": (_ledger(*(f"{cause}_cost" for cause in CAUSES)), _ledger("idle_cost")),
        "used + idle + unexplained = allocated GPU-hours": (
            _ledger("used_gpu_h", "idle_gpu_h", "unexplained_gpu_h"),
            _ledger("allocated_gpu_h"),
        ),
        "allocated − idle − unexplained − used cost = 0": (
            _ledger("allocated_cost"),
            f"{_ledger('idle_cost', 'unexplained_cost')}+SUMPRODUCT(ledger_used_gpu_h,ledger_price)",
        ),
        **_against_the_ledger(layout, "cost", "allocated_cost"),
        **_against_the_ledger(layout, "allocated GPU-hours", "allocated_gpu_h"),
    }


def _against_the_ledger(layout: Layout, title: str, key: str) -> dict[str, _Sides]:
    shown = [each for each in layout.places if each.table.rows and each.has(key)]
    return {
        f"{each.table.title.lower()}: {title} = ledger": (f"SUM({each.address(key)})", _ledger(key)) for each in shown
    }


def _ledger(*keys: str) -> str:
    return "+".join(f"SUM(ledger_{key})" for key in keys)
