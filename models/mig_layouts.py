"""How a multi-instance GPU (MIG) can be cut: slices with fixed places, and every layout that leaves no more room.

A slice takes a run of memory slices that starts at one of a few places, and some of the compute slices (NVIDIA,
Multi-Instance GPU User Guide, "Supported MIG Profiles"; places as `nvidia-smi mig -lgipp` lists them). What is valid
follows from the places; that the compute slices are enough is checked too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from models.errors import InvalidInput


@dataclass(frozen=True, kw_only=True)
class MigSlice:
    """A GPU instance profile, such as 3g.40gb."""

    name: str
    compute_slices: int
    memory_slices: int
    starts: tuple[int, ...]
    """First memory slices that it may take."""
    instances: int
    """Most of them on one GPU."""
    memory_bytes: float
    compute: float
    """Share of the whole GPU's multiprocessors."""


@dataclass(frozen=True, kw_only=True)
class MigGpu:
    """A GPU that can be cut into slices."""

    compute_slices: int
    memory_slices: int
    slices: tuple[MigSlice, ...]

    def __post_init__(self) -> None:
        for each in self.slices:
            if any(start < 0 or start + each.memory_slices > self.memory_slices for start in each.starts):
                raise InvalidInput(f"MIG slice {each.name} starts where it has no room")

    def handing_out(self, share: float) -> MigGpu:
        """The GPU whose slices give this share of their memory and no more."""
        slices = tuple(replace(each, memory_bytes=each.memory_bytes * share) for each in self.slices)
        return replace(self, slices=slices)


Placed = tuple[tuple[MigSlice, int], ...]
"""Slices with the places that they start at, ascending."""


def place(gpu: MigGpu, wanted: Mapping[str, int]) -> Placed | None:
    """Places for so many slices of each name; None where they do not fit together."""
    for found in _placements(gpu, 0, 0, dict(wanted)):
        return found
    return None


def layouts(gpu: MigGpu, names: Sequence[str] | None = None) -> tuple[Mapping[str, int], ...]:
    """Counts by name of every layout to which no further slice of these names (all, if None) can be added.

    A layout that leaves slices unused is one of these with some of them left empty.
    """
    allowed = [each for each in gpu.slices if names is None or each.name in names]
    found: dict[tuple[int, ...], None] = {}
    _grow(gpu, allowed, [0] * len(allowed), 0, found)
    counts = [dict(zip([each.name for each in allowed], key, strict=True)) for key in found]
    return tuple(each for each in counts if not any(_covers(other, each) for other in counts if other is not each))


def _grow(
    gpu: MigGpu, allowed: Sequence[MigSlice], counts: list[int], first: int, found: dict[tuple[int, ...], None]
) -> None:
    """Every combination that can be placed, by adding slices in order of the list."""
    for index in range(first, len(allowed)):
        counts[index] += 1
        wanted = {each.name: count for each, count in zip(allowed, counts, strict=True)}
        if counts[index] <= allowed[index].instances and place(gpu, wanted) is not None:
            found[tuple(counts)] = None
            _grow(gpu, allowed, counts, index, found)
        counts[index] -= 1


def _covers(other: Mapping[str, int], one: Mapping[str, int]) -> bool:
    return all(other[name] >= count for name, count in one.items())


def _placements(gpu: MigGpu, at: int, compute: int, wanted: dict[str, int]) -> Iterator[Placed]:
    """Ways to place what is wanted from memory slice `at` on, with `compute` compute slices taken."""
    if not any(wanted.values()):
        yield ()
        return
    if at >= gpu.memory_slices:
        return
    for each in gpu.slices:
        more = compute + each.compute_slices
        if wanted.get(each.name, 0) < 1 or at not in each.starts or more > gpu.compute_slices:
            continue
        rest = {**wanted, each.name: wanted[each.name] - 1}
        for found in _placements(gpu, at + each.memory_slices, more, rest):
            yield ((each, at), *found)
    yield from _placements(gpu, at + 1, compute, wanted)
