"""A wide table cut into parts that a page carries, each with the columns that name its rows."""

from __future__ import annotations

from dataclasses import dataclass

from planner.capacity_report.document import Column, Kind, Table
from planner.capacity_report.shown import heading, is_money

MOST_COLUMNS = 11
"""What is readable side by side on a landscape page."""
_FAMILIES = (
    ("names and hours", (Kind.TEXT, Kind.DATE, Kind.HOURS)),
    ("demand and service", (Kind.COUNT, Kind.MINUTES, Kind.SHARE, Kind.MONTHS, Kind.NUMBER)),
    ("GPU-hours", (Kind.GPU_HOURS,)),
    ("cost", (Kind.MONEY, Kind.PRICE)),
)


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some columns of a table; the first `keys` of them name the row."""

    title: str
    """Empty where it is the whole table."""
    columns: tuple[Column, ...]
    keys: int = 1

    def caption(self, table: Table, currency: str) -> str:
        """The table's title with the part's; the currency stands here where every column holds money."""
        if not self.title:
            return table.title
        return f"{table.title}: {self.title}, {currency}" if self._in_money else f"{table.title}: {self.title}"

    def headings(self, currency: str) -> tuple[str, ...]:
        """Titles of the columns."""
        return tuple(heading(each, "" if self._in_money else currency) for each in self.columns)

    @property
    def _in_money(self) -> bool:
        return bool(self.title) and all(is_money(each) for each in self.columns[self.keys :])


def parts(table: Table) -> tuple[Part, ...]:
    """One part where the table is narrow, else one for each family of columns."""
    if len(table.columns) <= MOST_COLUMNS:
        return (Part(title="", columns=table.columns),)
    keys = _naming(table)
    found = []
    for title, kinds in _FAMILIES:
        columns = tuple(each for each in table.columns if each.kind in kinds and each not in keys)
        if columns:
            found.append(Part(title=title, columns=(*keys, *columns), keys=len(keys)))
    return tuple(found)


def _naming(table: Table) -> tuple[Column, ...]:
    """The first column, and one more where rows share it and that one tells them apart."""
    first = table.columns[0]
    others = [each for each in table.columns[1:] if each.kind in (Kind.TEXT, Kind.DATE)]
    for keys in ((first,), *((first, each) for each in others)):
        if len({tuple(row[each.key] for each in keys) for row in table.rows}) == len(table.rows):
            return keys
    return (first,)
