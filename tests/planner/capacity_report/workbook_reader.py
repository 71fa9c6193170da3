"""Reads a report's workbook back, by the layout that writes it."""

from __future__ import annotations

import io
import math
from typing import Any

import openpyxl

from planner.capacity_report.document import CapacityReport, Table
from planner.capacity_report.spreadsheet_charts import CHARTS
from planner.capacity_report.spreadsheet_front import FRONT
from planner.capacity_report.spreadsheet_layout import FIRST_ROW, HEADER_ROW, TOTAL_ROW, Place, layout_of


def opened(data: bytes, *, formulas: bool = False) -> Any:
    """The workbook: values as they were computed last, or formulas."""
    return openpyxl.load_workbook(io.BytesIO(data), data_only=not formulas)


def place_of(report: CapacityReport, name: str) -> Place:
    """Where a table lies."""
    layout = layout_of(report.tables, taken=(FRONT, CHARTS, "Columns"))
    return next(each for each in layout.places if each.table.name == name)


def rows_of_sheet(workbook: Any, report: CapacityReport, name: str) -> list[dict[str, Any]]:
    """A table's rows by the keys of its columns; None for what is not known; dates as dates."""
    place = place_of(report, name)
    sheet, table = workbook[place.sheet], place.table
    titles = [sheet.cell(HEADER_ROW + 1, at + 1).value for at in range(len(table.columns))]
    assert titles == [each.title for each in table.columns]
    return [_row(sheet, table, FIRST_ROW + 1 + index) for index in range(len(table.rows))]


def totals_of_sheet(workbook: Any, report: CapacityReport, name: str) -> dict[str, Any]:
    """The row of totals."""
    place = place_of(report, name)
    return _row(workbook[place.sheet], place.table, TOTAL_ROW + 1)


def _row(sheet: Any, table: Table, number: int) -> dict[str, Any]:
    row = {}
    for at, column in enumerate(table.columns):
        value = sheet.cell(number, at + 1).value
        row[column.key] = None if value == "" else value.date() if hasattr(value, "date") else value
    return row


def headline_of(workbook: Any) -> dict[str, Any]:
    """Figures of the first sheet by their labels; those above the headline too."""
    found = {}
    for label, value, *_ in workbook[FRONT].iter_rows(values_only=True):
        if label == "Sheet":
            break
        if label is not None:
            found[label] = None if value == "" else value
    return found


def same(found: Any, wanted: Any, *, rel: float = 1e-6) -> bool:
    """Whether a cell shows a value of the report; empty texts are empty cells."""
    if isinstance(wanted, int | float):
        return isinstance(found, int | float) and math.isclose(found, wanted, rel_tol=rel, abs_tol=1e-9)
    return found == (wanted or None)
