"""The report as data: tables with a meaning for each column, and nothing that depends on a format.

Every format writes these tables; none computes a figure of its own, but for the spreadsheet, whose formulas must come
to the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

Cell = str | float | int | date | None
"""None is "not known", in every format: an empty cell, null, or a dash."""
Row = Mapping[str, Cell]


class Kind(StrEnum):
    """What a column holds, and with it how it is written."""

    TEXT = "text"
    DATE = "date"
    COUNT = "count"
    """Requests, tokens, GPUs: whole numbers to a reader."""
    HOURS = "hours"
    GPU_HOURS = "gpu_hours"
    MONEY = "money"
    """In the report's currency."""
    PRICE = "price"
    """Money for a unit: shown with four decimals."""
    SHARE = "share"
    """0 to 1, shown in per cent."""
    MINUTES = "minutes"
    MONTHS = "months"
    NUMBER = "number"


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column."""

    key: str
    title: str
    kind: Kind = Kind.TEXT
    meaning: str = ""
    """How the figure comes about, for whoever audits it."""
    summed: bool = False
    """Whether the rows' sum means something."""
    formula: str = ""
    """The figure from others of its row, as `{needed_gpu_h} * {price}` (column_formula.py); the spreadsheet's too."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows under columns."""

    name: str
    """A word: names the worksheet, the file, the anchor."""
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    note: str = ""

    def column(self, key: str) -> Column:
        """By its key."""
        return next(each for each in self.columns if each.key == key)

    def total(self, key: str) -> float | None:
        """The sum of a column, unknown ones left out; None where none is known."""
        known = [float(cell) for row in self.rows if isinstance(cell := row[key], int | float)]
        return sum(known) if known else None


@dataclass(frozen=True, kw_only=True)
class CapacityReport:
    """Everything that a format writes."""

    title: str
    period: str
    start: str
    end: str
    """Times of UTC."""
    time_zone: str
    hours: float
    covered_hours: float
    """Of the period, those that are over on the day of the report."""
    currency: str
    made_on: date
    version: str
    headline: tuple[Row, ...]
    """`key`, `label`, `value`, `kind`, `note`: the few figures that come first; the key is that of a column."""
    tables: tuple[Table, ...]

    def table(self, name: str) -> Table:
        """By its name."""
        return next(each for each in self.tables if each.name == name)

    def has(self, name: str) -> bool:
        """Whether there is such a table."""
        return any(each.name == name for each in self.tables)

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data, dates as text."""
        return {
            "title": self.title,
            "period": {
                "name": self.period,
                "start": self.start,
                "end": self.end,
                "time_zone": self.time_zone,
                "hours": self.hours,
                "covered_hours": self.covered_hours,
            },
            "currency": self.currency,
            "made_on": self.made_on.isoformat(),
            "version": self.version,
            "headline": [_plain(row) for row in self.headline],
            "tables": {
                each.name: {
                    "title": each.title,
                    "note": each.note,
                    "columns": [
                        {"key": column.key, "title": column.title, "kind": column.kind.value, "meaning": column.meaning}
                        for column in each.columns
                    ],
                    "rows": [_plain(row) for row in each.rows],
                }
                for each in self.tables
            },
        }


def number(value: Cell) -> float:
    """What a cell adds to a sum or takes of a figure: 0 where it is not known, or no number."""
    return float(value) if isinstance(value, int | float) else 0.0


def _plain(row: Row) -> dict[str, Any]:
    return {key: value.isoformat() if isinstance(value, date) else value for key, value in row.items()}


def rows_of(columns: Sequence[Column], rows: Sequence[Row]) -> tuple[Row, ...]:
    """Rows with a cell for every column, and none beside."""
    keys = {each.key for each in columns}
    for row in rows:
        if unknown := row.keys() - keys:
            raise ValueError(f"no column for {sorted(unknown)}")
    return tuple({each.key: row.get(each.key) for each in columns} for row in rows)
