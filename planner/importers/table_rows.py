"""Rows of a CSV with one heading, as fields that know their line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from models.errors import InvalidInput
from planner.files import read_text
from planner.importers.fields import Fields


def some_rows(path: Path) -> Iterator[Fields]:
    """The same, of a file that must have a row."""
    empty = True
    for row in rows(path):
        empty = False
        yield row
    if empty:
        raise InvalidInput(f"{path}, line 2: there is no row", remedy="is the file whole?")


def rows(path: Path) -> Iterator[Fields]:
    """Every row by column, empty cells left out; errors name the line."""
    reader = csv.reader(io.StringIO(read_text(path, what="benchmark file")))
    header: list[str] | None = None
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                if header is None:
                    continue
                break  # a further table follows, of the GPUs
            if header is None:
                header = [cell.strip() for cell in row]
                continue
            place = f"{path}, line {reader.line_num}"
            if len(row) != len(header):
                raise InvalidInput(
                    f"{place}: {len(row)} columns where the heading has {len(header)}", remedy="is the file whole?"
                )
            cells = {name: cell.strip() for name, cell in zip(header, row, strict=True) if cell.strip()}
            yield Fields(values=cells, place=place, path="column ")
    except csv.Error as error:
        raise InvalidInput(f"{path}, line {reader.line_num}: {error}", remedy="is the file whole?") from None
