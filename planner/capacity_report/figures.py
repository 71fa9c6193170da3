"""The geometry of the report's figures: places in per cent of the width, so that a figure is as wide as its page.

No figure states a number of its own; each is drawn from a table that stands beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from planner.capacity_report.document import Row, Table, number

HEIGHT = 220.0
"""Of the chart of days, in pixels; its width is 100 units, stretched to the page."""
DENSE = 92
"""Days above which lines are thin and only months are named."""
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A stretch of a bar, in per cent of the whole width."""

    key: str
    at: str
    width: str
    middle: str
    percent: str
    roomy: bool
    """Whether its number fits into it."""
    wide: bool
    """Whether its share does beside."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A word at a place of an axis."""

    at: str
    text: str
    side: str = "middle"


@dataclass(frozen=True, kw_only=True)
class DaysChart:
    """Paths in a space of 100 by `HEIGHT`, marks beside them."""

    used: str
    needed: str
    allocated: str
    days: tuple[Mark, ...]
    levels: tuple[Mark, ...]
    short: tuple[Segment, ...]
    blind: tuple[Segment, ...]
    dense: bool
    """So many days that lines must be thin."""


def bar(shares: Sequence[tuple[str, float]], *, whole: float = 1.0) -> tuple[Segment, ...]:
    """Segments one after another; those of no width are left out."""
    found, at = [], 0.0
    for key, share in shares:
        width = 100.0 * max(0.0, share) / whole
        if width > 0.0:
            found.append(_segment(key, at, width))
        at += width
    return tuple(found)


def days_chart(table: Table) -> DaysChart:
    """Used, needed and allocated GPU-hours of each day, and the days that are short or lack data."""
    rows = table.rows
    top = _levels(max(number(row[key]) for row in rows for key in ("allocated_gpu_h", "needed_gpu_h")))
    step = 100.0 / len(rows)

    def heights(key: str) -> list[float | None]:
        return [None if _nothing_known(row) else HEIGHT * (1.0 - number(row[key]) / top[-1]) for row in rows]

    def days_with(key: str) -> tuple[Segment, ...]:
        days = groupby(enumerate(rows), key=lambda each: number(each[1][key]) > 0.0)
        spans = [[index for index, _ in run] for found, run in days if found]
        return tuple(_segment("", run[0] * step, len(run) * step) for run in spans)

    return DaysChart(
        used=_area(heights("used_gpu_h"), step),
        needed=_line(heights("needed_gpu_h"), step),
        allocated=_line(heights("allocated_gpu_h"), step),
        days=_day_marks([row["day"] for row in rows if isinstance(row["day"], date)]),
        levels=tuple(Mark(at=_short(HEIGHT * (1.0 - level / top[-1])), text=f"{level:,g}") for level in top),
        short=days_with("shortfall_gpu_h"),
        blind=days_with("unknown_service_h"),
        dense=len(rows) > DENSE,
    )


def _nothing_known(row: Row) -> bool:
    """A day of which nothing is known stays empty: it is not a day without work."""
    return bool(row["unknown_service_h"]) and not any(row[key] for key in ("used_gpu_h", "allocated_gpu_h"))


def _segment(key: str, at: float, width: float) -> Segment:
    return Segment(
        key=key, at=f"{at:.3f}%", width=f"{width:.3f}%", middle=f"{at + width / 2.0:.3f}%", percent=f"{width:.0f}%",
        roomy=width >= 5.0, wide=width >= 20.0,
    )  # fmt: skip


def _levels(highest: float) -> list[float]:
    """Round levels from 0 to the first that is not below the highest value, at most six of them."""
    most = max(highest, 1e-9)
    rough = most / 4.0
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(each for each in _STEPS if each * scale >= rough * (1.0 - 1e-12)) * scale
    return [round(step * count, 12) for count in range(math.ceil(most / step - 1e-9) + 1)]


def _runs(heights: Sequence[float | None], step: float) -> list[list[tuple[float, float]]]:
    """Corners of the steps, a list for each stretch of days without a gap."""
    runs: list[list[tuple[float, float]]] = []
    before = False
    for index, height in enumerate(heights):
        if height is not None:
            if not before:
                runs.append([])
            runs[-1] += [(index * step, height), ((index + 1) * step, height)]
        before = height is not None
    return runs


def _line(heights: Sequence[float | None], step: float) -> str:
    return "".join(_path(run) for run in _runs(heights, step))


def _area(heights: Sequence[float | None], step: float) -> str:
    return "".join(f"{_path([(run[0][0], HEIGHT), *run, (run[-1][0], HEIGHT)])}Z" for run in _runs(heights, step))


def _path(points: Sequence[tuple[float, float]]) -> str:
    (x, y), *others = points
    return f"M{_short(x)} {_short(y)}" + "".join(f"L{_short(x)} {_short(y)}" for x, y in others)


def _short(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _day_marks(days: Sequence[date]) -> tuple[Mark, ...]:
    """Weeks of a month, halves of a month in a quarter, months of a year."""
    chosen, form = _marked(len(days))
    step = 100.0 / len(days)
    return tuple(
        Mark(at=f"{index * step:.3f}%", text=day.strftime(form).replace(" 0", " "), side="start")
        for index, day in enumerate(days)
        if chosen(day) and index * step <= 97.0
    )


def _marked(days: int) -> tuple[Callable[[date], bool], str]:
    if days <= 31:
        return (lambda day: day.day % 7 == 1 and day.day < 29), "%b %d"
    if days <= DENSE:
        return (lambda day: day.day in (1, 15)), "%b %d"
    return (lambda day: day.day == 1), "%b"
