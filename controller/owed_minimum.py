"""What is owed whatever the load is: the minimum, of a schedule too, does not wait for metrics.

Raised only, within GPUs and money, at the pace of scaling up, where pods find a place, and by a lever that is known.
"""

from __future__ import annotations

from controller.capacity_model import CapacityModel
from controller.limits import Limits, limits_at
from controller.memory import Memory
from controller.reasons import Reason
from controller.snapshot import Snapshot
from controller.step import risen
from controller.writes import current_of


def owed_minimum(snapshot: Snapshot, memory: Memory, capacity: CapacityModel | None) -> tuple[int, list[Reason]]:
    """What the lever is to say where nothing is known of the load, and why it is more than now."""
    current = current_of(snapshot)
    limits = None if snapshot.scaler_problem else _limits(snapshot, capacity)
    if limits is None or current >= limits.lowest:
        return current, []
    raised, slowed = risen(snapshot, memory, limits.lowest)
    return raised, [limits.why_lowest, *slowed]


def _limits(snapshot: Snapshot, capacity: CapacityModel | None) -> Limits | None:
    """None where a limit is in GPUs or money, and how many a replica takes is not known."""
    if capacity is not None:
        return limits_at(snapshot, capacity.gpus_per_replica)
    bounds = snapshot.spec.bounds
    counted = (bounds.max_gpus, bounds.budget_per_hour, snapshot.gpus_free)
    return limits_at(snapshot, 0) if counted == (None, None, None) else None
