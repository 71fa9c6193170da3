"""How a cell is written for people: grouped digits, decimals by its kind, and names that cannot hide what they are."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from datetime import date

from planner.capacity_report.document import Cell, Column, Kind

NOT_KNOWN = "–"
_NO_CENTS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_THOUSANDTHS = "BHD IQD JOD KWD LYD OMR TND"
"""ISO 4217: currencies without minor unit, and those whose minor unit is a thousandth."""
_IN_LINE = {"\t", "\n", "\r"}
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that turn the direction of what follows (UAX #9), with which a name can reorder the text beside it."""
_SMALLEST_NUMBER = 5e-5
_ROUNDING, _TWO_DECIMALS = 1e-9, 5e-5
"""Between these a share looks whole in per cent with two decimals, and is not."""


def shown(value: Cell, kind: Kind, currency: str = "") -> str:
    """The cell as text, without the currency's code; a dash where it is not known."""
    if value is None:
        return NOT_KNOWN
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, date):
        return value.isoformat()
    text = _FORMS.get(kind, _number)(float(value), currency)
    return text.removeprefix("-") if not text.strip("-0.,%") else text


def shown_with_unit(value: Cell, kind: Kind, currency: str) -> str:
    """As `shown`, with what it is counted in: for a figure that stands alone."""
    text = shown(value, kind, currency)
    if value is None or isinstance(value, str) or kind not in _MONEYED:
        return text
    return f"{currency} {text}"


def heading(column: Column, currency: str) -> str:
    """A column's title, with the currency where it holds money."""
    return f"{column.title}, {currency}" if currency and is_money(column) else column.title


def is_money(column: Column) -> bool:
    """Whether its cells are in the report's currency."""
    return column.kind in _MONEYED


def is_text(column: Column) -> bool:
    """Whether its cells are words or dates, which stand to the left."""
    return column.kind in (Kind.TEXT, Kind.DATE)


def plain_text(text: str) -> str:
    """The text in one line, with characters that control a terminal or turn the direction of reading made visible."""
    return text if text.isprintable() else "".join(_visible(each) for each in text)


def _visible(character: str) -> str:
    if character in _IN_LINE:
        return " "
    if character in _TURNING or unicodedata.category(character) in ("Cc", "Cs"):
        return f"[U+{ord(character):04X}]"
    return character


def _money(value: float, currency: str) -> str:
    decimals = 0 if currency in _NO_CENTS.split() else 3 if currency in _THOUSANDTHS.split() else 2
    return f"{value:,.{decimals}f}"


def _share(value: float) -> str:
    """Two decimals; more where those would make all or nothing of what is neither."""
    close = min((0.0, 1.0), key=lambda whole: abs(value - whole))
    return f"{value:,.{6 if _ROUNDING < abs(value - close) < _TWO_DECIMALS else 2}%}"


def _number(value: float, _: str) -> str:
    """At most four decimals, but never 0 for what is not."""
    if value != 0.0 and abs(value) < _SMALLEST_NUMBER:
        return f"{value:.2e}"
    whole, _point, decimals = f"{value:,.4f}".partition(".")
    return f"{whole}.{decimals}".rstrip("0").rstrip(".")


def _decimals(count: int) -> Callable[[float, str], str]:
    return lambda value, _: f"{value:,.{count}f}"


_MONEYED = (Kind.MONEY, Kind.PRICE)
_FORMS: dict[Kind, Callable[[float, str], str]] = {
    Kind.COUNT: _decimals(0),
    Kind.HOURS: _decimals(1),
    Kind.GPU_HOURS: _decimals(1),
    Kind.MONEY: _money,
    Kind.PRICE: _decimals(4),
    Kind.SHARE: lambda value, _: _share(value),
    Kind.MINUTES: _decimals(0),
    Kind.MONTHS: _decimals(1),
}
