"""Single cells: texts stay texts, what is not known stays empty, formulas carry the report's own figure."""

from __future__ import annotations

import math
from datetime import date, datetime
from typing import Any

from planner.capacity_report.document import Cell, Kind
from planner.capacity_report.spreadsheet_formats import Formats

TEXT_LENGTH = 32_767
"""Characters that a cell of a spreadsheet holds."""
_CUT = " … (cut here: a cell holds no more; CSV and JSON have all of it)"


def cell_text(text: str) -> str:
    """As a cell can hold it: what no XML can say is replaced, what is too long is cut and says so."""
    sound = text.encode("utf-8", "replace").decode("utf-8").replace("\ufffe", "?").replace("\uffff", "?")
    return sound if _length(sound) <= TEXT_LENGTH else sound[: (TEXT_LENGTH - len(_CUT)) // 2] + _CUT


def _length(text: str) -> int:
    """In the units that spreadsheets count: those of UTF-16."""
    return len(text) + sum(character > "\uffff" for character in text)


def write_cell(
    sheet: Any,
    at: tuple[int, int],
    value: Cell,
    formats: Formats,
    *,
    kind: Kind,
    formula: str | None = None,
    **look: Any,
) -> None:
    """Write a figure, date or text; with a formula, the value is what a viewer without an engine shows."""
    row, column = at
    known = _known(value)
    if formula is not None:
        sheet.write_formula(row, column, f"={formula}", formats.figure(kind, **look), "" if known is None else known)
    elif known is None:
        sheet.write_blank(row, column, None, formats.figure(kind, **look))
    elif isinstance(known, str):
        text = cell_text(known)
        sheet.write_string(row, column, text, formats.text(text, **look))
    elif isinstance(known, date):
        sheet.write_datetime(row, column, datetime(known.year, known.month, known.day), formats.figure(kind, **look))  # noqa: DTZ001
    else:
        sheet.write_number(row, column, known, formats.figure(kind, **look))


def _known(value: Cell) -> Cell:
    """A value that a cell can hold as it is, else as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, date) and value.year < 1901:
        return value.isoformat()
    return value
