"""Which pattern is worth the most at given values of replicas: the pricing programme of column generation.

An integer programme for each kind of GPU: a knapsack of shares, memory and number of replicas, or slices of one MIG
layout; anti-affinity as rows. HiGHS solves it (`scipy.optimize.milp`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.packing import SLACK, Key, PackingProblem, Pattern, mig_layouts, most_share

Array = NDArray[np.float64]

_PARTS = 10_000
"""Parts of a GPU's time in which shares are summed, rounded up."""
_MIB = 2.0**20
NEAR = 1e-3
"""How near to the best pattern is near enough; its value is bounded all the same."""
_SEEDS = 80
"""Options of which each begins a pattern that is filled quickly."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PricingProgramme:
    """Maximise the value of what stands on one GPU: variables are replicas by option, then indicators."""

    problem: PackingProblem = field(repr=False)
    kind: int
    sliced: bool
    keys: tuple[Key, ...]
    plain: int
    """Rows before those of indicators."""
    matrix: Any = field(repr=False)
    low: Array = field(repr=False)
    high: Array = field(repr=False)
    most: Array = field(repr=False)
    """Upper bounds of the variables."""

    def best(self, values: dict[Key, float], *, time_limit_s: float) -> tuple[float, Pattern | None]:
        """An upper bound of the value of any pattern, and the best pattern found."""
        from scipy.optimize import Bounds, LinearConstraint, milp

        worth = np.zeros(self.most.size)
        worth[: len(self.keys)] = [max(0.0, values.get(key, 0.0)) for key in self.keys]
        upper = np.where((worth > 0.0) | (np.arange(worth.size) >= len(self.keys)), self.most, 0.0)
        found = milp(
            -worth,
            integrality=np.ones(worth.size),
            bounds=Bounds(0.0, upper),
            constraints=LinearConstraint(self.matrix, self.low, self.high),
            options={"time_limit": max(0.05, time_limit_s), "mip_rel_gap": NEAR},
        )
        bound = float(-found.mip_dual_bound) if found.mip_dual_bound is not None else float(worth @ upper)
        if found.x is None:
            return bound, None
        counts = {key: round(n) for key, n in zip(self.keys, found.x, strict=False) if n > 0.5}
        return bound, Pattern(kind=self.kind, counts=counts, sliced=self.sliced) if counts else None

    def filled(self, values: dict[Key, float], weights: Sequence[float], least: float) -> Iterator[Pattern]:
        """Patterns worth more than `least`, quickly and without proof: each option first, then the rest by density.

        Density is value by what is taken of the rows, of which `weights` weigh the first ones (shares, memory).
        """
        worth = np.array([max(0.0, values.get(key, 0.0)) for key in self.keys])
        rows = self.dense[:, : len(self.keys)]
        size = sum(w * rows[r] / self.high[r] for r, w in enumerate(weights)) + 1e-6
        density = worth / size
        seeds = np.argsort(-density)[: min(_SEEDS, int((worth > 0.0).sum()))]
        for seed in seeds:
            counts = self._fill(int(seed), density, rows)
            if sum(worth[i] * n for i, n in counts.items()) > least:
                yield Pattern(kind=self.kind, counts={self.keys[i]: n for i, n in counts.items()})

    def _fill(self, seed: int, density: Array, rows: Array) -> dict[int, int]:
        counts = {seed: 1}
        room = self.high[: self.plain] - rows[:, seed]
        left = self.most[: len(self.keys)].copy()
        open_to = density > 0.0
        at = seed
        while True:
            left[at] -= 1
            open_to &= (left >= 1.0) & ~self.beside[at] & (rows <= room[:, None] + 1e-9).all(axis=0)
            if not open_to.any():
                return counts
            at = int(np.argmax(np.where(open_to, density, 0.0)))
            counts[at] = counts.get(at, 0) + 1
            room = room - rows[:, at]

    @cached_property
    def dense(self) -> Array:
        """The rows before those of indicators."""
        return np.asarray(self.matrix.toarray()[: self.plain], dtype=float)

    @cached_property
    def beside(self) -> NDArray[np.bool_]:
        """Which options may not stand beside which (n, n)."""
        own = [m for m, _ in self.keys]
        return np.array([[b in self.problem.models[a].not_with for b in own] for a in own], dtype=bool)


def pricing_programmes(problem: PackingProblem) -> tuple[PricingProgramme, ...]:
    """Those that can put more than one replica on a GPU; patterns of one replica need no search."""
    found: list[PricingProgramme] = []
    for index, kind in enumerate(problem.kinds):
        found += [_shared(problem, index, most, room) for most, room in _classes(problem, index) if most > 1]
        if kind.mig is not None:
            found.append(_sliced(problem, index))
    return tuple(each for each in found if each.keys)


def _classes(problem: PackingProblem, kind: int) -> Iterator[tuple[int, float]]:
    """Most replicas on a GPU for each sum of shares that interference leaves."""
    gpu = problem.kinds[kind]
    for q in range(1, gpu.most_replicas + 1):
        room = gpu.interference.capacity(q)
        if q == gpu.most_replicas or gpu.equal_turns or gpu.interference.capacity(q + 1) < room:
            yield q, room


def _keys(problem: PackingProblem, kind: int, *, sliced: bool) -> tuple[Key, ...]:
    return tuple(
        (m, o)
        for m, model in enumerate(problem.models)
        for o, option in enumerate(model.options)
        if option.kind == kind and (option.slice is not None) is sliced and option.gpus * option.nodes == 1
    )


class _Rows:
    """Rows of the programme as they are written."""

    def __init__(self) -> None:
        self.rows: list[dict[int, float]] = []
        self.high: list[float] = []
        self.equal: list[bool] = []

    def add(self, row: dict[int, float], high: float, *, equal: bool = False) -> None:
        self.rows.append(row)
        self.high.append(high)
        self.equal.append(equal)

    def matrix(self, width: int) -> Any:
        from scipy.sparse import csr_array

        entries = [(r, c, v) for r, row in enumerate(self.rows) for c, v in row.items()]
        rows, columns, values = zip(*entries, strict=True)
        return csr_array((values, (rows, columns)), shape=(len(self.rows), width))

    def low(self) -> Array:
        return np.array([high if equal else -np.inf for high, equal in zip(self.high, self.equal, strict=True)])


def _shared(problem: PackingProblem, kind: int, most: int, room: float) -> PricingProgramme:
    gpu = problem.kinds[kind]
    keys = tuple(
        (m, o)
        for m, o in _keys(problem, kind, sliced=False)
        if problem.models[m].options[o].share <= most_share(gpu, most) + SLACK
        and problem.models[m].options[o].memory_bytes <= gpu.memory_bytes
    )
    rows, options = _Rows(), [problem.models[m].options[o] for m, o in keys]
    # Whole numbers: HiGHS need not weigh rounding then.
    rows.add({i: float(math.ceil(option.share * _PARTS - 1e-6)) for i, option in enumerate(options)}, _parts(room))
    memory = {i: float(math.ceil(option.memory_bytes / _MIB - 1e-6)) for i, option in enumerate(options)}
    rows.add(memory, float(math.floor(gpu.memory_bytes / _MIB + 1e-6)))
    rows.add(dict.fromkeys(range(len(keys)), 1.0), float(most))
    upper = [
        float(min(most, option.replicas, room / option.share + 1e-9, _times(gpu.memory_bytes, option.memory_bytes)))
        for option in options
    ]
    return _finished(problem, kind, keys, rows, [float(int(each)) for each in upper], sliced=False)


def _parts(room: float) -> float:
    return float(math.floor(room * _PARTS + 1e-6))


def _times(room: float, each: float) -> float:
    return room / each + 1e-9 if each > 0.0 else float("inf")


def _sliced(problem: PackingProblem, kind: int) -> PricingProgramme:
    gpu = problem.kinds[kind]
    assert gpu.mig is not None
    memory = {each.name: each.memory_bytes for each in gpu.mig.slices}
    keys = tuple(
        (m, o)
        for m, o in _keys(problem, kind, sliced=True)
        if problem.models[m].options[o].memory_bytes <= memory.get(str(problem.models[m].options[o].slice), 0.0)
    )
    rows, ways = _Rows(), mig_layouts(gpu)
    first = len(keys)
    rows.add({first + i: 1.0 for i in range(len(ways))}, 1.0, equal=True)
    for name in memory:
        row = {i: 1.0 for i, (m, o) in enumerate(keys) if problem.models[m].options[o].slice == name}
        row |= {first + i: -float(way.get(name, 0)) for i, way in enumerate(ways) if way.get(name, 0)}
        rows.add(row, 0.0)
    most = {name: max(way.get(name, 0) for way in ways) for name in memory}
    options = [problem.models[m].options[o] for m, o in keys]
    upper = [float(min(option.replicas, most[str(option.slice)])) for option in options]
    return _finished(problem, kind, keys, rows, upper, sliced=True, extra=len(ways))


def _finished(
    problem: PackingProblem,
    kind: int,
    keys: tuple[Key, ...],
    rows: _Rows,
    upper: list[float],
    *,
    sliced: bool,
    extra: int = 0,
) -> PricingProgramme:
    """With anti-affinity, and as arrays."""
    width = len(keys) + extra
    columns: dict[int, list[int]] = {}
    for index, (m, _) in enumerate(keys):
        columns.setdefault(m, []).append(index)
    for m, own in columns.items():
        if problem.models[m].spread or problem.models[m].spread_nodes:
            rows.add(dict.fromkeys(own, 1.0), 1.0)
    plain = len(rows.rows)
    width = _conflicts(problem, columns, rows, upper, width)
    if not keys:
        none = np.empty(0)
        return PricingProgramme(
            problem=problem, kind=kind, sliced=sliced, keys=(), plain=0, matrix=None, low=none, high=none, most=none
        )
    return PricingProgramme(
        problem=problem,
        kind=kind,
        sliced=sliced,
        keys=keys,
        plain=plain,
        matrix=rows.matrix(width),
        low=rows.low(),
        high=np.array(rows.high),
        most=np.array([*upper, *[1.0] * (width - len(keys))]),
    )


def _conflicts(
    problem: PackingProblem, columns: dict[int, list[int]], rows: _Rows, upper: Sequence[float], width: int
) -> int:
    """An indicator for each model that some other may not stand beside; returns the number of variables."""
    indicator: dict[int, int] = {}
    for m, own in columns.items():
        if problem.models[m].not_with & columns.keys():
            indicator[m] = width
            width += 1
            for index in own:
                rows.add({index: 1.0, indicator[m]: -upper[index]}, 0.0)
    for m, at in indicator.items():
        for other in problem.models[m].not_with:
            if other > m and other in indicator:
                rows.add({at: 1.0, indicator[other]: 1.0}, 1.0)
    return width
