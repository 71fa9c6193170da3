"""The text of engines' /metrics pages that the tests hold: archives of it, and its samples."""

from __future__ import annotations

import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).parents[1] / "tests" / "data" / "engines"

_SAMPLE = re.compile(r"^([A-Za-z_:][A-Za-z0-9_:]*)(?:\{(.*)\})? (\S+)(?: \d+)?$")
_LABEL = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One line of a page."""

    name: str
    labels: dict[str, str]
    value: float


def archived(name: str) -> dict[str, str]:
    """The pages in an archive by their names in it, in alphabetical order."""
    with tarfile.open(DATA / name, "r:xz") as archive:
        pages = {}
        for member in sorted(archive.getmembers(), key=lambda member: member.name):
            stream = archive.extractfile(member)
            if stream is not None:
                pages[member.name.removeprefix("./").removesuffix(".prom")] = stream.read().decode()
    return pages


def samples(page: str) -> list[Sample]:
    """Every sample of a page. Enough of the format for pages that engines wrote; Prometheus reads the rest."""
    found = []
    for line in page.splitlines():
        match = _SAMPLE.match(line)
        if match is not None:
            name, labels, value = match.groups()
            found.append(Sample(name=name, labels=dict(_LABEL.findall(labels or "")), value=float(value)))
    return found
