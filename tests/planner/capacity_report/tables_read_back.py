"""Tables out of Markdown and HTML, read as a program without our code would: titles, then rows of cells."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

Grid = list[list[str]]
"""Rows of cells; the first are the titles."""


def markdown_tables(text: str) -> dict[str, Grid]:
    """By the heading above each; of the first, which has none, by the title of the page."""
    found: dict[str, Grid] = {}
    heading = ""
    for line in text.splitlines():
        if line.startswith("#"):
            heading = _unescaped(line.lstrip("# "))
        elif line.startswith("| ") and not line.startswith("| ---"):
            found.setdefault(heading, []).append([_unescaped(cell) for cell in re.split(r"(?<!\\) ?\| ?", line)[1:-1]])
    return found


def _unescaped(text: str) -> str:
    return html.unescape(re.sub(r"\\([\\`*\[\]|~$#!_])", r"\1", text.strip()))


class _Tables(HTMLParser):
    """Cells as they are read aloud: what is hidden from there is left out."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[str, Grid] = {}
        self._grid: Grid = []
        self._caption = ""
        self._inside: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag, attributes) -> None:
        named = dict(attributes)
        if tag in ("meta", "link", "rect", "line", "path"):
            return
        self._inside.append("hidden" if named.get("aria-hidden") == "true" else tag)
        if tag == "table":
            self._grid, self._caption = [], ""
        elif tag == "tr":
            self._grid.append([])
        elif tag in ("td", "th"):
            self._grid[-1].append("")

    def handle_endtag(self, tag) -> None:
        if tag in ("meta", "link", "rect", "line", "path"):
            return
        self._inside.pop()
        if tag == "table":
            self.tables[self._caption] = self._grid

    def handle_data(self, data) -> None:
        if "hidden" in self._inside or "table" not in self._inside:
            return
        if "caption" in self._inside:
            self._caption += data
        elif {"td", "th"} & set(self._inside):
            self._grid[-1][-1] += data


def html_tables(text: str) -> dict[str, Grid]:
    """By their captions."""
    parser = _Tables()
    parser.feed(text)
    return {caption: [[cell.strip() for cell in row] for row in grid] for caption, grid in parser.tables.items()}
