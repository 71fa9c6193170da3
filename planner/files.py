"""Reading and writing files: bounded, with the place of every error."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import yaml

from models.errors import InvalidInput

MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 50

_TOO_DEEP = "fields are nested too deeply"
_ALIAS = "aliases (*name) are not supported here"
_REMEDIES = {_TOO_DEEP: "is it the right file?", _ALIAS: "write the value out where the alias stands"}

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _UniqueKeys(_Loader):  # type: ignore[misc]
    """Safe YAML that refuses a key given twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a field's name is not a word", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is given twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _date(loader: Any, node: Any) -> Any:
    """A date, or its line where there is no such day."""
    try:
        return loader.construct_yaml_timestamp(node)
    except ValueError as error:
        raise yaml.constructor.ConstructorError(
            None, None, f"{node.value[:40]!r} is no date: {error}", node.start_mark
        ) from None


_UniqueKeys.add_constructor("tag:yaml.org,2002:timestamp", _date)


def read_text(path: Path, *, what: str) -> str:
    """The text of a file of at most 64 MiB, which may be a pipe. `what` names it in errors."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_DOCUMENT_BYTES + 1)
        text = data[:MAX_DOCUMENT_BYTES].decode("utf-8-sig")
    except FileNotFoundError:
        raise InvalidInput(f"{what} {path} does not exist", remedy="check the path") from None
    except IsADirectoryError:
        raise InvalidInput(f"{what} {path} is a folder", remedy="name a file") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{what} {path} is not text", remedy="is it the right file?") from None
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{what} {path} cannot be read: {error}", remedy="check the path and its mode") from None
    if len(data) > MAX_DOCUMENT_BYTES:
        raise InvalidInput(f"{what} {path} is larger than 64 MiB", remedy="is it the right file?")
    return text


def read_document(path: Path, *, what: str) -> dict[str, Any]:
    """A YAML or JSON file that holds one mapping."""
    return parse_document(read_text(path, what=what), name=str(path), what=what)


def parse_document(text: str, *, name: str, what: str) -> dict[str, Any]:
    """A YAML or JSON text that holds one mapping; errors name the line."""
    try:
        _require_plain_shape(text)
        document = yaml.load(text, Loader=_UniqueKeys)  # noqa: S506 -- a safe loader with stricter keys
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}, line {mark.line + 1}" if mark else name
        problem = error.problem or "not valid YAML"
        if "maximum nesting depth" in problem:  # newer versions of the parser count themselves
            problem = _TOO_DEEP
        raise InvalidInput(f"{what} {place}: {problem}", remedy=_REMEDIES.get(problem, "mend that line")) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{what} {name} is not valid YAML: {str(error)[:200]}", remedy="mend the file") from None
    if not isinstance(document, dict):
        raise InvalidInput(f"{what} {name} holds no fields", remedy="a file of `name: value` fields is expected")
    return document


def _require_plain_shape(text: str) -> None:
    """Refuse aliases, which multiply, and deep nesting, on which the parser in C overflows its stack."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        mark: Any = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem=_ALIAS, problem_mark=mark)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=_TOO_DEEP, problem_mark=mark)


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


def require_writable(path: Path, *, what: str) -> None:
    """Raise InvalidInput where `write_atomically` would have no place to write to."""
    folder = path.parent
    if path.is_dir():
        raise InvalidInput(f"{what} {path} is a folder", remedy="name a file")
    if not folder.exists():
        raise InvalidInput(f"{what} {path}: there is no folder {folder}", remedy="make it, or name another")
    if not folder.is_dir():
        raise InvalidInput(f"{what} {path}: {folder} is not a folder", remedy="name another")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InvalidInput(f"{what} {path}: the folder {folder} cannot be written to", remedy="check its mode")


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
