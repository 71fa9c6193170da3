"""How cells of the workbook look: number formats by kind, headers, totals, inputs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from planner.capacity_report.document import Kind

ACCENT, ACCENT_PALE, RULE, INK, MUTED = "#1F4E5F", "#E4EEF1", "#B9C7CC", "#1B2529", "#5B6B72"
INPUT_INK, INPUT_PAPER = "#0033CC", "#FFF8D6"
GOOD, GOOD_PAPER, BAD, BAD_PAPER = "#12613A", "#DDF3E4", "#9C1C1C", "#FBE0E0"
_WHOLE, _TENTHS = "#,##0", "#,##0.0"
_NUMBERS = {
    Kind.DATE: "yyyy-mm-dd",
    Kind.COUNT: _WHOLE,
    Kind.HOURS: _TENTHS,
    Kind.GPU_HOURS: _TENTHS,
    Kind.SHARE: "0.0%",
    Kind.MINUTES: _WHOLE,
    Kind.MONTHS: "0.0",
    Kind.NUMBER: "#,##0.00####",
}
_SHOWN_AS_TEXT = 255
"""Longest text that spreadsheets show in a cell of the format "text"."""
_BEGINS_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'")


def number_format(kind: Kind, currency: str) -> str:
    """Of a kind of figure; money with the currency's code before it."""
    code = re.sub(r"[^A-Za-z]", "", currency)
    money = f"[${code}] " if code else ""
    if kind is Kind.MONEY:
        return f"{money}#,##0.00"
    if kind is Kind.PRICE:
        return f"{money}#,##0.0000"
    return _NUMBERS.get(kind, "General")


class Formats:
    """Formats of one workbook, each made once."""

    def __init__(self, workbook: Any, currency: str) -> None:
        """`workbook` is XlsxWriter's."""
        self._workbook, self._currency = workbook, currency
        self._made: dict[tuple[tuple[str, Any], ...], Any] = {}

    def of(self, **properties: Any) -> Any:
        """A format with these properties of XlsxWriter."""
        base: Mapping[str, Any] = {"font_name": "Calibri", "font_size": 10, "font_color": INK, "valign": "top"}
        wanted = {**base, **properties}
        key = tuple(sorted(wanted.items()))
        if key not in self._made:
            self._made[key] = self._workbook.add_format(wanted)
        return self._made[key]

    def figure(self, kind: Kind, **properties: Any) -> Any:
        """Of a number or a date."""
        side = {"align": "left"} if kind is Kind.DATE else {"align": "right", "indent": 1}
        return self.of(num_format=number_format(kind, self._currency), **side, **properties)

    def text(self, text: str, **properties: Any) -> Any:
        """Of a text, which stays one when somebody edits it: marked as such where it looks like a formula."""
        short = {"num_format": "@"} if len(text) <= _SHOWN_AS_TEXT else {}
        quoted = {"quote_prefix": True} if text.startswith(_BEGINS_FORMULA) else {}
        return self.of(**short, **quoted, **properties)

    @property
    def title(self) -> Any:
        """Of a sheet."""
        return self.of(font_size=15, bold=True, font_color=ACCENT)

    @property
    def note(self) -> Any:
        """Beside or under a title."""
        return self.of(font_color=MUTED)

    @property
    def link(self) -> Any:
        """To another sheet."""
        return self.of(font_color=ACCENT, underline=1, **self.cell)

    def header(self, kind: Kind = Kind.TEXT) -> Any:
        """Of a column, on the side where its cells stand."""
        side = {"align": "left"} if kind in (Kind.TEXT, Kind.DATE) else {"align": "right", "indent": 1}
        return self.of(
            bold=True, font_color="#FFFFFF", bg_color=ACCENT, text_wrap=True, valign="vcenter", border=1,
            border_color=ACCENT, **side,
        )  # fmt: skip

    @property
    def total(self) -> dict[str, Any]:
        """Properties of the row of totals."""
        return {"bold": True, "bg_color": ACCENT_PALE, "top": 1, "bottom": 1, "border_color": RULE}

    @property
    def cell(self) -> dict[str, Any]:
        """Properties of every other cell of a table."""
        return {"bottom": 1, "bottom_color": "#E3E9EB"}

    @property
    def input(self) -> dict[str, Any]:
        """Properties of a cell that the reader may change."""
        return {"font_color": INPUT_INK, "bg_color": INPUT_PAPER, "border": 1, "border_color": RULE}
