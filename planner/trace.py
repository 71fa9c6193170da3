"""Traces of real traffic: one row a request, `arrival_s,input_tokens,output_tokens`, as CSV, plain or gzipped."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NoReturn

from models.errors import InvalidInput

COLUMNS = ("arrival_s", "input_tokens", "output_tokens")
MAX_ROWS = 20_000_000
MAX_LINE = 10_000
"""Characters; a longer line is no CSV, or a compressed file that unpacks without end."""

_GZIP = b"\x1f\x8b"

Row = tuple[float, float, float]


def read_trace(path: Path) -> Iterator[Row]:
    """Rows (arrival in seconds, input tokens, output tokens), one at a time, in the order of the file.

    Raises InvalidInput that names the line.
    """
    try:
        with _text_of(path) as stream:
            yield from _rows(stream, path)
    except FileNotFoundError:
        raise InvalidInput(f"trace {path} does not exist", remedy="check the path") from None
    except IsADirectoryError:
        raise InvalidInput(f"trace {path} is a folder", remedy="name a CSV file") from None
    except InvalidInput:
        raise
    except UnicodeDecodeError:
        raise InvalidInput(f"trace {path} is not text", remedy="name a CSV file, plain or gzipped") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise InvalidInput(f"trace {path} is cut short or damaged", remedy="copy or compress it again") from None
    except (OSError, ValueError, csv.Error) as error:
        raise InvalidInput(f"trace {path} cannot be read: {error}", remedy="is it a CSV file?") from None


@contextmanager
def _text_of(path: Path) -> Iterator[IO[str]]:
    """Gzipped or not, whatever its name says; it may be a pipe."""
    with path.open("rb") as stream:
        packed = stream.peek(len(_GZIP))[: len(_GZIP)] == _GZIP
        source: Any = gzip.GzipFile(fileobj=stream) if packed else stream
        with io.TextIOWrapper(source, encoding="utf-8-sig", newline="") as text:
            yield text


def _rows(stream: IO[str], path: Path) -> Iterator[Row]:
    reader = csv.reader(_lines(stream, path))
    header = [name.strip() for name in next(reader, [])]
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise InvalidInput(
            f"trace {path} has no column {', '.join(missing)}: it begins with {','.join(header)[:80]!r}",
            remedy=f"the first line must be {','.join(COLUMNS)} (in any order, further columns allowed)",
        )
    at = [header.index(name) for name in COLUMNS]
    for row in reader:
        if row:
            yield _numbers(row, at, path, reader.line_num)


def _lines(stream: IO[str], path: Path) -> Iterator[str]:
    for number in range(1, MAX_ROWS + 2):
        line = stream.readline(MAX_LINE)
        if not line:
            return
        if len(line) == MAX_LINE:
            raise InvalidInput(f"trace {path}, line {number} is very long", remedy="is it a CSV file?")
        yield line
    raise InvalidInput(f"trace {path} has more than {MAX_ROWS:,} rows", remedy="use a sample of it")


def _numbers(row: list[str], at: list[int], path: Path, line: int) -> Row:
    try:
        arrival, prompt, output = (float(row[column]) for column in at)
    except (ValueError, IndexError):
        _refuse(path, line, row)
    whole = prompt % 1 == 0 and output % 1 == 0
    if not (whole and 0.0 <= arrival <= 1e12 and 1 <= prompt <= 1e8 and 1 <= output <= 1e8):
        _refuse(path, line, row)
    return arrival, prompt, output


def _refuse(path: Path, line: int, row: list[str]) -> NoReturn:
    raise InvalidInput(
        f"trace {path}, line {line}: {','.join(row)[:80]!r} is not an arrival in seconds and two token counts",
        remedy="arrival_s must be a number of seconds, 0 or more, since whenever the trace begins; input_tokens and "
        "output_tokens whole numbers, 1 or more",
    )
