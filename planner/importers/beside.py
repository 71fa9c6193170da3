"""Files that the same run left beside the one that is imported: read where they are there and whole, else not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from models.errors import InvalidInput
from planner.files import read_text
from planner.importers.bare_numbers import loads
from planner.importers.fields import Fields


def json_fields(path: Path) -> Fields:
    """The fields of a JSON file of at most 64 MiB; errors name file and line."""
    text = read_text(path, what="benchmark file")
    try:
        document = loads(text)
    except json.JSONDecodeError as error:
        raise InvalidInput(f"{path}, line {error.lineno}: not valid JSON: {error.msg}", remedy="is it whole?") from None
    except (ValueError, RecursionError):
        raise InvalidInput(f"{path}: not valid JSON that can be read", remedy="is it the right file?") from None
    if not isinstance(document, dict):
        raise InvalidInput(f"{path}: fields are expected at the top", remedy="is it the right file?")
    return Fields(values=document, place=str(path))


def neighbours(path: Path, pattern: str) -> Iterator[Fields]:
    """JSON files beside `path` that match; what cannot be read is passed over, for the run can do without."""
    try:
        found = sorted(each for each in path.parent.glob(pattern) if each != path and each.is_file())
    except OSError:
        return
    for each in found:
        try:
            yield json_fields(each)
        except InvalidInput:
            continue
