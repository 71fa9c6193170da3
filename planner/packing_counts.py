"""Which numbers of replicas are tried for a model that shares GPUs, and whether any other could be worth trying.

More replicas need less of a GPU each and more in sum: only where they fit into what others leave are they worth it. So
every number up to a bound is tried. Beyond what the GPUs can hold, or once the least share there is does, more of them
change nothing: then the numbers tried stand for all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from models.gpu_sharing import STEPS
from models.packing import GpuKind, node_sizes
from planner.packing_tenant import Tenant

ALL_MODELS = 240
"""Numbers beyond the least ones, of all models and kinds of GPU together: the search stays within seconds."""
_FEW = 4
"""Numbers beyond the least one of which every one is tried; of fewer only the next one and the double are."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Numbers of replicas of a model that were tried on a kind of GPU."""

    kind: int
    tried: tuple[int, ...]
    complete: bool
    """Whether no other number can be worth more, shares in steps of 2 %."""


def beyond(models: int, kinds: int) -> int:
    """How many numbers beyond the least one are tried for each of so many models on each kind of GPU."""
    return ALL_MODELS // (models * kinds)


def most_useful(tenant: Tenant, index: int, kind: GpuKind) -> int:
    """The most replicas of a model that the GPUs of a kind can hold by memory, sharing and spreading."""
    memory, apart = tenant.memory[index].total, tenant.fields.anti_affinity.spread
    if apart == "node":
        return len(node_sizes(kind))
    each = 1 if apart == "gpu" else min(kind.most_replicas, int(kind.memory_bytes / memory + 1e-9))
    return min(kind.count * max(1, each), tenant.fields.max_replicas or kind.count * kind.most_replicas)


def shares_by_count(
    share: Callable[[int], float | None], *, least: int, start: int, most: int, more: int
) -> tuple[dict[int, float], tuple[int, ...], bool]:
    """The least share by number of replicas, the numbers that were tried, and whether they stand for all.

    `least` is what the load needs and `start` what the model must have; none beyond `most` is worth it.
    """
    # In a large fleet more options cost more, in what is not found in time, than they save.
    every = max(more, min(start, 5 * more)) if more >= _FEW else 1
    top = max(start, min(most, start + every))
    found: dict[int, float] = {}
    tried = []
    for count in sorted({least, *range(start, top + 1), max(start, min(most, 2 * start))}):
        tried.append(count)
        needed = share(count)
        if needed is not None:
            found[count] = needed
            if count >= start and needed <= 1.0 / STEPS:
                return found, tuple(tried), True
    # Nothing between two numbers that need the same share is worth more than the smaller one.
    return found, tuple(tried), top >= most or (top in found and share(most) == found[top])
