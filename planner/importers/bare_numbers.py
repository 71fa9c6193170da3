"""NaN and Infinity as Python writes them into JSON, where no standard has them: read as absent.

Benchmark tools write them for figures that nobody measured (no token after the first, no request that succeeded). A
field that can be done without is then missing; one that cannot is asked for by its name.
"""

from __future__ import annotations

import json
import re
from typing import Any, Protocol

_BARE = re.compile(rb"(?<![\w\"\\.])-?(?:NaN|Infinity)(?=[\s,\]}])")
_ENDS_TOKEN = re.compile(rb"[^-A-Za-z]")
_MOST_HELD = len(b"-Infinity") + 1


class Readable(Protocol):
    """A binary stream, as far as it is needed."""

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, at most so many; none at the end."""
        ...


def loads(text: str | bytes) -> Any:
    """A JSON value with null for bare numbers. Raises ValueError or RecursionError."""
    return json.loads(text, parse_constant=lambda _: None)


def without_bare_numbers(data: bytes) -> bytes:
    """JSON with null for bare numbers; inside texts, which no importer keeps, it may do the same."""
    return _BARE.sub(b"null", data) if b"NaN" in data or b"Infinity" in data else data


class WithoutBareNumbers:
    """The same of a stream."""

    def __init__(self, stream: Readable) -> None:
        self._stream, self._held = stream, b""

    def read(self, size: int = -1) -> bytes:
        """The next bytes, about `size`; none at the end."""
        if size == 0:
            return b""
        while True:
            fresh = self._stream.read(size)
            data, self._held = self._held + fresh, b""
            if not fresh:
                return without_bare_numbers(data)
            # What may be the start of a bare number at the end of these bytes waits for the next ones.
            tail = data[-_MOST_HELD:]
            ends = [match.end() for match in _ENDS_TOKEN.finditer(tail)]
            whole = 0 if len(data) < _MOST_HELD else len(tail)
            cut = len(data) - len(tail) + (ends[-1] if ends else whole)
            self._held, data = data[cut:], data[:cut]
            if data:
                return without_bare_numbers(data)
