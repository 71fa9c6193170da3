"""Figures as benchmark tools write them: grouped digits, strings for numbers, a unit beside or inside the name."""

from __future__ import annotations

import math
import re
from typing import Any

from models.errors import InvalidInput

SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "seconds": 1.0}

MAX_HEADING = 200

_NAME = re.compile(r"^(?P<name>.*?)\s*(?:\((?P<unit>[^()]*)\))?\s*$")
_GROUPED = re.compile(r"^[+-]?\d{1,3}(,\d{3})+(\.\d*)?$")


def figure(value: Any, where: str) -> float:
    """A finite number, which may be text such as "1,146.31"; `where` names file and field."""
    if isinstance(value, str):
        text = value.strip()
        value = text.replace(",", "") if _GROUPED.match(text) else text
    try:
        number = math.nan if isinstance(value, bool) or value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InvalidInput(f"{where}: a finite number is expected, not {_short(value)}", remedy="run the tool again")
    return number


def name_and_unit(heading: str) -> tuple[str, str | None]:
    """Name and unit of a heading such as "Time To First Token (ms)", the name in small letters."""
    heading = " ".join(heading[:MAX_HEADING].split())
    match = _NAME.match(heading)
    name, unit = (match["name"], match["unit"]) if match else (heading, None)
    return name.strip().lower(), unit


def seconds_in(unit: Any, where: str) -> float:
    """How many seconds a unit is."""
    scale = SECONDS.get(str(unit).strip().lower())
    if scale is None:
        raise InvalidInput(f"{where}: {_short(unit)} is no unit of time", remedy=f"use one of {', '.join(SECONDS)}")
    return scale


def _short(value: Any) -> str:
    """What stood there, without repeating a text that may be a secret or a prompt."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        known = value.strip().lower() in {"nan", "inf", "-inf", "infinity", "-infinity", "", *SECONDS}
        return repr(value) if known else f"a text of {len(value)} characters"
    return repr(value) if isinstance(value, (bool, int, float)) and abs(value) < 1e18 else f"a {type(value).__name__}"
