"""Reading and writing files: bounded, with the place of every error."""

from __future__ import annotations

import csv
import gzip
import io
import math
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

import yaml

from models.errors import InvalidInput

MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
MAX_TRACE_ROWS = 20_000_000
TRACE_COLUMNS = ("arrival_s", "input_tokens", "output_tokens")

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _UniqueKeys(_Loader):  # type: ignore[misc]
    """Safe YAML that refuses a key given twice and aliases that multiply."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.constructor.ConstructorError(None, None, "aliases (*name) are not supported here", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is given twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_text(path: Path, *, what: str) -> str:
    """The text of a file of at most 64 MiB. `what` names it in errors."""
    if path.is_dir():
        raise InvalidInput(f"{what} {path} is a folder", remedy="name a file")
    try:
        size = path.stat().st_size
        text = path.read_text(encoding="utf-8") if size <= MAX_DOCUMENT_BYTES else ""
    except FileNotFoundError:
        raise InvalidInput(f"{what} {path} does not exist", remedy="check the path") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{what} {path} is not text", remedy="is it the right file?") from None
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{what} {path} cannot be read: {error}", remedy="check the path and its mode") from None
    if size > MAX_DOCUMENT_BYTES:
        raise InvalidInput(f"{what} {path} is larger than 64 MiB", remedy="is it the right file?")
    return text


def read_document(path: Path, *, what: str) -> dict[str, Any]:
    """A YAML or JSON file that holds one mapping."""
    return parse_document(read_text(path, what=what), name=str(path), what=what)


def parse_document(text: str, *, name: str, what: str) -> dict[str, Any]:
    """A YAML or JSON text that holds one mapping; errors name the line."""
    try:
        document = yaml.load(text, Loader=_UniqueKeys)  # noqa: S506 -- a safe loader with stricter keys
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}, line {mark.line + 1}" if mark else name
        raise InvalidInput(f"{what} {place}: {error.problem or 'not valid YAML'}", remedy="mend that line") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{what} {name} is not valid YAML: {str(error)[:200]}", remedy="mend the file") from None
    if not isinstance(document, dict):
        raise InvalidInput(f"{what} {name} holds no fields", remedy="a file of `name: value` fields is expected")
    return document


def line_of(text: str, path: tuple[str | int, ...]) -> int | None:
    """The line (from 1) on which the field with this path stands, or its nearest parent that is there."""
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError:
        return None
    line = None
    for step in path:
        if isinstance(node, yaml.MappingNode):
            entry = next(((key, value) for key, value in node.value if key.value == str(step)), None)
            if entry is None:
                break
            line, node = entry[0].start_mark.line + 1, entry[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
        else:
            break
    return line


def read_trace(path: Path) -> Iterator[tuple[float, int, int]]:
    """Rows (arrival seconds, input tokens, output tokens) of a CSV trace, plain or gzipped, one at a time."""
    if path.is_dir():
        raise InvalidInput(f"trace {path} is a folder", remedy="name a CSV file")
    try:
        with _open_text(path) as stream:
            yield from _trace_rows(stream, path)
    except FileNotFoundError:
        raise InvalidInput(f"trace {path} does not exist", remedy="check the path") from None
    except (OSError, EOFError, UnicodeDecodeError, ValueError, csv.Error) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f"trace {path} cannot be read: {error}", remedy="is it a CSV file?") from None


def _open_text(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(path, "rb"), encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _trace_rows(stream: IO[str], path: Path) -> Iterator[tuple[float, int, int]]:
    reader = csv.reader(stream)
    header = [name.strip() for name in next(reader, [])]
    missing = [name for name in TRACE_COLUMNS if name not in header]
    if missing:
        raise InvalidInput(
            f"trace {path} has no column {', '.join(missing)}",
            remedy=f"the first line must name {','.join(TRACE_COLUMNS)}",
        )
    at = [header.index(name) for name in TRACE_COLUMNS]
    for number, row in enumerate(reader, start=2):
        if not row:
            continue
        if number > MAX_TRACE_ROWS:
            raise InvalidInput(f"trace {path} has more than {MAX_TRACE_ROWS} rows", remedy="use a sample of it")
        try:
            arrival, prompt, output = (float(row[column]) for column in at)
        except (ValueError, IndexError):
            _bad_row(path, number, row)
        whole = math.isfinite(arrival) and arrival >= 0.0 and prompt == prompt // 1 and output == output // 1
        if not (whole and 1 <= prompt <= 1e8 and 1 <= output <= 1e8):
            _bad_row(path, number, row)
        yield arrival, int(prompt), int(output)


def _bad_row(path: Path, number: int, row: list[str]) -> NoReturn:
    raise InvalidInput(
        f"trace {path}, line {number}: {','.join(row)[:80]!r} is not an arrival in seconds and two token counts",
        remedy="arrival_s must be 0 or more, input_tokens and output_tokens whole numbers of 1 or more",
    )


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}", remedy="check the folder") from None
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise InvalidInput(f"{path} cannot be written: {error.strerror}", remedy="check the folder") from None
