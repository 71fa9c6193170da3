"""The workbook as it is written: the same bytes each time, texts as texts, formulas that carry our own results."""

from __future__ import annotations

import builtins
import io
import zipfile
from dataclasses import replace
from datetime import date

import pytest

from models.errors import InvalidInput
from planner.capacity_report.assembled import Material, capacity_report
from planner.capacity_report.document import CapacityReport, Column, Kind, Table
from planner.capacity_report.service_record import record
from planner.capacity_report.spreadsheet import write_xlsx
from planner.capacity_report.spreadsheet_cells import TEXT_LENGTH, cell_text
from planner.capacity_report.spreadsheet_formats import number_format
from planner.capacity_report.spreadsheet_layout import FIRST_ROW, column_letters, layout_of
from tests.planner.capacity_report.small_fleet import OCTOBER, accounted, history, price, small_report
from tests.planner.capacity_report.trap_fleet import NAMES, trap_report
from tests.planner.capacity_report.workbook_reader import (
    headline_of,
    opened,
    place_of,
    rows_of_sheet,
    same,
    totals_of_sheet,
)


@pytest.fixture(scope="module")
def small() -> bytes:
    return write_xlsx(small_report())


def with_table(report: CapacityReport, table: Table) -> CapacityReport:
    return replace(report, tables=(*(each for each in report.tables if each.name != table.name), table))


def test_the_same_report_is_the_same_bytes_on_any_day(small, monkeypatch, tmp_path):
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    stream = io.BytesIO()
    assert write_xlsx(small_report(), stream) == small == stream.getvalue()
    write_xlsx(small_report(), tmp_path / "report.xlsx")
    assert (tmp_path / "report.xlsx").read_bytes() == small
    parts = zipfile.ZipFile(io.BytesIO(small)).infolist()
    assert {each.date_time for each in parts} == {(1980, 1, 1, 0, 0, 0)}
    assert opened(small).properties.created.date() == small_report().made_on


def test_a_viewer_without_an_engine_shows_our_figures(small):
    report, workbook = small_report(), opened(small)
    for table in report.tables:
        for wanted, found in zip(table.rows, rows_of_sheet(workbook, report, table.name), strict=True):
            assert all(same(found[key], value, rel=1e-14) for key, value in wanted.items())
        for column in table.columns:
            if column.summed:
                total = totals_of_sheet(workbook, report, table.name)[column.key]
                assert same(total, table.total(column.key), rel=1e-14)
    for figure in report.headline:
        assert same(headline_of(workbook)[figure["label"]], figure["value"], rel=1e-14)


def test_every_cost_total_and_ratio_is_a_formula(small):
    report, workbook = small_report(), opened(small, formulas=True)
    inputs = {"list_price", "discount", "on_demand_list_price", "on_demand_price", "key"}
    for name in ("ledger", "prices", "by_team", "by_service", "checks"):
        place = place_of(report, name)
        money = [each for each in place.table.columns if each.kind in (Kind.MONEY, Kind.PRICE, Kind.SHARE)]
        chosen = place.table.columns[1:] if name in ("by_team", "by_service", "checks") else money
        for column in chosen:
            for index in range(len(place.table.rows)):
                cell = workbook[place.sheet][f"{place.letters(column.key)}{FIRST_ROW + 1 + index}"]
                assert (cell.data_type == "f") is (column.key not in inputs), (name, column.key)
    headline = headline_of(workbook)
    assert [each["label"] for each in report.headline if not str(headline[each["label"]]).startswith("=")] == []
    assert str(headline["Checks"]).startswith("=")
    assert {"prices_list_price", "prices_discount", "ledger_team", "total_allocated_cost", "checks_status"} <= set(
        workbook.defined_names
    )


def test_the_price_of_a_line_is_that_of_its_key_and_an_unknown_one_no_zero():
    report = trap_report()
    prices, lines = report.table("prices").rows, report.table("ledger").rows
    unknown = next(row["price_key"] for row in prices if row["price"] is None)
    rows = rows_of_sheet(opened(write_xlsx(report)), report, "ledger")
    assert [row["price_key"] for row in rows if row["allocated_cost"] is None] == [unknown]
    assert [row["price"] for row in rows] == [line["price"] for line in lines]


def test_texts_that_look_like_formulas_are_texts_and_stay_them_when_edited():
    report = trap_report()
    workbook = opened(write_xlsx(report), formulas=True)
    place = place_of(report, "ledger")
    for index, row in enumerate(report.table("ledger").rows):
        cell = workbook[place.sheet].cell(FIRST_ROW + 1 + index, 1)
        assert (cell.data_type, cell.value) == ("s", row["service"])
        assert cell.number_format == "@"
        assert cell.quotePrefix is row["service"].startswith(("=", "+", "-", "@", "\t", "'"))
    assert len(NAMES) == len(set(NAMES))


def test_no_formula_holds_a_name():
    report = trap_report()
    workbook = opened(write_xlsx(report), formulas=True)
    formulas = [cell.value for sheet in workbook for row in sheet for cell in row if cell.data_type == "f"]
    assert len(formulas) > 1000
    assert not [each for each in formulas if len(each) > 1000 or "cmd" in each or "lll" in each]


