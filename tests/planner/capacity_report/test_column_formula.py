"""Formulas of columns: they say what the figures are, and read alike in Python and in a spreadsheet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.capacity_report.column_formula import inputs_of, value_of, with_references
from planner.capacity_report.document import Table
from planner.capacity_report.measures import MONEY, QUANTITIES, RATIOS, SERVICE_LEVEL, priced, with_ratios
from tests.planner.capacity_report.small_fleet import small_report

_KNOWN = st.floats(0.0, 1e9)
_MEASURES = (*MONEY, *RATIOS)


def expect_formulas_hold(table: Table) -> None:
    """Every figure of a column with a formula is what the formula makes of its row."""
    for column in table.columns:
        for row in table.rows if column.formula and set(inputs_of(column.formula)) <= row_keys(table) else ():
            expect_same(row[column.key], value_of(column.formula, row))


def row_keys(table: Table) -> set[str]:
    return {each.key for each in table.columns}


def expect_same(found, wanted):
    assert found == (None if wanted is None else pytest.approx(wanted, rel=1e-9, abs=1e-6))


@pytest.mark.parametrize("table", small_report().tables, ids=lambda each: each.name)
def test_figures_of_every_table_are_what_their_formulas_say(table):
    expect_formulas_hold(table)


@given(
    st.fixed_dictionaries(
        {each.key: st.none() | _KNOWN for each in (*QUANTITIES, *SERVICE_LEVEL)}
        | {"allocated_gpu_h": _KNOWN, "used_gpu_h": _KNOWN, "unexplained_gpu_h": _KNOWN, "breach_minutes": _KNOWN}
    ),
    st.none() | st.floats(0.0, 1e3),
)
def test_money_and_ratios_are_what_their_formulas_say(quantities, price):
    row = with_ratios({**priced(quantities, price), "price": price})
    for column in _MEASURES:
        expect_same(row[column.key], value_of(column.formula, row))


def test_a_figure_is_not_known_where_an_input_is_not_or_where_it_would_be_divided_by_0():
    assert value_of("{a} * 2 + 1 - {b} / 4", {"a": 3, "b": 2.0}) == 6.5
    assert value_of("{a} / {b}", {"a": 1.0, "b": None}) is None
    assert value_of("{a} / {b}", {"a": 1.0, "b": 0.0}) is None
    assert value_of("{a} / {b}", {"a": 1.0, "b": "<5"}) is None


def test_references_are_written_as_the_reader_likes():
    assert inputs_of("{a} / ({a} + {b_c})") == ("a", "b_c")
    assert with_references("{a} / ({a} + {b_c})", lambda key: f"${key.upper()}5") == "$A5 / ($A5 + $B_C5)"


@pytest.mark.parametrize("formula", ["{a} ** 2", "-{a}", "abs({a})", "{a} +", "a", "'x'", "{a}.real", ""])
def test_anything_else_is_no_formula(formula):
    with pytest.raises(ValueError, match="formula"):
        value_of(formula, {"a": 1.0})
