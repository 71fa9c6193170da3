"""JSON of any size: one pass through the file, with only the wanted parts of it in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from models.errors import InvalidInput
from planner.files import MAX_DEPTH
from planner.importers.bare_numbers import WithoutBareNumbers, without_bare_numbers

ENDED = object()
"""Stands for the end of a mapping whose own value was not asked for."""


def parts(
    path: Path, wanted: frozenset[str], ends: frozenset[str] = frozenset(), *, several: bool = False
) -> Iterator[tuple[str, Any]]:
    """(prefix, value) of everything at a wanted prefix, in the order of the file; ENDED where a mapping of `ends` ends.

    A prefix is written as ijson does: `experiments.item.requests.item`; that of a whole document is empty. `several`
    documents may stand one after the other. NaN and Infinity are null.
    """
    import ijson

    builder, inside = None, ""
    with _opened(path) as stream:
        try:
            for prefix, event, value in ijson.parse(
                WithoutBareNumbers(stream), use_float=True, multiple_values=several
            ):
                if builder is not None:
                    builder.event(event, value)
                    if prefix == inside and event in _ENDINGS:
                        yield inside, builder.value
                        builder = None
                        continue
                if event in _STARTS and prefix.count(".") > MAX_DEPTH:
                    raise InvalidInput(
                        f"{path}, {prefix[:80]}…: fields are nested too deeply", remedy="is it the right file?"
                    )
                if builder is not None:
                    continue
                if prefix in wanted and event in _STARTS:
                    builder, inside = ijson.ObjectBuilder(), prefix
                    builder.event(event, value)
                elif prefix in wanted and event != "map_key" and event not in _ENDINGS:
                    yield prefix, value
                elif prefix in ends and event == "end_map":
                    yield prefix, ENDED
        except (ijson.JSONError, UnicodeDecodeError):
            raise _broken(path, several) from None


_STARTS, _ENDINGS = frozenset({"start_map", "start_array"}), frozenset({"end_map", "end_array"})
_FIND_LINE_BELOW = 64 * 1024 * 1024


def _broken(path: Path, several: bool) -> InvalidInput:
    """What is wrong with a file that is no JSON, and in which line: it is read once more, a line at a time."""
    import ijson

    if path.stat().st_size > _FIND_LINE_BELOW:
        return InvalidInput(f"{path}: the file is not valid JSON, or ends in the middle", remedy="is it whole?")
    number, events = 1, ijson.sendable_list()
    parser = ijson.basic_parse_coro(events, use_float=True, multiple_values=several)
    with _opened(path) as stream:
        try:
            for number, line in enumerate(stream, start=1):  # noqa: B007 -- the last one is where it ends
                parser.send(without_bare_numbers(line))
                events.clear()
        except (ijson.JSONError, UnicodeDecodeError):
            return InvalidInput(f"{path}, line {number}: the file is not valid JSON", remedy="is it whole?")
    return InvalidInput(f"{path}, line {number}: the file ends in the middle", remedy="is it whole?")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as stream:
            yield stream
    except InvalidInput:
        raise
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}", remedy="check the path and its mode") from None
