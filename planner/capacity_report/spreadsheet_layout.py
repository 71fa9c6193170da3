"""Where each table lies in the workbook: its sheet, its rows and columns, and the names of ranges."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from planner.capacity_report.document import Cell, Row, Table, number

TITLE_ROW, NOTE_ROW, TOTAL_ROW, HEADER_ROW, FIRST_ROW = range(5)
"""Counted from 0, as on every sheet of a table: totals stand above the header, where no filter hides and no sort moves
them."""
SHEET_NAME_LENGTH = 31
_NOT_IN_SHEET_NAMES = re.compile(r"[\[\]:*?/\\\x00-\x1f]")
_NAMED = ("ledger", "prices", "price_mix", "checks")
"""Tables whose columns have names that formulas use, such as `ledger_team`."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A table on its sheet."""

    table: Table
    sheet: str

    @cached_property
    def _position(self) -> dict[str, int]:
        return {column.key: at for at, column in enumerate(self.table.columns)}

    @property
    def last_row(self) -> int:
        """Of its rows, counted from 0; the header's where there are none."""
        return HEADER_ROW + len(self.table.rows)

    def has(self, key: str) -> bool:
        """Whether it has such a column."""
        return key in self._position

    def letters(self, key: str) -> str:
        """Of a column."""
        return column_letters(self._position[key])

    def cell(self, key: str, row: int) -> str:
        """A cell, for formulas on the same sheet; `row` counts from 0."""
        return f"${self.letters(key)}{row + 1}"

    def here(self, key: str) -> str:
        """A column's cells, for formulas on the same sheet."""
        return f"{self.letters(key)}${FIRST_ROW + 1}:{self.letters(key)}${self.last_row + 1}"

    def address(self, key: str) -> str:
        """A column's cells, from everywhere."""
        letters = self.letters(key)
        return f"{quoted(self.sheet)}!${letters}${FIRST_ROW + 1}:${letters}${self.last_row + 1}"

    @property
    def names(self) -> dict[str, str]:
        """Names of its ranges, and what they stand for."""
        if self.table.name not in _NAMED or not self.table.rows:
            return {}
        return {f"{self.table.name}_{column.key}": self.address(column.key) for column in self.table.columns}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """All tables, in the order of their sheets."""

    places: tuple[Place, ...]

    def place(self, name: str) -> Place | None:
        """Of a table that has rows."""
        return next((each for each in self.places if each.table.name == name and each.table.rows), None)

    @cached_property
    def prices(self) -> Mapping[str, Cell]:
        """Effective prices by those keys that stand for one price each: what can be looked up."""
        place = self.place("prices")
        rows = () if place is None else place.table.rows
        count = Counter(row["price_key"] for row in rows)
        return {str(row["price_key"]): row["price"] for row in rows if count[row["price_key"]] == 1}

    @cached_property
    def mixed_prices(self) -> Mapping[str, Cell]:
        """Mixed prices by their keys."""
        place = self.place("price_mix")
        parts: dict[str, list[Row]] = {}
        for row in () if place is None else place.table.rows:
            parts.setdefault(str(row["mix"]), []).append(row)
        return {
            mix: None
            if any(row["cost"] is None for row in rows)
            else sum(number(row["cost"]) for row in rows) / sum(number(row["gpu_h"]) for row in rows)
            for mix, rows in parts.items()
        }

    def range_of(self, name: str, key: str) -> str | None:
        """A column as formulas write it: by its name where it has one."""
        place = self.place(name)
        if place is None or not place.has(key):
            return None
        return f"{name}_{key}" if name in _NAMED else place.address(key)


def layout_of(tables: Iterable[Table], *, taken: Sequence[str]) -> Layout:
    """A sheet for each table, beside those that are `taken` already."""
    used = {each.casefold() for each in taken}
    places = []
    for table in tables:
        sheet = _sheet_name(table.title or table.name, used)
        used.add(sheet.casefold())
        places.append(Place(table=table, sheet=sheet))
    return Layout(places=tuple(places))


def _sheet_name(title: str, used: set[str]) -> str:
    """At most 31 characters, without those that a sheet's name may not have, unlike any other in whatever case."""
    clean = " ".join(_NOT_IN_SHEET_NAMES.sub(" ", title).split()).strip(" '") or "Table"
    wanted, count = clean[:SHEET_NAME_LENGTH].strip(" '"), 1
    while wanted.casefold() in used or wanted.casefold() == "history":
        count += 1
        ending = f" ({count})"
        wanted = clean[: SHEET_NAME_LENGTH - len(ending)].rstrip() + ending
    return wanted


def is_grouping(place: Place) -> bool:
    """Whether its figures are sums of the ledger by the name in the first column."""
    return place.table.name.startswith("by_")


def quoted(sheet: str) -> str:
    """A sheet's name in a formula."""
    doubled = sheet.replace("'", "''")
    return f"'{doubled}'"


def column_letters(position: int) -> str:
    """A, B, … Z, AA, …; counted from 0."""
    letters, rest = "", position + 1
    while rest:
        rest, last = divmod(rest - 1, 26)
        letters = chr(ord("A") + last) + letters
    return letters
