"""What each column of the workbook means, and how the workbook computes it, as a table of its own."""

from __future__ import annotations

from collections.abc import Iterable

from planner.capacity_report.column_formula import with_references
from planner.capacity_report.document import Column, Row, Table
from planner.capacity_report.spreadsheet_formulas import key_column
from planner.capacity_report.spreadsheet_layout import Layout, Place, is_grouping

_COLUMNS = (
    Column(key="sheet", title="Sheet"),
    Column(key="column", title="Column"),
    Column(key="meaning", title="Meaning"),
    Column(key="formula", title="Computed here as"),
)


def columns_table(layout: Layout) -> Table:
    """A row for each column that needs explaining."""
    return Table(
        name="columns",
        title="Columns",
        columns=_COLUMNS,
        rows=tuple(_rows(layout.places)),
        note="Figures without a formula are inputs: history, or the planner's own computation.",
    )


def _rows(places: Iterable[Place]) -> Iterable[Row]:
    groupings = False
    for place in places:
        if is_grouping(place):
            if groupings:
                continue
            groupings = True
        for column in place.table.columns:
            formula = _formula(place, column)
            if column.meaning or formula:
                yield {
                    "sheet": "By …" if is_grouping(place) else place.sheet,
                    "column": column.title,
                    "meaning": column.meaning or None,
                    "formula": formula or None,
                }


def _formula(place: Place, column: Column) -> str:
    """In the titles of columns."""
    if column.summed and is_grouping(place):
        return "sum over the lines of the ledger with that name"
    if place.has(key_column(column)) and not column.formula:
        return "effective price of the price key, from the table of prices"
    titles = {each.key: each.title for each in place.table.columns}
    spelled = with_references(column.formula, lambda key: titles.get(key, key))
    return spelled.replace("*", "×").replace(" - ", " − ")
