"""Writing a report: the format of each file by its name, all of them made before the first is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.errors import InvalidInput
from planner.capacity_report.delimited import csv_archive, ledger_csv
from planner.capacity_report.document import CapacityReport
from planner.capacity_report.focus import focus_report
from planner.capacity_report.html import require_jinja2, to_html
from planner.capacity_report.json_document import to_json
from planner.capacity_report.markdown import to_markdown
from planner.files import require_writable, write_atomically

_WHAT = "the report"


def write_report(report: CapacityReport, paths: Sequence[Path]) -> tuple[Path, ...]:
    """Write each file whole, and name them. Raises InvalidInput where one is not possible, before any is written."""
    require_formats(paths)
    made = [(path, format_of(path).render(report)) for path in paths]
    for path, data in made:
        write_atomically(path, data)
    return tuple(paths)


def require_formats(paths: Sequence[Path]) -> None:
    """Raise InvalidInput, before there is a report, for files that could not be written: unknown, twice, no place."""
    seen: dict[Path, Path] = {}
    for path in paths:
        format_of(path).require()
        require_writable(path, what=_WHAT)
        if first := seen.get(path.resolve()):
            also = "" if str(first) == str(path) else f", as {first}"
            raise InvalidInput(f"{_WHAT} {path} is asked for twice{also}", remedy="name each file once")
        seen[path.resolve()] = path


@dataclass(frozen=True, kw_only=True)
class Format:
    """One of them."""

    suffix: str
    told: str
    """What is in the file, for those who choose."""
    render: Callable[[CapacityReport], bytes]
    require: Callable[[], None] = lambda: None
    """Raises InvalidInput where a library is missing."""


def format_of(path: Path) -> Format:
    """By the end of the file's name. Raises InvalidInput where there is none for it."""
    for each in FORMATS:
        if path.name.lower().endswith(each.suffix) and len(path.name) > len(each.suffix):
            return each
    suffix = f"ends in {path.suffix}, which is no format of a report" if path.suffix else "has no suffix"
    possible = ", ".join(f"{each.suffix} ({each.told})" for each in FORMATS)
    raise InvalidInput(f"{_WHAT} {path} {suffix}", remedy=f"end it in one of {possible}; for PDF, print the page")


def _text(render: Callable[[CapacityReport], str]) -> Callable[[CapacityReport], bytes]:
    return lambda report: render(report).encode()


def _xlsx(report: CapacityReport) -> bytes:
    from planner.capacity_report.spreadsheet import write_xlsx

    return write_xlsx(report)


def _require_xlsx() -> None:
    from planner.capacity_report.spreadsheet import require_xlsx

    require_xlsx()


FORMATS = (
    Format(suffix=".xlsx", told="spreadsheet with formulas", render=_xlsx, require=_require_xlsx),
    Format(suffix=".html", told="one page", render=_text(to_html), require=require_jinja2),
    Format(suffix=".md", told="Markdown", render=_text(to_markdown)),
    Format(suffix=".json", told="every table and digit", render=_text(to_json)),
    Format(suffix=".focus.csv", told="rows of FOCUS", render=_text(focus_report)),
    Format(suffix=".csv.zip", told="a CSV file a table", render=csv_archive),
    Format(suffix=".csv", told="the ledger", render=_text(ledger_csv)),
)
"""The first whose suffix fits counts."""
