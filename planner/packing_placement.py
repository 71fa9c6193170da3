"""From numbers of patterns to GPUs: which node, which index, which slice; replicas one by one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from models.errors import NoFeasiblePlan
from models.mig_layouts import MigSlice, place
from models.packing import Option, Packing, PackingProblem, Pattern


@dataclass(frozen=True, kw_only=True)
class PlacedReplica:
    """A replica on a GPU, or its part on it."""

    model: int
    slice: int | None = None
    """Index in the GPU's slices."""
    group: int | None = None
    """Number of the replica that the GPU is a part of, where it takes several."""


@dataclass(kw_only=True)
class PlacedGpu:
    """A GPU with what stands on it."""

    kind: int
    node: str = ""
    index: int = 0
    slices: tuple[tuple[MigSlice, int], ...] = ()
    """Where it is cut: slices and the memory slices that they start at."""
    replicas: list[PlacedReplica] = field(default_factory=list)

    @property
    def models(self) -> set[int]:
        """Which models stand on it."""
        return {each.model for each in self.replicas}


def placed(problem: PackingProblem, packing: Packing) -> tuple[PlacedGpu, ...]:
    """Every GPU that has work, nodes in order. Raises NoFeasiblePlan where replicas cannot be spread over nodes."""
    nodes = [_Nodes(problem, kind) for kind in range(len(problem.kinds))]
    found: list[PlacedGpu] = []
    options = [(m, problem.models[m].options[o]) for m, o in enumerate(packing.chosen)]
    # The largest parts first: then those that divide a node never leave a gap.
    for m, option in sorted(options, key=lambda each: -each[1].gpus):
        if option.gpus * option.nodes > 1:
            found += _groups(m, option, nodes[option.kind])
    singles = _expanded(problem, packing)
    # Those whose replicas must be on different nodes first: they have the least choice.
    singles.sort(
        key=lambda gpu: (-sum(problem.models[m].spread_nodes for m in gpu.models), [r.model for r in gpu.replicas])
    )
    for gpu in singles:
        nodes[gpu.kind].put(gpu)
    found += singles
    return tuple(sorted(found, key=lambda gpu: (gpu.kind, nodes[gpu.kind].number(gpu.node), gpu.index)))


class _Nodes:
    """Nodes of one kind of GPU, and what is free on them."""

    def __init__(self, problem: PackingProblem, kind: int) -> None:
        gpu = problem.kinds[kind]
        self.problem, self.kind = problem, gpu
        full, rest = divmod(gpu.count, gpu.per_node)
        self.sizes = [gpu.per_node] * full + ([rest] if rest else [])
        self.taken = [0] * len(self.sizes)
        self.apart: list[set[int]] = [set() for _ in self.sizes]
        self.prefix = re.sub(r"[^a-z0-9]+", "-", gpu.name.lower()).strip("-")

    def number(self, node: str) -> int:
        return int(node.rpartition("-")[2])

    def put(self, gpu: PlacedGpu) -> None:
        """On the first node that has room, and none of the models that must be on nodes of their own."""
        apart = {m for m in gpu.models if self.problem.models[m].spread_nodes}
        at = self._first(1, apart)
        gpu.node, gpu.index = f"{self.prefix}-{at}", self.taken[at]
        self._take(at, 1, apart)

    def take(self, gpus: int, model: int) -> tuple[str, int]:
        """A node with so many GPUs free, and the index of the first."""
        apart = {model} if self.problem.models[model].spread_nodes else set()
        at = self._first(gpus, apart)
        node = f"{self.prefix}-{at}", self.taken[at]
        self._take(at, gpus, apart)
        return node

    def _first(self, gpus: int, apart: set[int]) -> int:
        room = [n for n, size in enumerate(self.sizes) if size - self.taken[n] >= gpus and not self.apart[n] & apart]
        if not room:
            names = ", ".join(self.problem.models[m].name for m in apart)
            raise NoFeasiblePlan(
                f"the GPUs are enough, but not the nodes of {self.kind.name}: no place was found for {gpus} GPUs of "
                f"one node{f' without another replica of {names}' if apart else ''}",
                remedy="`spread: gpu` instead of node, more nodes, or fewer GPUs a replica",
            )
        return room[0]

    def _take(self, at: int, gpus: int, apart: set[int]) -> None:
        self.taken[at] += gpus
        self.apart[at] |= apart


def _groups(model: int, option: Option, nodes: _Nodes) -> list[PlacedGpu]:
    """Replicas that take several GPUs, each part in one node."""
    found = []
    for number in range(option.replicas):
        for _ in range(option.nodes):
            node, first = nodes.take(option.gpus, model)
            found += [
                PlacedGpu(
                    kind=option.kind, node=node, index=first + i, replicas=[PlacedReplica(model=model, group=number)]
                )
                for i in range(option.gpus)
            ]
    return found


def _expanded(problem: PackingProblem, packing: Packing) -> list[PlacedGpu]:
    """GPUs of the patterns, with exactly as many replicas as the options need."""
    left = Counter({m: problem.models[m].options[o].replicas for m, o in enumerate(packing.chosen)})
    gpus = []
    for pattern, count in packing.patterns:
        for _ in range(count):
            gpu = _gpu(problem, pattern, packing.chosen, left)
            if gpu.replicas:
                gpus.append(gpu)
    return gpus


def _gpu(problem: PackingProblem, pattern: Pattern, chosen: Sequence[int], left: Counter[int]) -> PlacedGpu:
    wanted: list[int] = []
    for (m, o), count in pattern.counts.items():
        used = min(count, left[m]) if chosen[m] == o else 0
        left[m] -= used
        wanted += [m] * used
    if not pattern.sliced:
        return PlacedGpu(kind=pattern.kind, replicas=[PlacedReplica(model=m) for m in wanted])
    mig = problem.kinds[pattern.kind].mig
    assert mig is not None
    names = [str(problem.models[m].options[chosen[m]].slice) for m in wanted]
    slices = place(mig, Counter(names)) or ()
    free = list(range(len(slices)))
    replicas = []
    for m, name in zip(wanted, names, strict=True):
        at = next(i for i in free if slices[i][0].name == name)
        free.remove(at)
        replicas.append(PlacedReplica(model=m, slice=at))
    return PlacedGpu(kind=pattern.kind, slices=slices, replicas=replicas)
