"""The report as one HTML file: no script, no request, readable in the dark, on a phone, on paper and aloud."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from models.errors import InvalidInput
from planner.capacity_report.document import CapacityReport, Cell, Column, Kind, Row, Table, number
from planner.capacity_report.figures import HEIGHT, Segment, bar, days_chart
from planner.capacity_report.shown import is_text, plain_text, shown, shown_with_unit
from planner.capacity_report.spending import spending
from planner.capacity_report.summary import days_told, glossary, lede, span, trust, unpriced_gpu_h
from planner.capacity_report.table_parts import Part, parts

INSTALL = "install the extra: pip install 'replicast[report]'"
TEAMS_AT_FIRST = 10
"""On the first page; all of them are among the tables."""
SHORT_WORDS = 20
"""Characters up to which a column's words are kept in one line; a moment has as many."""
LONG_WORDS = 60
"""Characters above which a column needs room."""
LONG_TABLE = 40
"""Rows above which a table scrolls in a box of its own on a screen."""
_TEMPLATES = Path(__file__).parent / "templates"
_LAST = ("assumptions", "holes", "checks")


def require_jinja2() -> None:
    """Raise InvalidInput where the library is missing."""
    if find_spec("jinja2") is None:
        raise InvalidInput("a report as HTML needs jinja2", remedy=INSTALL)


def to_html(report: CapacityReport) -> str:
    """The whole file. Raises InvalidInput where jinja2 is missing."""
    require_jinja2()
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup, escape

    style = (_TEMPLATES / "report.css").read_text(encoding="utf-8")
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: plain_text(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    unbroken = Markup('<span class="nb">GPU-h</span>')
    environment.filters["unbroken"] = lambda text: escape(text).replace("GPU-h", unbroken)
    page = environment.get_template("report.html.jinja")
    return page.render(style=Markup(style), style_hash=_hash(style), height=HEIGHT, **_content(report))  # noqa: S704 -- our own file


def _hash(style: str) -> str:
    """As a content security policy names what it lets pass (CSP level 3, section 2.3.1)."""
    return f"sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}"


def _content(report: CapacityReport) -> dict[str, Any]:
    spent, days = spending(report), report.table("days")
    tables = [_Shown.of(table, report.currency) for table in report.tables]
    return {
        "report": report,
        "span": span(report),
        "lede": lede(report),
        "trust": trust(report),
        "figures": [_figure(row, report.currency) for row in report.headline],
        "spending": _Shown.of(spent, report.currency),
        "spending_bar": bar([(str(index), number(row["share"])) for index, row in enumerate(spent.rows, start=1)]),
        "spending_told": _spending_told(report, spent),
        "days_told": days_told(days),
        "chart": days_chart(days) if days.rows else None,
        "teams": _Teams.of(report) if report.has("by_team") else None,
        "details": [each for each in tables if each.name not in _LAST],
        "last": [each for each in tables if each.name in _LAST],
        "glossary": glossary((spent, *report.tables)),
    }


def _spending_told(report: CapacityReport, spent: Table) -> str:
    if spent.total("cost") is None:
        return "Numbered as in the table; by GPU-hours, as no price is known."
    if unpriced := unpriced_gpu_h(report):
        hours = shown(unpriced, Kind.GPU_HOURS)
        return f"Numbered as in the table. Costs and shares leave out {hours} GPU-hours whose price is not known."
    return "Numbered as in the table."


def _figure(row: Row, currency: str) -> dict[str, Any]:
    kind = Kind(str(row["kind"]))
    return {
        "label": row["label"],
        "value": None if row["value"] is None else shown_with_unit(row["value"], kind, currency),
        "note": row["note"],
        "great": kind is Kind.MONEY,
    }


@dataclass(frozen=True, kw_only=True)
class _Head:
    """A column's title and what its cells are."""

    title: str
    place: str
    """The class of its cells: `t` for words; `s` where they are short, in one line; `l` where they are long."""


@dataclass(frozen=True, kw_only=True)
class _Grid:
    """Some columns of a table, ready to be written: None is a cell that is not known."""

    caption: str
    keys: int
    columns: tuple[_Head, ...]
    rows: tuple[tuple[str | None, ...], ...]
    total: tuple[str | None, ...] | None


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """A table, ready to be written."""

    name: str
    title: str
    note: str
    long: bool
    grids: tuple[_Grid, ...]

    @staticmethod
    def of(table: Table, currency: str) -> _Shown:
        """In its parts."""
        grids = tuple(_grid(table, part, currency) for part in parts(table))
        long = len(table.rows) > LONG_TABLE
        return _Shown(name=table.name, title=table.title, note=table.note, long=long, grids=grids if table.rows else ())


def _grid(table: Table, part: Part, currency: str) -> _Grid:
    columns, total = part.columns, None
    if len(table.rows) > 1 and any(each.summed for each in columns):
        sums: list[Cell] = [table.total(each.key) if each.summed else "" for each in columns]
        total = ("Total", *(_cell(value, each, currency) for value, each in zip(sums[1:], columns[1:], strict=True)))
    return _Grid(
        caption=part.caption(table, currency),
        keys=part.keys,
        columns=tuple(
            _Head(title=title, place=_place(table, each))
            for title, each in zip(part.headings(currency), columns, strict=True)
        ),
        rows=tuple(tuple(_cell(row[each.key], each, currency) for each in columns) for row in table.rows),
        total=total,
    )


def _place(table: Table, column: Column) -> str:
    if not is_text(column):
        return ""
    longest = max((len(str(row[column.key] or "")) for row in table.rows), default=0)
    return "t s" if longest <= SHORT_WORDS else "t l" if longest > LONG_WORDS else "t"


def _cell(value: Cell, column: Column, currency: str) -> str | None:
    return None if value is None else shown(value, column.kind, currency)


@dataclass(frozen=True, kw_only=True)
class _Teams:
    """The dearest teams, with a bar each: work, idle, unexplained; the longest bar is the dearest team."""

    grid: _Grid
    bars: tuple[tuple[Segment, ...], ...]
    unit: str
    """What the bars' lengths are."""
    more: int
    """Teams that are not among them."""

    @staticmethod
    def of(report: CapacityReport) -> _Teams:
        """Of the table by team."""
        table = report.table("by_team")
        keys = ("team", "allocated_cost", "idle_cost", "allocated_gpu_h", "utilisation", "attainment", "breach_minutes")
        kept = Table(
            name=table.name, title=table.title, columns=tuple(map(table.column, keys)),
            rows=table.rows[:TEAMS_AT_FIRST],
        )  # fmt: skip
        unit = "gpu_h" if any(row["allocated_cost"] is None for row in kept.rows) else "cost"
        most = max((number(row[f"allocated_{unit}"]) for row in kept.rows), default=0.0)
        return _Teams(
            grid=_grid(kept, Part(title="", columns=kept.columns), report.currency),
            bars=tuple(bar(_uses(row, unit), whole=most or 1.0) for row in kept.rows),
            unit="GPU-h" if unit == "gpu_h" else "cost",
            more=len(table.rows) - len(kept.rows),
        )


def _uses(row: Row, unit: str) -> list[tuple[str, float]]:
    whole, idle, unexplained = (number(row[f"{name}_{unit}"]) for name in ("allocated", "idle", "unexplained"))
    return [("used", whole - idle - unexplained), ("idle", idle), ("unexplained", unexplained)]
