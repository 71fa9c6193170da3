"""Writing a report: the format of each file by its name, all of them made before the first is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.errors import InvalidInput
from planner.capacity_report.delimited import csv_archive, ledger_csv
from planner.capacity_report.document import CapacityReport
from planner.capacity_report.html import require_jinja2, to_html
from planner.capacity_report.json_document import to_json
from planner.capacity_report.markdown import to_markdown
from planner.files import require_writable, write_atomically

_WHAT = "the report"


def write_report(report: CapacityReport, paths: Sequence[Path]) -> None:
    """Write each file whole. Raises InvalidInput where one is not possible, before any is written."""
    require_report_paths(paths)
    made = [(path, format_of(path).render(report)) for path in paths]
    for path, data in made:
        write_atomically(path, data)


def require_report_paths(paths: Sequence[Path]) -> None:
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
    name = path.name.lower()
    for each in FORMATS:
        if name.endswith(each.suffix) and name != each.suffix:
            return each
    suffix = "has no suffix" if not path.suffix else f"ends in {path.suffix!r}, which is no format of a report"
    possible = ", ".join(f"{each.suffix} ({each.told})" for each in FORMATS)
    raise InvalidInput(f"{_WHAT} {path} {suffix}", remedy=f"end it in one of: {possible}")


def _xlsx(report: CapacityReport) -> bytes:
    from planner.capacity_report.spreadsheet import write_xlsx

    return write_xlsx(report)


def _focus(report: CapacityReport) -> bytes:
    from planner.capacity_report.focus import write_focus

    return write_focus(report)


def _require_xlsxwriter() -> None:
    from planner.capacity_report.spreadsheet import require_xlsxwriter

    require_xlsxwriter()


FORMATS = (
    Format(suffix=".xlsx", told="spreadsheet with formulas", render=_xlsx, require=_require_xlsxwriter),
    Format(
        suffix=".html", told="one page", render=lambda report: to_html(report).encode(), require=require_jinja2
    ),
    Format(suffix=".md", told="Markdown", render=lambda report: to_markdown(report).encode()),
    Format(suffix=".json", told="every digit", render=lambda report: to_json(report).encode()),
    Format(suffix=".focus.csv", told="rows of FOCUS", render=_focus),
    Format(suffix=".csv.zip", told="a CSV file a table", render=csv_archive),
    Format(suffix=".csv", told="the ledger", render=lambda report: ledger_csv(report).encode()),
)
"""The first whose suffix fits counts."""
