"""The report as Markdown (GitHub's tables): every table, wide ones in parts, with the digits that people read."""

from __future__ import annotations

import re
from collections.abc import Sequence

from planner.capacity_report.document import CapacityReport, Cell, Kind, Row, Table
from planner.capacity_report.shown import NOT_KNOWN, is_text, plain_text, shown, shown_with_unit
from planner.capacity_report.spending import spending
from planner.capacity_report.summary import days_told, glossary, lede, span, trust
from planner.capacity_report.table_parts import Part, parts

_SPECIAL = re.compile(r"[\\`*\[\]<>|~$#!&]|(?<!\w)_|_(?!\w)")
"""What begins markup, a reference, mathematics or a cell."""


def to_markdown(report: CapacityReport) -> str:
    """The whole report; a dash is "not known"."""
    spent = spending(report)
    blocks = [
        f"# {escaped(report.title)}",
        f"{escaped(span(report))}. Money in {report.currency}. {NOT_KNOWN} is “not known”.",
        f"Made on {report.made_on} by Replicast {escaped(report.version)}.",
        f"**{escaped(lede(report))}** Checks: {_trust(report)}.",
        _headline(report),
        *_table(spent, report.currency),
    ]
    for table in report.tables:
        if table.name == "days":
            blocks += [f"## {table.title}", days_told(table), *_parts(table, report.currency)]
        else:
            blocks += _table(table, report.currency)
    blocks += ["## What the columns mean"]
    meanings = [f"- **{escaped(title)}**: {escaped(text)}" for title, text in glossary((spent, *report.tables))]
    return "\n\n".join([*blocks, "\n".join(meanings)]) + "\n"


def escaped(text: str) -> str:
    """The text in one line as it is, whatever Markdown or HTML would make of it."""
    return _SPECIAL.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), plain_text(text))


_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def _trust(report: CapacityReport) -> str:
    return "; ".join(f"{each['text']} (“{report.table(each['table']).title}”)" for each in trust(report))


def _headline(report: CapacityReport) -> str:
    rows = [
        [
            escaped(str(row["label"])),
            escaped(shown_with_unit(row["value"], Kind(str(row["kind"])), report.currency)),
            escaped(str(row["note"] or "")),
        ]
        for row in report.headline
    ]
    return _grid(["Figure", "Value", "Note"], ["left", "right", "left"], rows)


def _table(table: Table, currency: str) -> list[str]:
    note = [escaped(table.note)] if table.note else []
    return [f"## {escaped(table.title)}", *note, *_parts(table, currency)]


def _parts(table: Table, currency: str) -> list[str]:
    found: list[str] = []
    for part in parts(table):
        if part.title and table.rows:
            found.append(f"### {escaped(part.caption(table, currency))}")
        if table.rows:
            found.append(_of_part(table, part, currency))
    return found


def _of_part(table: Table, part: Part, currency: str) -> str:
    rows = [_cells(row, part, currency) for row in table.rows]
    if len(rows) > 1 and any(each.summed for each in part.columns):
        total: dict[str, Cell] = {each.key: table.total(each.key) if each.summed else "" for each in part.columns}
        total[part.columns[0].key] = "Total"
        rows.append(_cells(total, part, currency))
    sides = ["left" if is_text(each) else "right" for each in part.columns]
    return _grid([escaped(each) for each in part.headings(currency)], sides, rows)


def _cells(row: Row, part: Part, currency: str) -> list[str]:
    return [escaped(shown(row[each.key], each.kind, currency)) for each in part.columns]


def _grid(titles: Sequence[str], sides: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---" if side == "left" else "--:" for side in sides]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (titles, rule, *rows))
