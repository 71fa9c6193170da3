"""From numbers of patterns to GPUs: which node, which index, which slice; replicas one by one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from models.errors import NoFeasiblePlan
from models.mig_layouts import MigSlice, place
from models.packing import Option, Packing, PackingProblem, Pattern, node_sizes
from planner.packing_nodes import Piece, assigned


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


class NodesLack(NoFeasiblePlan):
    """No places on nodes were found for this packing; another one may have some."""

    def __init__(self, problem: PackingProblem, kind: int, pieces: Sequence[Piece]) -> None:
        largest = max(piece.gpus for piece in pieces)
        names = sorted({problem.models[m].name for piece in pieces for m in piece.apart})
        what = f"replicas of {', '.join(names[:5])} on nodes of their own" if names else ""
        groups = f"{largest} GPUs of one node" if largest > 1 else ""
        super().__init__(
            f"the GPUs are enough, but no places were found on the nodes of {problem.kinds[kind].name} for "
            f"{' and '.join(filter(None, (what, groups)))}; that there are none is not proven",
            remedy="`spread: gpu` instead of node, more nodes, or fewer GPUs a replica",
        )
        self.kind = kind


def placed(problem: PackingProblem, packing: Packing) -> tuple[PlacedGpu, ...]:
    """Every GPU that has work, nodes in order. Raises NodesLack where no nodes were found for all of it."""
    work: list[list[list[PlacedGpu]]] = [[] for _ in problem.kinds]
    options = [(m, problem.models[m].options[o]) for m, o in enumerate(packing.chosen)]
    # The largest parts first: then those that divide a node never leave a gap.
    for m, option in sorted(options, key=lambda each: -each[1].gpus):
        if option.gpus * option.nodes > 1:
            work[option.kind] += _groups(m, option)
    # Those whose replicas must be on different nodes first: they have the least choice.
    for gpu in sorted(
        _expanded(problem, packing),
        key=lambda gpu: (-sum(problem.models[m].spread_nodes for m in gpu.models), [r.model for r in gpu.replicas]),
    ):
        work[gpu.kind].append([gpu])
    return tuple(gpu for kind, pieces in enumerate(work) if pieces for gpu in _on_nodes(problem, kind, pieces))


def _on_nodes(problem: PackingProblem, kind: int, work: Sequence[list[PlacedGpu]]) -> list[PlacedGpu]:
    """The GPUs of a kind with their nodes and their places in them."""
    gpu = problem.kinds[kind]
    pieces = [
        Piece(gpus=len(part), apart=frozenset(m for m in part[0].models if problem.models[m].spread_nodes))
        for part in work
    ]
    nodes = assigned(node_sizes(gpu), pieces)
    if nodes is None:
        raise NodesLack(problem, kind, pieces)
    prefix = re.sub(r"[^a-z0-9]+", "-", gpu.name.lower()).strip("-")
    taken: Counter[int] = Counter()
    for part, at in zip(work, nodes, strict=True):
        for each in part:
            each.node, each.index = f"{prefix}-{at}", taken[at]
            taken[at] += 1
    order = [(at, each.index, each) for part, at in zip(work, nodes, strict=True) for each in part]
    return [each for _, _, each in sorted(order, key=lambda entry: entry[:2])]


def _groups(model: int, option: Option) -> list[list[PlacedGpu]]:
    """Replicas that take several GPUs, each part in one node."""
    return [
        [PlacedGpu(kind=option.kind, replicas=[PlacedReplica(model=model, group=number)]) for _ in range(option.gpus)]
        for number in range(option.replicas)
        for _ in range(option.nodes)
    ]


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
    for (m, o), count in sorted(pattern.counts.items()):
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
