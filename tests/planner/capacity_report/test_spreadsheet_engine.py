"""The workbook recalculated by LibreOffice: no errors, our totals, and prices that move them as they should."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import openpyxl
import pytest

from planner.capacity_report.document import CapacityReport, Table
from planner.capacity_report.spreadsheet import write_xlsx
from planner.capacity_report.spreadsheet_layout import FIRST_ROW
from tests.planner.capacity_report.committed_fleet import POOL, mixed_report
from tests.planner.capacity_report.small_fleet import small_report
from tests.planner.capacity_report.spreadsheet_engine import recalculated, with_wrong_results
from tests.planner.capacity_report.trap_fleet import NAMES, trap_report
from tests.planner.capacity_report.workbook_reader import (
    headline_of,
    opened,
    place_of,
    rows_of_sheet,
    same,
    totals_of_sheet,
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:openpyxl")

_TRIPLED = 3.0


@pytest.fixture(scope="module")
def computed(tmp_path_factory) -> dict[str, bytes]:
    """Every workbook had wrong results in it; one has other prices than it was written with."""
    small, traps, mixed = (write_xlsx(each()) for each in (small_report, trap_report, mixed_report))
    beside = {"/".join(POOL): _TRIPLED, f"{'/'.join(POOL)} for b": _TRIPLED}
    return recalculated(
        {
            "small": with_wrong_results(small),
            "traps": with_wrong_results(traps),
            "tripled": _with_list_prices(traps, trap_report(), dict.fromkeys(NAMES, _TRIPLED)),
            "mixed": with_wrong_results(mixed),
            "dear": _with_list_prices(mixed, mixed_report(), {f"{'/'.join(POOL)} commitment 1": _TRIPLED}),
            "beside": _with_list_prices(mixed, mixed_report(), beside),
            "wrong": write_xlsx(_that_does_not_add_up(small_report())),
            "discounted": _with_a_discount(small, small_report()),
        },
        tmp_path_factory.mktemp("engine"),
    )


def _with_list_prices(data: bytes, report: CapacityReport, factors: Mapping[Any, float]) -> bytes:
    """As somebody does who types other prices. openpyxl keeps no results of formulas."""
    workbook, place = opened(data, formulas=True), place_of(report, "prices")
    for index, row in enumerate(place.table.rows):
        if row["list_price"] is not None:
            cell = f"{place.letters('list_price')}{FIRST_ROW + 1 + index}"
            workbook[place.sheet][cell] = row["list_price"] * factors.get(row["price_key"], 1.0)
    return _saved(workbook)


def _with_a_discount(data: bytes, report: CapacityReport) -> bytes:
    """A quarter off the first price only."""
    workbook, place = opened(data, formulas=True), place_of(report, "prices")
    workbook[place.sheet][f"{place.letters('discount')}{FIRST_ROW + 1}"] = 0.25
    return _saved(workbook)


def _saved(workbook: openpyxl.Workbook) -> bytes:
    stream = io.BytesIO()
    workbook.save(stream)
    return stream.getvalue()


def expect_figures_of(report: CapacityReport, data: bytes) -> None:
    """The same in every table, in the headline, and in the totals; and no error in any cell."""
    workbook = opened(data)
    errors = [f"{sheet.title}!{cell.coordinate}" for sheet in workbook for row in sheet for cell in row
              if cell.data_type == "e"]  # fmt: skip
    assert not errors
    for table in report.tables:
        expect_rows(table, rows_of_sheet(workbook, report, table.name))
        for column in table.columns:
            if column.summed:
                shown = totals_of_sheet(workbook, report, table.name)[column.key]
                assert same(shown, table.total(column.key)), (table.name, column.key)
    headline = headline_of(workbook)
    for figure in report.headline:
        assert same(headline[figure["label"]], figure["value"]), figure["label"]
    assert headline["Checks"] == f"all {len(report.table('checks').rows)} are zero"


def expect_rows(table: Table, rows: list[dict[str, Any]]) -> None:
    for wanted, found in zip(table.rows, rows, strict=True):
        for column in table.columns:
            assert same(found[column.key], wanted[column.key]), (table.name, column.key, wanted)


def test_a_spreadsheet_program_computes_what_we_report(computed):
    expect_figures_of(small_report(), computed["small"])


def test_names_that_are_patterns_comparisons_or_formulas_are_summed_by_themselves(computed):
    report = trap_report()
    assert len(report.table("by_team").rows) == len(NAMES)
    expect_figures_of(report, computed["traps"])


def test_mixed_prices_are_computed_and_move_with_each_of_their_parts(computed):
    expect_figures_of(mixed_report(), computed["mixed"])
    expect_figures_of_costs(mixed_report(committed=_TRIPLED), computed["dear"])
    expect_figures_of_costs(mixed_report(beside=3.0 * _TRIPLED), computed["beside"])


def test_other_list_prices_move_every_cost_and_total_as_they_should(computed):
    expect_figures_of_costs(trap_report(factor=_TRIPLED), computed["tripled"])


def expect_figures_of_costs(report: CapacityReport, data: bytes) -> None:
    """As for a report of the new prices, whose groups may stand in another order."""
    workbook = opened(data)
    for table in report.tables:
        if not table.name.startswith("by_"):
            continue
        key = table.columns[0].key
        found = {row[key]: row for row in rows_of_sheet(workbook, report, table.name)}
        expect_rows(table, [found[row[key]] for row in table.rows])
    expect_rows(report.table("ledger"), rows_of_sheet(workbook, report, "ledger"))
    headline = headline_of(workbook)
    for figure in report.headline:
        assert same(headline[figure["label"]], figure["value"]), figure["label"]
    assert headline["Checks"].startswith("all ")


def test_a_discount_moves_the_lines_of_its_price_key_and_no_other(computed):
    report = small_report()
    prices = report.table("prices").rows
    workbook = opened(computed["discounted"])
    moved = sum(
        row["allocated_cost"] * (0.75 if row["price_key"] == prices[0]["price_key"] else 1.0)
        for row in report.table("ledger").rows
    )
    assert headline_of(workbook)["Cost"] == pytest.approx(moved)
    assert totals_of_sheet(workbook, report, "by_team")["allocated_cost"] == pytest.approx(moved)
    tokens = [row for row in report.table("ledger").rows if row["token_cost"] is not None]
    cost = sum(row["token_cost"] * (0.75 if row["price_key"] == prices[0]["price_key"] else 1.0) for row in tokens)
    a_million = cost / sum(row["costed_tokens"] for row in tokens) * 1e6
    assert headline_of(workbook)["Cost of 1M tokens"] == pytest.approx(a_million)


def test_texts_that_look_like_formulas_are_texts_after_the_program_saved_them(computed):
    report = trap_report()
    workbook, place = opened(computed["traps"], formulas=True), place_of(report, "by_service")
    for row in range(FIRST_ROW + 1, place.last_row + 2):
        cell = workbook[place.sheet].cell(row, 1)
        assert cell.data_type == "s"
        assert cell.value in NAMES


def test_a_workbook_that_does_not_add_up_says_so(computed):
    checks = len(small_report().table("checks").rows)
    assert headline_of(opened(computed["wrong"]))["Checks"] == f"2 of {checks} are not zero"


def _that_does_not_add_up(report: CapacityReport) -> CapacityReport:
    """One cause of idle time is an hour too long, and with it what it costs."""
    first, *others = report.table("ledger").rows
    rows = ({**first, "burst_headroom_gpu_h": first["burst_headroom_gpu_h"] + 1.0}, *others)
    return replace(
        report,
        tables=tuple(replace(each, rows=rows) if each.name == "ledger" else each for each in report.tables),
    )
