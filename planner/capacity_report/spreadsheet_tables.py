"""One sheet for each table: totals above the header, a filter, formulas where figures come from others."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from planner.capacity_report.column_formula import value_of
from planner.capacity_report.document import Cell, Column, Kind, Table
from planner.capacity_report.spreadsheet_cells import cell_text, write_cell
from planner.capacity_report.spreadsheet_formats import Formats
from planner.capacity_report.spreadsheet_formulas import cell_formula, total_formula
from planner.capacity_report.spreadsheet_layout import (
    FIRST_ROW,
    HEADER_ROW,
    NOTE_ROW,
    TITLE_ROW,
    TOTAL_ROW,
    Layout,
    Place,
    quoted,
)

INPUTS = {"prices": ("list_price", "discount")}
"""What a reader may change, to see everything else move."""
_INPUT_NOTE = "Yellow cells are inputs: change a list price or a discount, and every cost of the workbook follows."
_TOTAL = "Total shown"
_LEAST_WIDTH, _GREATEST_WIDTH, _SAMPLE = 9, 60, 400
_GREATEST_HEIGHT, _LOOKED_AT = 400.0, 3000
_ONE_PAGE, _PAGE_WIDTH = 240, 145
"""Characters across a page of A4: the most on one page, and on each where one is too few."""


@dataclass(frozen=True, kw_only=True)
class Writing:
    """What every sheet is written with."""

    workbook: Any
    formats: Formats
    layout: Layout
    currency: str
    front: str
    """Name of the first sheet."""
    title: str


def write_table(writing: Writing, place: Place, sheet: Any) -> None:
    """The sheet of a table."""
    formats, table = writing.formats, place.table
    sheet.write_string(TITLE_ROW, 0, cell_text(table.title), formats.title)
    sheet.write_url(NOTE_ROW, 0, f"internal:{quoted(writing.front)}!A1", formats.link, f"← {writing.front}")
    note = " ".join(part for part in (table.note, _INPUT_NOTE if table.name in INPUTS else "") if part)
    if note:
        sheet.write_string(NOTE_ROW, min(1, len(table.columns) - 1), cell_text(note), formats.note)
    _totals(writing, place, sheet)
    wide = widths(table)
    for at, column in enumerate(table.columns):
        sheet.write_string(HEADER_ROW, at, cell_text(column.title), formats.header(column.kind))
        sheet.set_column(at, at, wide[at])
        for index, row in enumerate(table.rows):
            write_cell(
                sheet, (FIRST_ROW + index, at), row[column.key], formats, kind=column.kind,
                formula=cell_formula(place, column, index, writing.layout), **_look(formats, table, column, wide[at]),
            )  # fmt: skip
    if table.name in INPUTS:
        _guard_inputs(place, sheet)
    _heights(table, sheet, wide)
    sheet.autofilter(HEADER_ROW, 0, place.last_row, len(table.columns) - 1)
    sheet.freeze_panes(FIRST_ROW, 1)
    page(sheet, writing.title, wide)
    sheet.repeat_rows(HEADER_ROW)


def _look(formats: Formats, table: Table, column: Column, width: int) -> dict[str, Any]:
    if column.key in INPUTS.get(table.name, ()):
        return formats.input
    wrapped = {"text_wrap": True} if column.kind is Kind.TEXT and width >= _GREATEST_WIDTH else {}
    return {**formats.cell, **wrapped}


def _totals(writing: Writing, place: Place, sheet: Any) -> None:
    """Sums of the rows that a filter shows, and what follows from them."""
    table = place.table
    if not any(each.summed for each in table.columns):
        return
    sums: dict[str, Cell] = {each.key: table.total(each.key) for each in table.columns if each.summed}
    for at, column in enumerate(table.columns):
        formula = total_formula(place, column)
        value = sums[column.key] if column.summed else value_of(column.formula, sums) if formula else None
        write_cell(
            sheet, (TOTAL_ROW, at), _TOTAL if at == 0 else value, writing.formats,
            kind=column.kind, formula=formula, **writing.formats.total,
        )  # fmt: skip


def _guard_inputs(place: Place, sheet: Any) -> None:
    """Prices are not negative, discounts between 0 and 1; empty is not known."""
    if not place.table.rows:
        return
    limits = {
        "list_price": {"criteria": ">=", "value": 0},
        "discount": {"criteria": "between", "minimum": 0, "maximum": 1},
    }
    for at, column in enumerate(place.table.columns):
        if column.key in INPUTS[place.table.name]:
            sheet.data_validation(
                FIRST_ROW, at, place.last_row, at,
                {"validate": "decimal", **limits[column.key], "error_title": column.title,
                 "error_message": "A price is 0 or more, a discount from 0 to 100 %."},
            )  # fmt: skip


def widths(table: Table) -> list[int]:
    """Of columns, in characters: of the longest of the first cells, within limits."""
    return [_width(column, table) for column in table.columns]


def _width(column: Column, table: Table) -> int:
    longest = max((_shown_length(row[column.key], column.kind) for row in table.rows[:_SAMPLE]), default=0)
    if column.summed:
        longest = max(longest, _shown_length(table.total(column.key), column.kind) + 1)
    # A hyphen would break the line, as in "GPU-\nh".
    words = [column.title] if column.title.endswith("-h") else column.title.split()
    if column is table.columns[0]:
        words = [*words, _TOTAL]
    return min(_GREATEST_WIDTH, max(_LEAST_WIDTH, longest + 2, *(len(each) + 3 for each in words)))


def _shown_length(value: Cell, kind: Kind) -> int:
    if isinstance(value, str):
        return max(len(line) for line in value.split("\n"))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 10 if value is not None else 0
    digits = len(f"{abs(value):,.0f}") + (value < 0)
    return digits + {Kind.MONEY: 7, Kind.PRICE: 9, Kind.COUNT: 0, Kind.MINUTES: 0, Kind.NUMBER: 7}.get(kind, 2)


def _heights(table: Table, sheet: Any, wide: Sequence[int]) -> None:
    """Of the header and of rows with long texts: not every program finds them by itself."""
    sheet.set_row(TITLE_ROW, 22.0)
    columns = list(zip(table.columns, wide, strict=True))
    sheet.set_row(HEADER_ROW, 15.0 * max(_lines(each.title, width - 2) for each, width in columns))
    long = [each.key for each, width in columns if width >= _GREATEST_WIDTH]
    for index, row in enumerate(table.rows):
        lines = max((_lines(str(row[key] or ""), _GREATEST_WIDTH + 6) for key in long), default=1)
        if lines > 1:
            sheet.set_row(FIRST_ROW + index, min(_GREATEST_HEIGHT, 13.5 * lines))


def _lines(text: str, width: int) -> int:
    """That a text takes, broken between words."""
    return sum(max(1, len(textwrap.wrap(line, max(1, width)))) for line in text[:_LOOKED_AT].split("\n"))


def page(sheet: Any, title: str, wide: Sequence[int]) -> None:
    """Paper: A4 across, as many pages wide as can be read, their number below."""
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.set_margins(left=0.4, right=0.4, top=0.6, bottom=0.6)
    pages = 1 if sum(wide) <= _ONE_PAGE else math.ceil(sum(wide) / _PAGE_WIDTH)
    sheet.fit_to_pages(pages, 0)
    if pages > 1:
        sheet.repeat_columns(0)
    plain = title.replace("&", "&&")[:100]
    sheet.set_footer(f"&L&8{plain}&C&8&A&R&8&P / &N")
    sheet.hide_gridlines(2)
