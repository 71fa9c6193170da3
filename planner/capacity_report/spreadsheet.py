"""The report as a workbook (XLSX) with live formulas: change a price, and every cost and total moves."""

from __future__ import annotations

import io
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from models.errors import InvalidInput
from planner.capacity_report.document import CapacityReport
from planner.capacity_report.spreadsheet_charts import CHARTS, write_charts
from planner.capacity_report.spreadsheet_columns import columns_table
from planner.capacity_report.spreadsheet_formats import Formats
from planner.capacity_report.spreadsheet_front import FRONT, write_front
from planner.capacity_report.spreadsheet_layout import FIRST_ROW, Place, layout_of
from planner.capacity_report.spreadsheet_tables import Writing, write_table
from planner.files import write_atomically

_MOST_ROWS = 1_048_576 - FIRST_ROW
"""Of a sheet, in every spreadsheet of today."""


def require_xlsx() -> None:
    """Raise InvalidInput where no workbook can be written: asked before the work is done."""
    _xlsxwriter()


def write_xlsx(report: CapacityReport, target: Path | BinaryIO | None = None) -> bytes:
    """The workbook's bytes, the same for the same report; written to `target` too.

    Raises InvalidInput where XlsxWriter is not installed, a table is too long for a sheet, or the file cannot be
    written.
    """
    for table in report.tables:
        if len(table.rows) > _MOST_ROWS:
            raise InvalidInput(
                f"the table {table.name!r} has {len(table.rows):,} rows; a sheet holds {_MOST_ROWS:,}",
                remedy="report on a shorter period, or write CSV or JSON",
            )
    data = _workbook(report)
    if isinstance(target, Path):
        write_atomically(target, data)
    elif target is not None:
        target.write(data)
    return data


def _workbook(report: CapacityReport) -> bytes:
    stream = io.BytesIO()
    # No temporary files; texts stay texts whatever they look like.
    workbook = _xlsxwriter().Workbook(
        stream,
        {"in_memory": True, "strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False},
    )
    _properties(workbook, report)
    layout = layout_of(report.tables, taken=(FRONT, CHARTS, "Columns"))
    writing = Writing(
        workbook=workbook,
        formats=Formats(workbook, report.currency),
        layout=layout,
        currency=report.currency,
        front=FRONT,
        title=report.title,
    )
    front = workbook.add_worksheet(FRONT)
    columns = Place(table=columns_table(layout), sheet="Columns")
    further = [("Columns", "what each column means and how it is computed")]
    if layout.place("ledger") is not None:
        further.insert(0, (CHARTS, "day by day, idle by cause, cost by team"))
        write_charts(writing, workbook.add_worksheet(CHARTS))
    for place in (*layout.places, columns):
        write_table(writing, place, workbook.add_worksheet(place.sheet))
    for place in layout.places:
        for name, address in place.names.items():
            workbook.define_name(name, f"={address}")
    write_front(writing, report, front, further)
    workbook.close()
    return stream.getvalue()


def _properties(workbook: Any, report: CapacityReport) -> None:
    day = report.made_on
    workbook.set_properties(
        {
            "title": report.title[:255],
            "subject": f"GPU capacity and its cost, {report.start} to {report.end}"[:255],
            "author": f"Replicast {report.version}",
            "comments": "Yellow cells of the sheet Prices are inputs; all costs and totals are formulas.",
            "created": datetime(day.year, day.month, day.day),  # noqa: DTZ001  # the format knows no zone
        }
    )


def _xlsxwriter() -> Any:
    try:
        import xlsxwriter
    except ImportError:
        raise InvalidInput(
            "an XLSX report needs XlsxWriter, which is not installed",
            remedy="install it beside Replicast: pip install 'replicast[report]' in its environment, "
            "or pipx inject replicast xlsxwriter",
        ) from None
    return xlsxwriter
