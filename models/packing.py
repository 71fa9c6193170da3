"""Packing replicas on GPUs: the question in plain numbers, and what may stand on one GPU together.

Every model chooses one of its options: so many replicas, each with an effective share of a GPU of one kind (or a MIG
slice of it, or whole GPUs of one node). A pattern is what stands on one GPU. Least cost of all patterns used is the
cutting-stock problem (Gilmore and Gomory, Operations Research 9, 1961) with a choice of what to cut.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from models.gpu_sharing import Interference
from models.mig_layouts import MigGpu, layouts, place

ALONE = Interference(slowdowns=(1.0,))
"""Nothing is lost where replicas share."""
SLACK = 1e-9
"""Of sums of shares, and of bytes relative to the memory."""


@dataclass(frozen=True, kw_only=True)
class GpuKind:
    """GPUs of one type."""

    name: str
    count: int
    per_node: int
    price: float
    """Of one for an hour; 1 where cost is the number of GPUs."""
    memory_bytes: float
    """Usable."""
    interference: Interference = ALONE
    most_replicas: int = 1
    """That may share one GPU's time; 1: none may."""
    equal_turns: bool = False
    """Whether busy replicas take equal turns, so that each of q is granted 1/q of the time and no more."""
    mig: MigGpu | None = None
    """Slices that may be made; None: none."""


def node_sizes(kind: GpuKind) -> list[int]:
    """GPUs of each node; the last may have fewer."""
    full, rest = divmod(kind.count, kind.per_node)
    return [kind.per_node] * full + ([rest] if rest else [])


@dataclass(frozen=True, kw_only=True)
class Option:
    """One way to serve a model."""

    kind: int
    """Index of the kind of GPU."""
    replicas: int
    share: float
    """Effective share of a GPU that each needs; 1 where it has a slice or GPUs of its own."""
    memory_bytes: float
    """On each of its GPUs."""
    slice: str | None = None
    """Name of the MIG slice that each takes."""
    gpus: int = 1
    """GPUs of a replica, on each node that it takes."""
    nodes: int = 1
    """Nodes of a replica."""


@dataclass(frozen=True, kw_only=True)
class PackedModel:
    """A model, its options, and what it may not stand beside."""

    name: str
    options: tuple[Option, ...]
    spread: bool = False
    """No two replicas on one GPU."""
    spread_nodes: bool = False
    """No two replicas on one node."""
    not_with: frozenset[int] = frozenset()
    """Indices of models that may not be on the same GPU."""


@dataclass(frozen=True, kw_only=True)
class PackingProblem:
    """Models and GPUs."""

    models: tuple[PackedModel, ...]
    kinds: tuple[GpuKind, ...]


Key = tuple[int, int]
"""A model and one of its options, by index."""


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """What stands on one GPU: replicas by model and option."""

    kind: int
    counts: Mapping[Key, int]
    sliced: bool = False
    """Whether the GPU is cut into MIG slices."""

    @property
    def key(self) -> tuple[int, bool, tuple[tuple[Key, int], ...]]:
        """What makes it the same as another."""
        return self.kind, self.sliced, tuple(sorted(self.counts.items()))


@dataclass(frozen=True, kw_only=True)
class Packing:
    """An answer: the option of each model, how many GPUs of each pattern, and whole GPUs of one replica by option."""

    chosen: tuple[int, ...]
    patterns: tuple[tuple[Pattern, int], ...]
    cost: float
    gpus: int
    bound: float
    """No packing costs less."""
    optimal: bool
    notes: tuple[str, ...] = field(default=())

    @property
    def gap(self) -> float:
        """How much dearer than the bound it may be, as a share of the bound; infinite where nothing is known."""
        beyond = max(0.0, self.cost - self.bound)
        return 0.0 if beyond == 0.0 else beyond / self.bound if self.bound > 0.0 else math.inf


def slice_counts(problem: PackingProblem, pattern: Pattern) -> dict[str, int]:
    """Slices by name that a pattern of a cut GPU takes."""
    counts: dict[str, int] = {}
    for (model, option), count in pattern.counts.items():
        name = problem.models[model].options[option].slice
        if name is not None:
            counts[name] = counts.get(name, 0) + count
    return counts


def fits(problem: PackingProblem, pattern: Pattern) -> bool:
    """Whether the pattern may stand on one GPU: memory, shares or slices, and anti-affinity."""
    kind = problem.kinds[pattern.kind]
    rows = [(problem.models[m], m, problem.models[m].options[o], n) for (m, o), n in pattern.counts.items() if n]
    on_it = {m for _, m, _, _ in rows}
    if any(option.kind != pattern.kind or option.gpus * option.nodes > 1 for _, _, option, _ in rows):
        return False
    crowded = any((model.spread or model.spread_nodes) and n > 1 for model, _, _, n in rows)
    if crowded or any(model.not_with & on_it for model, _, _, _ in rows):
        return False
    return (_fits_slices if pattern.sliced else _fits_shares)(problem, kind, pattern, rows)


_Rows = list[tuple[PackedModel, int, Option, int]]
"""Models with their indices, the option they take and the number of replicas on the GPU."""


def _fits_shares(_problem: PackingProblem, kind: GpuKind, _pattern: Pattern, rows: _Rows) -> bool:
    total = sum(n for _, _, _, n in rows)
    if total > kind.most_replicas or any(option.slice is not None for _, _, option, _ in rows):
        return False
    if total > 1 and any(option.share > most_share(kind, total) + SLACK for _, _, option, _ in rows):
        return False
    memory = sum(n * option.memory_bytes for _, _, option, n in rows)
    share = sum(n * option.share for _, _, option, n in rows)
    return memory <= kind.memory_bytes * (1.0 + SLACK) and share <= kind.interference.capacity(total) + SLACK


def most_share(kind: GpuKind, replicas: int) -> float:
    """The most effective share that one of so many replicas on a GPU can be granted."""
    room = kind.interference.capacity(replicas)
    return room / replicas if kind.equal_turns else room


def _fits_slices(problem: PackingProblem, kind: GpuKind, pattern: Pattern, rows: _Rows) -> bool:
    if kind.mig is None:
        return False
    memory = {each.name: each.memory_bytes for each in kind.mig.slices}
    if any(option.slice not in memory for _, _, option, _ in rows):
        return False
    if any(option.memory_bytes > memory[str(option.slice)] * (1.0 + SLACK) for _, _, option, _ in rows):
        return False
    return place(kind.mig, slice_counts(problem, pattern)) is not None


def mig_layouts(kind: GpuKind) -> tuple[Mapping[str, int], ...]:
    """Layouts that leave no more room, by slice names; none where the GPU is not cut."""
    return () if kind.mig is None else layouts(kind.mig)
