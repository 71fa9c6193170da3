"""Simulated cases on disk, one line of JSON each, in a file whose name says by which sources they were simulated."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from benchmarks.source_bytes import ROOT, source_bytes

SOURCES = (
    "models/simulation",
    "models/step_time.py",
    "models/token_lengths.py",
    "scripts/training_cases.py",
    "benchmarks/accuracy_cases.py",
    "benchmarks/random_draws.py",
)
"""What is asked in a simulated case, and what is answered."""

Line = dict[str, Any]


def source_name(root: Path = ROOT) -> str:
    """A short name of these sources as they are now."""
    return hashlib.sha256(source_bytes(SOURCES, root)).hexdigest()[:12]


@dataclass(frozen=True, kw_only=True)
class KeptSimulations:
    """The cases of one kind. A line holds at least the `seed` and the `number` from which a case is drawn again."""

    folder: Path
    kind: str
    source: str = field(default_factory=source_name)
    keep_stale: bool = False
    """Whether cases of other sources, or of sources not known, count as well."""

    @property
    def file(self) -> Path:
        """The file of these sources."""
        return self.folder / f"{self.kind}-{self.source}.jsonl"

    def lines(self) -> list[Line]:
        """Each case once: by these sources if they simulated it, else by those that did last."""
        files = [*self._stale_files(), self.file] if self.keep_stale else [self.file]
        return list({(line["seed"], line["number"]): line for file in files for line in _lines(file)}.values())

    def said(self) -> str | None:
        """What to tell of the cases of other sources; None where there are none."""
        stale = sum(len(_lines(file)) for file in self._stale_files())
        if not stale:
            return None
        fate = "used all the same" if self.keep_stale else "not used; --keep-stale uses them all the same"
        return f"{self.kind}: {stale:,} kept simulations are of other sources than these: {fate}"

    @contextmanager
    def appending(self) -> Iterator[TextIO]:
        """The file to add lines to, less a last one that was only half written."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.file.exists():
            text = self.file.read_bytes()
            with self.file.open("rb+") as half:
                half.truncate(text.rfind(b"\n") + 1)
        with self.file.open("a", encoding="utf-8") as out:
            yield out

    def _stale_files(self) -> list[Path]:
        found = {*self.folder.glob(f"{self.kind}.jsonl"), *self.folder.glob(f"{self.kind}-*.jsonl")} - {self.file}
        return sorted(found, key=lambda file: file.stat().st_mtime)


def _lines(file: Path) -> list[Line]:
    """The lines of a file. A last one without its end was cut short when the process was killed, and does not count."""
    if not file.exists():
        return []
    text = file.read_text(encoding="utf-8")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
