"""The period of a report: a month, quarter or year on the clocks of a time zone, cut into slots of equal length."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidInput

_FORM = re.compile(r"(?P<year>\d{4})(?:-(?:(?P<month>\d{2})|Q(?P<quarter>[1-4])))?")
YEARS = (2000, 2100)
SLOTS_S = (300, 600, 900, 1200, 1800, 3600)
"""Lengths that divide an hour, and with it every day, 23 and 25 hours long ones too; clocks of a few places change by
half an hour."""


@dataclass(frozen=True, kw_only=True)
class Period:
    """From a midnight to another in one time zone; times are seconds since 1970."""

    name: str
    time_zone: str
    start: datetime
    end: datetime
    """The first moment that is no longer part of it."""
    slot_s: int = 3600

    @property
    def start_s(self) -> float:
        """Where it begins."""
        return self.start.timestamp()

    @property
    def end_s(self) -> float:
        """Where it ends."""
        return self.end.timestamp()

    @property
    def hours(self) -> float:
        """Real hours in it, whatever the clocks did."""
        return (self.end_s - self.start_s) / 3600.0

    @property
    def slots(self) -> int:
        """How many."""
        return round((self.end_s - self.start_s) / self.slot_s)

    @cached_property
    def edges_s(self) -> NDArray[np.float64]:
        """Where slots begin, and where the last one ends."""
        return self.start_s + self.slot_s * np.arange(self.slots + 1, dtype=float)

    @cached_property
    def days(self) -> tuple[tuple[date, int, int], ...]:
        """Each day on the zone's clocks with its first slot and the one after its last."""
        found, day, first = [], self.start.date(), 0
        while day < self.end.date():
            day_after = day + timedelta(days=1)
            midnight = datetime.combine(day_after, datetime.min.time(), ZoneInfo(self.time_zone))
            last = min(self.slots, round((midnight.timestamp() - self.start_s) / self.slot_s))
            found.append((day, first, last))
            day, first = day_after, last
        return tuple(found)

    @property
    def clock_changes(self) -> tuple[str, ...]:
        """In words, the days on which the clocks change."""
        per_day = 24 * 3600 // self.slot_s
        return tuple(
            f"{day.isoformat()} has {(last - first) * self.slot_s / 3600:g} hours"
            for day, first, last in self.days
            if last - first != per_day
        )

    def slot_of(self, time_s: float) -> int:
        """The slot of a moment; one outside the period has a number below 0 or beyond the last."""
        return int((time_s - self.start_s) // self.slot_s)

    def until(self, moment: datetime) -> int:
        """How many slots are over at a moment."""
        return min(self.slots, max(0, self.slot_of(moment.timestamp())))

    def moment(self, slots: int) -> datetime:
        """When so many slots are over, on the clocks of the zone."""
        return datetime.fromtimestamp(float(self.edges_s[slots]), ZoneInfo(self.time_zone))


def parse_period(text: str, *, time_zone: str = "UTC", slot_s: int = 3600) -> Period:
    """The period that `2026-10`, `2026-Q4` or `2026` names. Raises InvalidInput."""
    found = _FORM.fullmatch(text.strip())
    year = int(found["year"]) if found else 0
    first, months = 1, 12
    if found and found["month"]:
        first, months = int(found["month"]), 1
    elif found and found["quarter"]:
        first, months = 3 * int(found["quarter"]) - 2, 3
    if found is None or not 1 <= first <= 12 or not YEARS[0] <= year < YEARS[1]:
        raise InvalidInput(
            f"--period {text[:40]!r} is not a month, quarter or year",
            remedy=f"write 2026-10, 2026-Q4 or 2026, of {YEARS[0]} to {YEARS[1] - 1}",
        )
    if slot_s not in SLOTS_S:
        raise InvalidInput(
            f"--resolution of {slot_s} s is not possible",
            remedy=f"choose {', '.join(f'{each // 60}m' for each in SLOTS_S)}",
        )
    zone = _zone(time_zone)
    last = first + months
    start = datetime(year, first, 1, tzinfo=zone)
    end = datetime(year + (last > 12), last - 12 if last > 12 else last, 1, tzinfo=zone)
    if (end.timestamp() - start.timestamp()) % slot_s:
        raise InvalidInput(
            f"--period {text.strip()} in {time_zone} is not made of whole slots of {slot_s // 60} minutes: its clocks "
            "change by a part of one",
            remedy="choose --resolution 30m, or a finer one",
        )
    return Period(name=text.strip(), time_zone=time_zone, start=start, end=end, slot_s=slot_s)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInput(
            f"--time-zone {name[:60]!r} is not known", remedy="write a name of the tz database, such as Europe/Berlin"
        ) from None