def test_what_is_not_known_is_an_empty_cell():
    report = with_table(small_report(), Table(
        name="risk", title="Risk", columns=(Column(key="a", title="A"), Column(key="b", title="B", kind=Kind.MONEY),
                                            Column(key="c", title="C", kind=Kind.SHARE, formula="{b} / {d}"),
                                            Column(key="d", title="D", kind=Kind.COUNT)),
        rows=({"a": None, "b": None, "c": None, "d": float("nan")}, {"a": "", "b": 0.0, "c": None, "d": 0}),
    ))  # fmt: skip
    workbook = opened(write_xlsx(report))
    assert rows_of_sheet(workbook, report, "risk") == [
        {"a": None, "b": None, "c": None, "d": None},
        {"a": None, "b": 0, "c": None, "d": 0},
    ]


def test_further_tables_have_formulas_where_their_columns_say_so():
    key = small_report().table("prices").rows[1]
    columns = (
        Column(key="month", title="Month", kind=Kind.DATE),
        Column(key="price_key", title="Price key"),
        Column(key="gpu_h", title="GPU-h", kind=Kind.GPU_HOURS, summed=True),
        Column(key="price", title="Price", kind=Kind.PRICE),
        Column(key="cost", title="Cost", kind=Kind.MONEY, summed=True, formula="{gpu_h} * {price}"),
    )
    row = {"month": date(2026, 11, 1), "price_key": key["price_key"], "gpu_h": 10.0, "price": key["price"]}
    other = {"month": date(2026, 12, 1), "price_key": "none of the table", "gpu_h": 10.0, "price": 2.0}
    rows = tuple({**each, "cost": each["gpu_h"] * each["price"]} for each in (row, other))
    report = with_table(small_report(), Table(name="growth", title="Growth", columns=columns, rows=rows))
    found = rows_of_sheet(opened(write_xlsx(report), formulas=True), report, "growth")
    assert found[0]["price"].endswith("SUMPRODUCT(--EXACT(prices_price_key,$B5),prices_price))")
    assert [each["cost"] for each in found] == [
        '=IF(COUNT($C5,$D5)=2,$C5 * $D5,"")',
        '=IF(COUNT($C6,$D6)=2,$C6 * $D6,"")',
    ]
    assert found[1]["price"] == 2


def test_a_report_on_nothing_is_written():
    report = capacity_report(
        Material(period=OCTOBER, covered=0, records=(), prices={}, currency="EUR", made_on=date(2026, 11, 1))
    )
    assert headline_of(opened(write_xlsx(report)))["Cost"] is None


def test_a_fleet_without_prices_has_charts_in_gpu_hours():
    one = record(accounted("chat"), history(10.0, 2.0), OCTOBER)
    report = capacity_report(
        Material(
            period=OCTOBER, covered=OCTOBER.slots, records=(one,), prices={one.accounted.name: price(one, None)},
            currency="EUR", made_on=date(2026, 11, 1),
        )
    )  # fmt: skip
    data = write_xlsx(report)
    charts = [part for part in zipfile.ZipFile(io.BytesIO(data)).namelist() if part.startswith("xl/charts/chart")]
    titles = b"".join(zipfile.ZipFile(io.BytesIO(data)).read(part) for part in charts).decode()
    assert "Idle by cause (GPU-hours)" in titles
    assert "GPU-hours by team" in titles
    assert rows_of_sheet(opened(data), report, "by_team")[0]["allocated_cost"] is None


def test_two_prices_of_one_key_are_not_added():
    report = small_report()
    prices = report.table("prices")
    doubled = with_table(report, replace(prices, rows=(*prices.rows, prices.rows[0])))
    found = rows_of_sheet(opened(write_xlsx(doubled), formulas=True), doubled, "ledger")
    assert found[0]["price"] == report.table("ledger").rows[0]["price"]


def test_names_of_sheets_are_short_sound_and_unlike_each_other():
    titles = ["What if: [a/b]?", "x" * 40, "X" * 40, "Summary", "History", "'", "'quoted'"]
    tables = [Table(name=f"t{at}", title=title, columns=(), rows=()) for at, title in enumerate(titles)]
    sheets = [each.sheet for each in layout_of(tables, taken=("Summary",)).places]
    assert sheets == ["What if a b", "x" * 31, "X" * 27 + " (2)", "Summary (2)", "History (2)", "Table", "quoted"]


def test_a_text_that_no_cell_holds_is_cut_and_says_so():
    cut = cell_text("🙂" * TEXT_LENGTH)
    assert len(cut.encode("utf-16-le")) // 2 <= TEXT_LENGTH
    assert cut.endswith("CSV and JSON have all of it)")
    assert cell_text("a" * TEXT_LENGTH) == "a" * TEXT_LENGTH
    assert cell_text("a\ud800b") == "a?b"


def test_money_shows_its_currency():
    assert number_format(Kind.MONEY, "EUR") == "[$EUR] #,##0.00"
    assert number_format(Kind.PRICE, "USD") == "[$USD] #,##0.0000"


def test_columns_are_lettered_as_spreadsheets_do():
    assert [column_letters(at) for at in (0, 25, 26, 701, 702)] == ["A", "Z", "AA", "ZZ", "AAA"]


def test_a_table_that_no_sheet_holds_is_refused(monkeypatch):
    monkeypatch.setattr("planner.capacity_report.spreadsheet._MOST_ROWS", 2)
    with pytest.raises(InvalidInput, match="has 3 rows; a sheet holds 2"):
        write_xlsx(small_report())


def test_without_the_library_it_is_said_how_to_install_it(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "xlsxwriter":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InvalidInput, match="needs XlsxWriter") as refused:
        write_xlsx(small_report())
    assert "pip install 'replicast[report]'" in refused.value.remedy
