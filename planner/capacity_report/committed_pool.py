"""A pool with commitments, slot by slot: what is held, what is committed, and which part of what is held is of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from planner.capacity_report.commitments import Commitment
from planner.capacity_report.history import Slots
from planner.capacity_report.period import Period
from planner.capacity_report.price_list import PriceLine
from planner.capacity_report.service_record import ServiceRecord

NOTHING = 1e-9
"""GPU-hours that are none: a float's last digits."""


@dataclass(frozen=True, kw_only=True)
class CommittedPool:
    """Services and commitments of one cluster and GPU type."""

    commitments: Sequence[Commitment]
    members: Sequence[ServiceRecord]
    prices: Mapping[str, Sequence[PriceLine]]
    period: Period
    covered: int

    @property
    def hours(self) -> float:
        return self.period.slot_s / 3600.0

    @cached_property
    def held(self) -> Slots:
        """GPUs that services are known to have held."""
        each = [np.nan_to_num(record.use.allocated[: self.covered]) for record in self.members]
        total: Slots = np.sum(each, axis=0) if each else np.zeros(self.covered)
        return total

    @cached_property
    def committed(self) -> Slots:
        total: Slots = np.sum([each.in_slots(self.period, self.covered) for each in self.commitments], axis=0)
        return total

    @cached_property
    def share(self) -> Slots:
        """Of what each service holds in a slot, the part that is paid at the commitments' prices.

        None of it where not every service's replicas are known: nobody knows then which part was whose.
        """
        taken = np.minimum(self.held, self.committed)
        told = ~self.blind & (self.held > 0.0)
        found: Slots = np.divide(taken, self.held, out=np.zeros(self.covered), where=told)
        return found

    @cached_property
    def blind(self) -> NDArray[np.bool_]:
        """Slots in which not every service's replicas are known."""
        gaps = [np.isnan(record.use.allocated[: self.covered]) for record in self.members]
        found: NDArray[np.bool_] = np.any(gaps, axis=0) if gaps else np.zeros(self.covered, dtype=bool)
        return found

    @cached_property
    def spare(self) -> Slots:
        """Committed GPUs that no service is known to have held."""
        return np.maximum(self.committed - self.held, 0.0)

    @cached_property
    def told(self) -> NDArray[np.bool_]:
        """Slots in which that is known: every service's replicas are, or those that are hold all that is committed."""
        known: NDArray[np.bool_] = ~self.blind | (self.spare <= NOTHING)
        return known

    @property
    def segments(self) -> list[slice]:
        """Parts of the period in which no price changes and no commitment ends.

        Where a service would pay a price that is not known in the hours that cannot be shared, these are parts of
        their own: only their cost is not known.
        """
        lines = [line for each in self.prices.values() for line in each]
        lines += [line for each in self.commitments for line in each.every_line]
        moments = [*(line.start_s for line in lines), *(each.until_s for each in self.commitments)]
        inside = {min(self.covered, max(0, self.period.slot_of(moment))) for moment in moments}
        if any(line.effective is None for each in self.prices.values() for line in each):
            inside |= {int(at) + 1 for at in np.flatnonzero(np.diff(self.blind))}
        edges = sorted({0, self.covered, *inside})
        return [slice(first, last) for first, last in pairwise(edges)]

    def price_of(self, lines: Sequence[PriceLine], segment: slice) -> PriceLine:
        """The price that holds in a segment."""
        begun = [line for line in lines if self.period.slot_of(line.start_s) <= segment.start]
        return begun[-1]
