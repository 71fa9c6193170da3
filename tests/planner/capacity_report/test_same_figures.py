"""The same numbers in each format: to the last digit where programs read them, as shown where people do."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from datetime import date
from pathlib import Path

import pytest

from planner.capacity_report.delimited import csv_archive, ledger_csv, without_guard
from planner.capacity_report.document import Kind, Table
from planner.capacity_report.html import to_html
from planner.capacity_report.json_document import FORMAT, to_json
from planner.capacity_report.markdown import to_markdown
from tests.planner.capacity_report.stated_report import stated_report
from tests.planner.capacity_report.tables_read_back import html_tables, markdown_tables

GOLDEN = Path(__file__).parents[2] / "golden"
REPORT = stated_report()
DECIMALS = {Kind.COUNT: 0, Kind.HOURS: 1, Kind.GPU_HOURS: 1, Kind.MONEY: 2, Kind.PRICE: 4, Kind.MINUTES: 0,
            Kind.MONTHS: 1, Kind.NUMBER: 4}  # fmt: skip
NOT_KNOWN = {"markdown": "–", "html": "not known"}
GRIDS = {"markdown": markdown_tables(to_markdown(REPORT)), "html": html_tables(to_html(REPORT))}


def cells(grids, table: Table) -> dict[str, list[str]]:
    """Every column of a table by its title, out of all its parts, without the line of totals."""
    found: dict[str, list[str]] = {}
    for title, grid in grids.items():
        if title == table.title or title.startswith(f"{table.title}: "):
            titles, *rows = grid
            body = rows[: len(table.rows)]
            found |= {name.removesuffix(", EUR"): [row[at] for row in body] for at, name in enumerate(titles)}
    return found


def expect_shown(text: str, value, kind: Kind, *, unknown: str) -> None:
    if value is None:
        assert text == unknown
    elif isinstance(value, str):
        assert text == " ".join(value.replace("\u202e", "[U+202E]").split())
    elif isinstance(value, date):
        assert text == value.isoformat()
    elif kind is Kind.SHARE:
        assert float(text.removesuffix("%").replace(",", "")) == pytest.approx(100.0 * value, abs=0.0051)
    else:
        half_a_digit = 0.5001 * 10.0 ** -DECIMALS[kind]
        assert float(text.replace(",", "")) == pytest.approx(value, abs=half_a_digit, rel=0.0)


@pytest.mark.parametrize("form", ["markdown", "html"])
@pytest.mark.parametrize("name", [each.name for each in REPORT.tables])
def test_people_read_every_cell(form, name):
    table = REPORT.table(name)
    shown = cells(GRIDS[form], table)
    for column in table.columns:
        for text, row in zip(shown[column.title], table.rows, strict=True):
            expect_shown(text, row[column.key], column.kind, unknown=NOT_KNOWN[form])


@pytest.mark.parametrize("form", ["markdown", "html"])
def test_a_wrong_digit_would_be_seen(form):
    other = stated_report(tables=stated_report().tables)
    shown = cells(GRIDS[form], other.table("by_team"))
    with pytest.raises(AssertionError):
        expect_shown(shown["Cost"][0], other.table("by_team").rows[0]["allocated_cost"] + 0.01, Kind.MONEY, unknown="")


@pytest.mark.parametrize("form", ["markdown", "html"])
def test_totals_are_the_ledgers(form):
    total = GRIDS[form]["By team: cost, EUR"][-1]
    assert total[:4] == ["Total", "2,285.52", "2,068.29", "858.64"]
    assert GRIDS[form]["Where the money goes"][-1][:4] == ["Total", "2,285.52", "100.00%", "689.6"]


def test_json_has_every_digit():
    read = json.loads(to_json(REPORT))
    assert read.pop("format") == FORMAT
    assert read == REPORT.as_dict()


def test_csv_has_every_digit_of_every_table():
    archive = zipfile.ZipFile(io.BytesIO(csv_archive(REPORT)))
    assert archive.namelist() == ["headline.csv", *(f"{each.name}.csv" for each in REPORT.tables)]
    for table in REPORT.tables:
        text = archive.read(f"{table.name}.csv").decode()
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
        assert list(rows[0]) == [each.key for each in table.columns]
        for read, row in zip(rows, table.rows, strict=True):
            for key, value in row.items():
                if isinstance(value, int | float):
                    assert float(read[key]) == value
                else:
                    assert without_guard(read[key]) == ("" if value is None else str(value))


def test_the_csv_of_the_report_is_its_ledger():
    assert ledger_csv(REPORT).encode() == zipfile.ZipFile(io.BytesIO(csv_archive(REPORT))).read("ledger.csv")
    assert ledger_csv(REPORT).count("\r\n") == ledger_csv(REPORT).count("\n") == 4


@pytest.mark.parametrize("write", [to_html, to_markdown, to_json, ledger_csv, csv_archive])
def test_the_same_report_gives_the_same_bytes(write):
    assert write(stated_report()) == write(stated_report())


@pytest.mark.parametrize(("write", "golden"), [(to_markdown, "report.md"), (to_html, "report.html")])
def test_the_whole_text(write, golden):
    assert write(REPORT) == (GOLDEN / golden).read_text(encoding="utf-8")


def test_a_number_that_is_none_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        to_json(stated_report(hours=float("nan")))


def test_the_title_is_written_in_one_line():
    assert re.match(r"# a b\n\n", to_markdown(stated_report(title="a\nb")))
