"""Where allocated capacity goes: work, the headroom that the objective needs, and idle time by its cause.

Every GPU that is held is told of once: the parts add up to what was allocated, in every slot of time.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Slots = NDArray[np.float64]
"""One value a slot; NaN where it is not known."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CapacityUse:
    """GPUs by what they were held for, one value a slot; NaN where allocation is not known."""

    used: Slots
    """Doing work: the arrival rate over the greatest rate that a replica carries, in GPUs."""
    needed: Slots
    """Whole replicas that the objective asks for; NaN also where the demand is not known."""
    allocated: Slots
    burst_headroom: Slots
    """What the objective needs above the work, in parts of replicas."""
    fragmentation: Slots
    """What whole replicas take above parts of them."""
    minimum: Slots
    """Above the need, up to the least replicas that are always kept."""
    stabilisation: Slots
    """Above those, up to what the policy for scaling down still held."""
    over_provisioned: Slots
    """All the rest."""
    unexplained: Slots
    """Held while the demand is not known: neither work nor idle can be told."""
    shortfall: Slots
    """Needed and not there."""

    @property
    def idle(self) -> Slots:
        """Allocated and without work, where the demand is known."""
        return self.burst_headroom + self.fragmentation + self.minimum + self.stabilisation + self.over_provisioned

    def sums(self, chosen: NDArray[np.bool_] | slice = slice(None)) -> dict[str, float]:
        """The sum of each over chosen slots, NaN left out."""
        return {each.name: float(np.nansum(getattr(self, each.name)[chosen])) for each in fields(self)}


def capacity_use(
    *, work: Slots, parts: Slots, needed: Slots, allocated: Slots, floor: Slots | float, held: Slots | float
) -> CapacityUse:
    """Split what was allocated. All in GPUs, arrays over slots.

    The demand asks for `work` ≤ `parts` ≤ `needed`: to be done at all; within the objective in parts of replicas; in
    whole ones. `work` is NaN where the demand is not known, the others too where no number meets the objective: then
    all above the work is unexplained. `floor` are the GPUs of the least replicas, `held` those that the policy for
    scaling down keeps.
    """
    known = ~np.isnan(allocated)
    sized = known & ~np.isnan(work) & ~np.isnan(needed)
    busy = np.where(known, np.fmin(np.nan_to_num(work), allocated), 0.0)
    levels = [np.nan_to_num(work)]
    for above in (parts, needed, floor, held):
        levels.append(np.maximum(levels[-1], np.nan_to_num(above)))
    reached = [np.where(sized, np.minimum(level, allocated), busy) for level in levels]
    headroom, fragmentation, minimum, stabilisation = (above - below for below, above in pairwise(reached))
    rest = allocated - reached[-1]

    def where_known(values: Slots) -> Slots:
        return np.where(known, values, np.nan)

    return CapacityUse(
        used=where_known(busy),
        needed=needed,
        allocated=allocated,
        burst_headroom=where_known(headroom),
        fragmentation=where_known(fragmentation),
        minimum=where_known(minimum),
        stabilisation=where_known(stabilisation),
        over_provisioned=where_known(np.where(sized, rest, 0.0)),
        unexplained=where_known(np.where(sized, 0.0, rest)),
        shortfall=np.maximum(needed - allocated, 0.0),
    )
