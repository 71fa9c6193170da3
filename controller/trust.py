"""What a sample must be, to be believed, and how its time is told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

LAST_S = 1e11
"""Seconds since 1970: a time that is later is none."""


@dataclass(frozen=True, kw_only=True)
class Trust:
    """How old a sample may be and how far clocks may differ."""

    scrape_interval_s: float = 15.0
    least_stale_s: float = 45.0
    skew_s: float = 5.0

    @property
    def stale_after_s(self) -> float:
        """Age of a sample that no longer tells of the present."""
        return max(self.least_stale_s, 3.0 * self.scrape_interval_s)


def at(time_s: float) -> str:
    """A time, and not an age: a message that says the same at every tick is written once."""
    if not 0.0 <= time_s <= LAST_S:
        return "a time that is none"
    return f"{datetime.fromtimestamp(time_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
