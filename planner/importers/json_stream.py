"""JSON of any size: one pass through the file, with only the wanted parts of it in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from models.errors import InvalidInput
from planner.files import MAX_DEPTH

ENDED = object()
"""Stands for the end of a mapping whose own value was not asked for."""


def parts(path: Path, wanted: frozenset[str], ends: frozenset[str] = frozenset()) -> Iterator[tuple[str, Any]]:
    """(prefix, value) of everything at a wanted prefix, in the order of the file; ENDED where a mapping of `ends` ends.

    A prefix is written as ijson does: `experiments.item.requests.item`.
    """
    import ijson

    builder, inside, line = None, "", _Lines()
    with _opened(path) as stream:
        try:
            for prefix, event, value in ijson.parse(line.counting(stream), use_float=True):
                if prefix.count(".") > MAX_DEPTH:
                    raise InvalidInput(
                        f"{path}, {prefix[:80]}…: fields are nested too deeply", remedy="is it the right file?"
                    )
                if builder is not None:
                    builder.event(event, value)
                    if prefix == inside and event in {"end_map", "end_array"}:
                        yield inside, builder.value
                        builder = None
                elif prefix in wanted and event in {"start_map", "start_array"}:
                    builder, inside = ijson.ObjectBuilder(), prefix
                    builder.event(event, value)
                elif prefix in wanted and event not in {"map_key", "end_map", "end_array"}:
                    yield prefix, value
                elif prefix in ends and event == "end_map":
                    yield prefix, ENDED
        except (ijson.JSONError, UnicodeDecodeError) as error:
            what = (
                "ends in the middle"
                if isinstance(error, ijson.IncompleteJSONError) and line.ended
                else "is not valid JSON"
            )
            raise InvalidInput(f"{path}, line {line.number}: the file {what}", remedy="is it whole?") from None


class _Lines:
    """Counts the lines that went by, and whether the file's end was reached."""

    def __init__(self) -> None:
        self.number, self.ended = 1, False

    def counting(self, stream: BinaryIO) -> Any:
        lines = self

        class Counting:
            def read(self, size: int = -1) -> bytes:
                data = stream.read(size)
                lines.number += data.count(b"\n")
                lines.ended = lines.ended or (size != 0 and not data)
                return data

        return Counting()


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as stream:
            yield stream
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}", remedy="check the path and its mode") from None
