"""Live formulas of the workbook: prices looked up by their key, sums of the ledger, figures of other columns.

Names are compared by EXACT, never by SUMIFS or MATCH: those take `<5`, `*` and `~` for patterns and team `a` for team
`A`. What is not known is an empty text, which every sum leaves out and which COUNT does not count.
"""

from __future__ import annotations

from planner.capacity_report.column_formula import inputs_of, may_divide_by_zero, with_references
from planner.capacity_report.document import Column
from planner.capacity_report.spreadsheet_checks import check_formula
from planner.capacity_report.spreadsheet_layout import FIRST_ROW, TOTAL_ROW, Layout, Place, is_grouping

_LEDGER, _PRICES, _MIX, _CHECKS = "ledger", "prices", "price_mix", "checks"


def cell_formula(place: Place, column: Column, index: int, layout: Layout) -> str | None:
    """The formula of a figure of a table, in the row of that index; None where it is an input."""
    row = place.table.rows[index]
    if isinstance(row[column.key], str):
        return None
    if place.table.name == _CHECKS:
        return check_formula(place, column, index, layout)
    if column.summed and is_grouping(place):
        return _group_sum(place, column, index, layout)
    if place.has(key_column(column)) and place.table.name != _PRICES:
        return _price(place, column, index, layout)
    return _of_its_row(place, column, FIRST_ROW + index)


def total_formula(place: Place, column: Column) -> str | None:
    """Of the row of totals: the sum of the rows that a filter shows, or a figure of such sums."""
    if not place.table.rows:
        return None
    if column.summed:
        cells = place.here(column.key)
        return f'IF(SUBTOTAL(102,{cells})=0,"",SUBTOTAL(109,{cells}))'
    total = {each.key for each in place.table.columns if each.summed}
    return _of_its_row(place, column, TOTAL_ROW) if total.issuperset(inputs_of(column.formula)) else None


def whole_formula(column: Column, layout: Layout) -> str | None:
    """A figure of the whole ledger."""
    place = layout.place(_LEDGER)
    keys = (column.key,) if column.summed else inputs_of(column.formula)
    if place is None or not keys or not all(place.has(key) for key in keys):
        return None
    told = ",".join(f"COUNT({_LEDGER}_{key})>0" for key in keys)
    formula = f"{{{column.key}}}" if column.summed else column.formula
    figure = _guarded(formula, with_references(formula, lambda key: f"SUM({_LEDGER}_{key})"))
    return f'IF(AND({told}),{figure},"")'


def _of_its_row(place: Place, column: Column, row: int) -> str | None:
    keys = inputs_of(column.formula)
    if not keys or not all(place.has(key) for key in keys):
        return None
    cells = ",".join(place.cell(key, row) for key in keys)
    figure = with_references(column.formula, lambda key: place.cell(key, row))
    return f'IF(COUNT({cells})={len(keys)},{_guarded(column.formula, figure)},"")'


def _guarded(formula: str, figure: str) -> str:
    return f'IFERROR({figure},"")' if may_divide_by_zero(formula) else figure


def _group_sum(place: Place, column: Column, index: int, layout: Layout) -> str | None:
    """The sum of the ledger's lines with the name that the first column has."""
    key = place.table.columns[0].key
    names, figures = layout.range_of(_LEDGER, key), layout.range_of(_LEDGER, column.key)
    if names is None or figures is None or not place.table.rows[index][key]:
        return None
    return _sum_where(names, place.cell(key, FIRST_ROW + index), figures)


def key_column(column: Column) -> str:
    """The column that would name the price in this one: `price_key` beside `price`."""
    return f"{column.key}_key"


def _price(place: Place, column: Column, index: int, layout: Layout) -> str | None:
    """The price that the key names, effective or mixed, where the tables of prices have that very price."""
    row, named = place.table.rows[index], key_column(column)
    key = row[named]
    if key in layout.mixed_prices and key not in layout.prices:
        same = layout.mixed_prices[str(key)] == row[column.key]
        return _mixed_price(place.cell(named, FIRST_ROW + index)) if same else None
    if key not in layout.prices or layout.prices[str(key)] != row[column.key]:
        return None
    return _sum_where(f"{_PRICES}_price_key", place.cell(named, FIRST_ROW + index), f"{_PRICES}_price")


def _mixed_price(key: str) -> str:
    """The cost of the parts with a key over their GPU-hours; not known where that of one is not."""
    chosen = f"EXACT({_MIX}_mix,{key})"
    missing = f"SUMPRODUCT({chosen}*(1-ISNUMBER({_MIX}_cost)))"
    return f'IF({missing}>0,"",SUMPRODUCT(--{chosen},{_MIX}_cost)/SUMPRODUCT(--{chosen},{_MIX}_gpu_h))'


def _sum_where(names: str, name: str, figures: str) -> str:
    told = f"SUMPRODUCT(EXACT({names},{name})*ISNUMBER({figures}))"
    return f'IF({told}=0,"",SUMPRODUCT(--EXACT({names},{name}),{figures}))'
