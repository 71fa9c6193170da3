"""On which days a term may begin: today, on the day on which an existing commitment ends, and whole years after those.

Between two such days nothing begins and nothing ends but commitments that are too small for a day of their own
(`MOST_ENDS`): that is a stretch. Of a term that reaches beyond the horizon the part inside counts, both in what it
costs and in what it spares: the rest is taken to be worth its price, as where the need goes on. So a term that begins
later is no dearer and no cheaper by the year; what it presumes shows only in purchases that are not due yet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.demand_scenario import DAYS_PER_YEAR
from models.purchase_offers import ExistingCommitment, ReservedOffer, covered_years

Array = NDArray[np.float64]

MOST_ENDS = 6
"""Days of the year on which commitments end that purchases may begin on: those on which most GPUs end."""
_SAME = 1e-9


@dataclass(frozen=True, kw_only=True)
class Start:
    """A day on which a term may begin: so many years after a day that is so many days from today."""

    days: float = 0.0
    years: int = 0

    @property
    def time(self) -> float:
        """Years from today."""
        return self.days / DAYS_PER_YEAR + self.years


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """The days on which terms may begin, in their order, each the beginning of a stretch of the horizon."""

    starts: tuple[Start, ...]
    years: int

    @cached_property
    def cuts(self) -> Array:
        """Beginnings of the stretches and the end of the last, in years."""
        return np.array([*(start.time for start in self.starts), float(self.years)])

    @cached_property
    def lengths(self) -> Array:
        """Of the stretches, in years."""
        return np.diff(self.cuts)

    def year(self, stretch: int) -> int:
        """The year of the horizon that it lies in, from 0."""
        return int(self.cuts[stretch] + _SAME)

    def covered(self, offer: ReservedOffer, stretch: int) -> range:
        """The stretches inside the horizon that a term covers which begins with one of them."""
        ends = np.searchsorted(self.cuts, self.cuts[stretch] + covered_years(offer) - _SAME)
        return range(stretch, min(int(ends), self.lengths.size))

    def lasts(self, stretches: range) -> float:
        """Years of stretches that follow one another."""
        return float(self.lengths[stretches.start : stretches.stop].sum())


def timeline(existing: Sequence[ExistingCommitment], years: int) -> Timeline:
    """Every day of a horizon on which a term may begin."""
    ending: Counter[float] = Counter()
    for each in existing:
        if each.years_left < years and abs(each.years_left - round(each.years_left)) > _SAME:
            ending[each.days_left] += each.gpus
    days = [0.0, *(day for day, _ in ending.most_common(MOST_ENDS))]
    every = [Start(days=day, years=year) for day in days for year in range(years)]
    starts: list[Start] = []
    for start in sorted(every, key=lambda each: (each.time, each.days)):
        if start.time < years - _SAME and not (starts and start.time - starts[-1].time < _SAME):
            starts.append(start)
    return Timeline(starts=tuple(starts), years=years)
