"""What a sample must be, to be believed."""

from __future__ import annotations

from dataclasses import dataclass


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
