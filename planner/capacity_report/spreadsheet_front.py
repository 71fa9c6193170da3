"""The first sheet: what is reported on, whether the checks hold, the headline, and links to all the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from planner.capacity_report.document import CapacityReport, Cell, Column, Kind, Row
from planner.capacity_report.measures import MONEY, QUANTITIES, RATIOS, SERVICE_LEVEL
from planner.capacity_report.spreadsheet_cells import cell_text, write_cell
from planner.capacity_report.spreadsheet_checks import all_checks_formula
from planner.capacity_report.spreadsheet_formats import BAD, BAD_PAPER, GOOD, GOOD_PAPER
from planner.capacity_report.spreadsheet_formulas import whole_formula
from planner.capacity_report.spreadsheet_layout import Place, is_grouping, quoted
from planner.capacity_report.spreadsheet_tables import Writing, page

FRONT = "Summary"
"""Its name."""
_HOLDS = {
    "days": "used, needed and allocated GPU-hours of each day",
    "prices": "what the costs look up: list prices and discounts are inputs",
    "assumptions": "what every figure rests on, with sources and dates",
    "holes": "what is not known, and what that leaves out",
}
"""Of tables without a note."""
_WIDTHS = (28, 24, 90)


def write_front(writing: Writing, report: CapacityReport, sheet: Any, further: Sequence[tuple[str, str]]) -> None:
    """Write it. `further` are sheets without a table of the report: name and what they hold."""
    formats = writing.formats
    for at, width in enumerate(_WIDTHS):
        sheet.set_column(at, at, width)
    sheet.set_row(0, 22.0)
    sheet.write_string(0, 0, cell_text(report.title), formats.title)
    made = f"Made on {report.made_on.isoformat()} by Replicast {report.version}"
    sheet.write_string(1, 0, made, formats.note)
    row = _about(writing, report, sheet, 3)
    row = _headline(writing, report, sheet, row + 1)
    row = _contents(writing, sheet, row + 1, further)
    sheet.write_string(row + 1, 0, "Unknown figures are empty cells, never 0, and are in no sum.", formats.note)
    page(sheet, report.title, _WIDTHS)
    sheet.fit_to_pages(1, 1)


def _about(writing: Writing, report: CapacityReport, sheet: Any, row: int) -> int:
    formats = writing.formats
    covered = "all of them are over" if report.covered_hours >= report.hours else "of them are over and reported on"
    told: list[tuple[str, Cell, str]] = [
        ("Period", report.period, f"{report.start} to {report.end}"),
        ("Time zone", report.time_zone, "days and months are those of its clocks"),
        ("Hours", f"{report.covered_hours:,.10g} of {report.hours:,.10g}", covered),
        ("Currency", report.currency, "of every price and cost"),
    ]
    for label, value, note in told:
        sheet.write_string(row, 0, label, formats.of(bold=True))
        write_cell(sheet, (row, 1), value, formats, kind=Kind.TEXT)
        sheet.write_string(row, 2, note, formats.note)
        row += 1
    return _checks(writing, report, sheet, row)


def _checks(writing: Writing, report: CapacityReport, sheet: Any, row: int) -> int:
    """One cell that says whether all checks are zero, in green or red."""
    formula = all_checks_formula(writing.layout)
    if formula is None:
        return row
    differences = [each["difference"] for each in report.table("checks").rows]
    count, wrong = len(differences), sum(each != 0.0 for each in differences)
    shown = f"{wrong} of {count} are not zero" if wrong else f"all {count} are zero"
    sheet.write_string(row, 0, "Checks", writing.formats.of(bold=True))
    sheet.write_formula(row, 1, f"={formula}", writing.formats.of(bold=True), shown)
    sheet.write_string(row, 2, "the report against itself: every difference must be 0", writing.formats.note)
    for criteria, ink, paper in (("begins with", GOOD, GOOD_PAPER), ("not containing", BAD, BAD_PAPER)):
        look = writing.workbook.add_format({"font_color": ink, "bg_color": paper})
        sheet.conditional_format(
            row, 1, row, 1, {"type": "text", "criteria": criteria, "value": "all ", "format": look}
        )
    writing.workbook.define_name("checks_status", f"={quoted(FRONT)}!$B${row + 1}")
    return row + 1


def _headline(writing: Writing, report: CapacityReport, sheet: Any, row: int) -> int:
    formats = writing.formats
    for at, (title, kind) in enumerate((("Figure", Kind.TEXT), ("Value", Kind.NUMBER), ("Note", Kind.TEXT))):
        sheet.write_string(row, at, title, formats.header(kind))
    for figure in report.headline:
        row += 1
        write_cell(sheet, (row, 0), figure["label"], formats, kind=Kind.TEXT, **formats.cell)
        column = _column(figure)
        formula = _formula(writing, figure, column)
        value, kind = figure["value"], Kind(str(figure["kind"]))
        write_cell(sheet, (row, 1), value, formats, kind=kind, formula=formula, bold=True, **formats.cell)
        _note(writing, figure, sheet, row)
        if column is not None and formula is not None:
            writing.workbook.define_name(f"total_{column.key}", f"={quoted(FRONT)}!$B${row + 1}")
    return row + 1


def _column(figure: Row) -> Column | None:
    """Of the ledger, that the figure sums up."""
    return next(
        (each for each in (*QUANTITIES, *MONEY, *SERVICE_LEVEL, *RATIOS) if each.key == figure.get("key")), None
    )


def _formula(writing: Writing, figure: Row, column: Column | None) -> str | None:
    if figure.get("key") == "holes":
        holes = writing.layout.range_of("holes", "what")
        return None if holes is None else f"ROWS({holes})"
    return None if column is None else whole_formula(column, writing.layout)


def _note(writing: Writing, figure: Row, sheet: Any, row: int) -> None:
    """As text; the share that idle time has of the cost moves with the prices."""
    note, formats = str(figure["note"] or ""), writing.formats
    cost, idle = "SUM(ledger_allocated_cost)", "SUM(ledger_idle_cost)"
    if figure.get("key") == "idle_cost" and writing.layout.place("ledger") is not None:
        rest = (note.partition("%")[2] or " of the cost").replace('"', '""')
        share = f'IF({cost}=0,"",TEXT({idle}/{cost},"0%")&"{rest}")'
        sheet.write_formula(row, 2, f"={share}", formats.of(**formats.cell), note)
    else:
        write_cell(sheet, (row, 2), note, formats, kind=Kind.TEXT, **formats.cell)


def _contents(writing: Writing, sheet: Any, row: int, further: Sequence[tuple[str, str]]) -> int:
    formats = writing.formats
    for at, (title, kind) in enumerate((("Sheet", Kind.TEXT), ("Rows", Kind.COUNT), ("What it holds", Kind.TEXT))):
        sheet.write_string(row, at, title, formats.header(kind))
    for name, rows, held in [*_tables(writing.layout.places), *((name, None, held) for name, held in further)]:
        row += 1
        sheet.write_url(row, 0, f"internal:{quoted(name)}!A1", formats.link, name)
        write_cell(sheet, (row, 1), rows, formats, kind=Kind.COUNT, **formats.cell)
        write_cell(sheet, (row, 2), held, formats, kind=Kind.TEXT, **formats.cell)
    return row + 1


def _tables(places: Sequence[Place]) -> list[tuple[str, int | None, str]]:
    return [(each.sheet, len(each.table.rows), _first(each.table.note) or _held(each)) for each in places]


def _first(note: str) -> str:
    """Its first sentence, shortened: the whole note is on the sheet."""
    sentence = note.partition(". ")[0]
    return sentence if len(sentence) <= _WIDTHS[2] else f"{sentence[: _WIDTHS[2] - 1].rpartition(' ')[0]} …"


def _held(place: Place) -> str:
    return "sums of the ledger, the dearest first" if is_grouping(place) else _HOLDS.get(place.table.name, "")
