"""What happened to one service, slot by slot; what is not known is NaN and stays so."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.capacity_report.period import Period

Slots = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class History:
    """Arrays of one value a slot of the period."""

    requests: Slots
    """Arrivals in the slot."""
    input_tokens: Slots
    output_tokens: Slots
    replicas: Slots
    """Mean number that held GPUs, ready or not."""
    met: Slots
    """1 where every objective was measured to hold in the slot, 0 where one did not, NaN where nobody measured."""
    sources: tuple[str, ...] = ()
    """In words, where each figure is from and as of when."""
    notes: tuple[str, ...] = field(default=())
    """What a reader must know, such as what was refused."""

    @staticmethod
    def unknown(period: Period) -> History:
        """Nothing is known."""
        nothing: dict[str, Any] = {name: np.full(period.slots, np.nan) for name in COLUMNS}
        return History(**nothing)

    def completed(self, other: History) -> History:
        """What this one does not know is taken from another."""
        arrays = {
            name: np.where(np.isnan(getattr(self, name)), getattr(other, name), getattr(self, name)) for name in COLUMNS
        }
        return History(**arrays, sources=self.sources + other.sources, notes=self.notes + other.notes)

    def cut(self, slots: int) -> History:
        """Nothing is known after so many slots: they are not over yet."""
        arrays = {name: getattr(self, name).copy() for name in COLUMNS}
        for values in arrays.values():
            values[slots:] = np.nan
        return History(**arrays, sources=self.sources, notes=self.notes)


COLUMNS = tuple(each.name for each in fields(History) if each.name not in ("sources", "notes"))
