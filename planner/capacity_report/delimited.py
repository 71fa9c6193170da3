"""The report as CSV (RFC 4180): the ledger alone in one file, or every table in a zip archive.

Columns are headed by their keys, numbers have every digit, what is not known is empty. Text that a spreadsheet would
take for a formula gets an apostrophe in front (OWASP, CSV Injection); so does text that begins with one, which makes
`without_guard` exact.
"""

from __future__ import annotations

import csv
import io
import unicodedata
import zipfile
from datetime import date

from planner.capacity_report.document import CapacityReport, Cell, Column, Kind, Table

GUARD = "'"
_STARTS = frozenset("=+-@＝＋－＠")
"""With what a spreadsheet begins a formula, in both widths."""
_UNSEEN = ("Cc", "Cf", "Zs", "Zl", "Zp")
_LEDGER = "ledger"
_HEADLINE = (
    Column(key="label", title="Figure"),
    Column(key="value", title="Value", kind=Kind.NUMBER),
    Column(key="kind", title="Kind"),
    Column(key="note", title="Note"),
)


def ledger_csv(report: CapacityReport) -> str:
    """The ledger: every other sum is a sum of its lines."""
    return to_csv(report.table(_LEDGER))


def csv_archive(report: CapacityReport) -> bytes:
    """A zip archive with a file a table, and the headline; the same bytes for the same report."""
    headline = Table(name="headline", title="Headline", columns=_HEADLINE, rows=report.headline)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for table in (headline, *report.tables):
            made = report.made_on
            entry = zipfile.ZipInfo(f"{table.name}.csv", date_time=(made.year, made.month, made.day, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, to_csv(table).encode())
    return stream.getvalue()


def to_csv(table: Table) -> str:
    """One table, lines ended by CR LF."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow([each.key for each in table.columns])
    writer.writerows([[_written(row[each.key]) for each in table.columns] for row in table.rows])
    return stream.getvalue()


def guarded(text: str) -> str:
    """The text, with an apostrophe in front where it begins like a formula or with an apostrophe."""
    return GUARD + text if text.startswith((GUARD, "\t", "\r", "\n")) or _first_seen(text) in _STARTS else text


def without_guard(text: str) -> str:
    """The text that `guarded` was given."""
    return text.removeprefix(GUARD)


def _first_seen(text: str) -> str:
    """The first character that is no blank or invisible mark: programs pass over those."""
    return next((each for each in text if unicodedata.category(each) not in _UNSEEN), "")


def _written(value: Cell) -> str | float | int:
    if value is None:
        return ""
    if isinstance(value, date):
        return value.isoformat()
    return guarded(value) if isinstance(value, str) else value
