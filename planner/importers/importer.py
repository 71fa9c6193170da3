"""What an importer is, and the start of a file by which it recognises its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from planner.importers.batching_run import BatchingRun
from planner.importers.benchmark_run import BenchmarkRun


@dataclass(frozen=True, kw_only=True)
class FileStart:
    """The first 64 KiB of a file, as text."""

    name: str
    text: str
    ends_a_line: bool = True
    """Whether the file's last line is whole."""

    def has_keys(self, *keys: str) -> bool:
        """Whether all of these stand there as keys of JSON (or YAML), at any depth."""
        return all(re.search(rf'(?m)("{re.escape(key)}"|^\s*-?\s*{re.escape(key)})\s*:', self.text) for key in keys)

    @property
    def first_line(self) -> str:
        """The first line that is not empty."""
        return next((line for line in self.text.splitlines() if line.strip()), "")


class Importer(Protocol):
    """Reads one tool's files."""

    tool: str
    """As a person calls it."""

    def recognises(self, start: FileStart) -> bool:
        """Whether the content is this tool's; names of files do not count."""
        ...

    def runs(self, path: Path) -> Iterator[BenchmarkRun | BatchingRun]:
        """The runs in the file, in its order. Raises InvalidInput that names file, and line or field."""
        ...
