"""Results of vLLM's and SGLang's clients: an object a run, alone in its file or appended to the ones before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.errors import InvalidInput
from planner.importers.fields import Fields
from planner.importers.json_stream import ENDED, parts
from planner.importers.request_columns import COLUMNS, RequestColumns


def results(path: Path, wanted: frozenset[str]) -> Iterator[tuple[Fields, RequestColumns]]:
    """Of each run the wanted fields and the columns of its requests; the first of a file is named by the file alone."""
    number, place = 1, str(path)
    values: dict[str, Any] = {}
    columns = RequestColumns()
    for prefix, value in parts(path, wanted | COLUMNS, frozenset({""}), several=True):
        if value is ENDED:
            yield Fields(values=values, place=place), columns
            number += 1
            values, columns, place = {}, RequestColumns(), f"{path}, result {number}"
        elif prefix in COLUMNS:
            columns.add(prefix, value, f"{place}, {prefix.removesuffix('.item')}")
        else:
            values[prefix] = value
    if number == 1:
        raise InvalidInput(f"{path}: it holds no result", remedy="run the benchmark again")
