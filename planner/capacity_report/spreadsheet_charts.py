"""Charts of the workbook: capacity day by day, idle time by cause, cost by team. They follow the formulas."""

from __future__ import annotations

from typing import Any

from planner.capacity_report.document import Column, Kind
from planner.capacity_report.measures import CAUSES, MONEY, QUANTITIES
from planner.capacity_report.spreadsheet_cells import write_cell
from planner.capacity_report.spreadsheet_formats import ACCENT, INK, RULE
from planner.capacity_report.spreadsheet_formulas import whole_formula
from planner.capacity_report.spreadsheet_layout import FIRST_ROW, Place, quoted
from planner.capacity_report.spreadsheet_tables import Writing, page

CHARTS = "Charts"
"""Name of their sheet."""
_WIDE, _HALF, _HEIGHT = 1080, 534, 330
_COLOURS = {"used": "#2A7F9E", "needed": "#D98E04", "allocated": ACCENT, "idle": "#D9B382"}
_MOST_BARS = 10
_MOST_DAYS = 62
_DATA_ROW = 3


def write_charts(writing: Writing, sheet: Any) -> None:
    """Write those that the report has figures for; the ledger has lines."""
    formats = writing.formats
    sheet.set_row(0, 22.0)
    sheet.write_string(0, 0, CHARTS, formats.title)
    sheet.write_url(1, 0, f"internal:{quoted(writing.front)}!A1", formats.link, f"← {writing.front}")
    _causes(writing, sheet)
    row = _DATA_ROW + len(CAUSES) + 2
    below = row + 18
    days, teams = writing.layout.place("days"), writing.layout.place("by_team")
    if days is not None:
        sheet.insert_chart(row, 0, _day_by_day(writing, days), {"description": "Used, needed and allocated by day"})
    else:
        below = row
    sheet.insert_chart(below, 0, _idle(writing), {"description": "Idle time by its cause"})
    if teams is not None:
        sheet.insert_chart(below, 0, _teams(writing, teams), {"description": "Cost by team", "x_offset": _WIDE - _HALF})
    page(sheet, writing.title, (1,))
    sheet.fit_to_pages(1, 1)


def _causes(writing: Writing, sheet: Any) -> None:
    """The small table that the chart of idle time draws."""
    formats = writing.formats
    for at, (title, kind, width) in enumerate(
        (("Idle by cause", Kind.TEXT, 30), ("GPU-hours", Kind.GPU_HOURS, 16), ("Cost", Kind.MONEY, 20))
    ):
        sheet.write_string(_DATA_ROW - 1, at, title, formats.header(kind))
        sheet.set_column(at, at, width)
    ledger = writing.layout.place("ledger")
    for index, (cause, (title, _)) in enumerate(CAUSES.items()):
        row = _DATA_ROW + index
        sheet.write_string(row, 0, title, formats.of(**formats.cell))
        for at, key in ((1, f"{cause}_gpu_h"), (2, f"{cause}_cost")):
            column = _measure(key)
            write_cell(
                sheet, (row, at), None if ledger is None else ledger.table.total(key), formats, kind=column.kind,
                formula=whole_formula(column, writing.layout), **formats.cell,
            )  # fmt: skip


def _measure(key: str) -> Column:
    return next(each for each in (*QUANTITIES, *MONEY) if each.key == key)


def _day_by_day(writing: Writing, days: Place) -> Any:
    chart = writing.workbook.add_chart({"type": "line"})
    for name in ("allocated", "needed", "used"):
        chart.add_series({
            "name": name.capitalize(), "categories": f"={days.address('day')}",
            "values": f"={days.address(f'{name}_gpu_h')}",
            "line": {"color": _COLOURS[name], "width": 2.0, "dash_type": "dash" if name == "needed" else "solid"},
        })  # fmt: skip
    _dress(chart, "GPU-hours day by day", width=_WIDE)
    chart.set_x_axis(
        {**_axis(), "date_axis": True, "major_gridlines": {"visible": False}, **_dates(len(days.table.rows))}
    )
    chart.set_y_axis({**_axis(), "num_format": "#,##0", "min": 0, "major_gridlines": _gridlines()})
    return chart


def _dates(days: int) -> dict[str, Any]:
    """As many as can be read beside each other."""
    if days > _MOST_DAYS:
        return {"num_format": "mmm yyyy", "major_unit": 1, "major_unit_type": "months"}
    return {"num_format": "d mmm", "major_unit": 1 + days // 16, "major_unit_type": "days"}


def _idle(writing: Writing) -> Any:
    chart = writing.workbook.add_chart({"type": "bar"})
    priced = _is_priced(writing)
    last = _DATA_ROW + len(CAUSES) - 1
    at = 2 if priced else 1
    chart.add_series({
        "name": "Idle", "categories": [CHARTS, _DATA_ROW, 0, last, 0], "values": [CHARTS, _DATA_ROW, at, last, at],
        "fill": {"color": _COLOURS["idle"]}, "gap": 60,
    })  # fmt: skip
    unit = f"cost, {writing.currency}" if priced else "GPU-hours"
    _dress(chart, f"Idle by cause ({unit})", width=_HALF)
    _bars(chart)
    chart.set_legend({"none": True})
    return chart


def _teams(writing: Writing, teams: Place) -> Any:
    """Of the dearest teams; in GPU-hours where nothing has a price."""
    chart = writing.workbook.add_chart({"type": "bar"})
    what = "cost" if _is_priced(writing) else "gpu_h"
    last = FIRST_ROW + min(_MOST_BARS, len(teams.table.rows)) - 1
    at = [each.key for each in teams.table.columns]
    for name, title in (("allocated", "Allocated"), ("idle", "of it idle")):
        column = at.index(f"{name}_{what}")
        chart.add_series({
            "name": title, "categories": [teams.sheet, FIRST_ROW, 0, last, 0],
            "values": [teams.sheet, FIRST_ROW, column, last, column], "fill": {"color": _COLOURS[name]}, "gap": 60,
        })  # fmt: skip
    unit = writing.currency if what == "cost" else "GPU-hours"
    some = f", the {_MOST_BARS} dearest" if len(teams.table.rows) > _MOST_BARS else ""
    _dress(chart, f"Cost by team{some} ({unit})" if what == "cost" else f"GPU-hours by team{some}", width=_HALF)
    _bars(chart)
    return chart


def _is_priced(writing: Writing) -> bool:
    ledger = writing.layout.place("ledger")
    return ledger is not None and ledger.table.total("allocated_cost") is not None


def _dress(chart: Any, title: str, *, width: int) -> None:
    chart.set_title({"name": title, "name_font": {"size": 12, "bold": True, "color": INK}, "overlay": False})
    chart.set_size({"width": width, "height": _HEIGHT})
    chart.set_legend({"position": "bottom", "font": {"size": 9, "color": INK}})
    chart.set_chartarea({"border": {"color": RULE}})


def _bars(chart: Any) -> None:
    """The first row of the table on top."""
    chart.set_x_axis({**_axis(), "num_format": "#,##0", "min": 0, "major_gridlines": _gridlines()})
    chart.set_y_axis(
        {**_axis(), "reverse": True, "crossing": "max", "interval_unit": 1, "major_gridlines": {"visible": False}}
    )


def _axis() -> dict[str, Any]:
    return {"num_font": {"size": 9, "color": INK}, "line": {"color": RULE}}


def _gridlines() -> dict[str, Any]:
    return {"visible": True, "line": {"color": "#E3E9EB", "width": 0.75}}
