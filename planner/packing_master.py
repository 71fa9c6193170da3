"""Which patterns to use and which option each model takes: the master programme of column generation.

Variables: GPUs of each pattern; the option of each model; nodes by how many GPUs of them go to replicas of several
GPUs. Rows: as many replicas of an option as it needs, one option a model, GPUs and nodes that there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.packing import Key, PackingProblem, Pattern

Array = NDArray[np.float64]

SHORT_PRICE = 1e4
"""Of a GPU beyond those there are, in prices of the dearest: none is used where there is another way."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Relaxed:
    """The solution of the linear relaxation."""

    value: float
    short: float
    """GPUs that are lacking; 0 where the relaxation has a solution without more."""
    values: dict[Key, float] = field(repr=False)
    """What one replica of an option is worth (dual)."""
    scarcity: tuple[float, ...]
    """What one GPU more of each kind would save (dual, 0 or more)."""
    weights: Array = field(repr=False)
    """Of every pattern."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Whole:
    """An integer solution."""

    value: float
    bound: float
    """Of this master: over its patterns only."""
    chosen: tuple[int, ...]
    used: tuple[tuple[Pattern, int], ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Master:
    """The programme over given patterns."""

    problem: PackingProblem
    patterns: tuple[Pattern, ...]
    fixed: tuple[int, ...] | None = None
    """An option for each model, where they are settled."""

    @cached_property
    def options(self) -> tuple[Key, ...]:
        """Every option of every model."""
        return tuple((m, o) for m, model in enumerate(self.problem.models) for o in range(len(model.options)))

    @cached_property
    def groups(self) -> tuple[tuple[int, dict[int, int]], ...]:
        """Kinds of node use: a kind of GPU, and how many parts of each size of replicas of several GPUs."""
        return tuple(
            (kind, use)
            for kind, own in self.sizes.items()
            for use in node_uses(sorted(own), min(self.problem.kinds[kind].per_node, self.problem.kinds[kind].count))
        )

    @cached_property
    def sizes(self) -> dict[int, set[int]]:
        """GPUs of one node that parts of replicas take, by kind of GPU."""
        sizes: dict[int, set[int]] = {}
        for m, o in self.options:
            option = self.problem.models[m].options[o]
            if option.gpus * option.nodes > 1:
                sizes.setdefault(option.kind, set()).add(option.gpus)
        return sizes

    def relaxed(self) -> Relaxed | None:
        """The linear relaxation; None where HiGHS fails."""
        from scipy.optimize import linprog

        cost, (matrix, low, high), upper = self._programme()
        kinds = len(self.problem.kinds)
        rows_up, rows_down = np.isfinite(high), np.isfinite(low)
        stacked, bounds = _stacked(matrix, low, high)
        found = linprog(cost, A_ub=stacked, b_ub=bounds, bounds=[(0.0, top) for top in upper], method="highs")
        if found.x is None:
            return None
        marginals = np.zeros(high.size)
        marginals[rows_up] += found.ineqlin.marginals[: rows_up.sum()]
        marginals[rows_down] -= found.ineqlin.marginals[rows_up.sum() :]
        values = {key: float(marginals[row]) for row, key in enumerate(self.options)}
        counts = marginals[-kinds:]
        return Relaxed(
            value=float(found.fun),
            short=float(found.x[-kinds:].sum()),
            values=values,
            scarcity=tuple(float(-each) for each in counts),
            weights=found.x[: len(self.patterns)],
        )

    def whole(self, *, time_limit_s: float, most_cost: float | None = None) -> Whole | None:
        """The cheapest integer solution without lacking GPUs; None where there is none or none was found in time.

        With `most_cost`: of those that cost no more the one with the fewest GPUs, then the fewest replicas.
        """
        from scipy.optimize import Bounds, LinearConstraint, milp

        prices, (matrix, low, high), upper = self._programme()
        kinds = len(self.problem.kinds)
        upper[-kinds:] = 0.0
        objective = prices if most_cost is None else self._fewest()
        rules = [LinearConstraint(matrix, low, high)]
        if most_cost is not None:
            rules.append(LinearConstraint(prices[None, :], -np.inf, most_cost))
        found = milp(
            objective,
            integrality=np.ones(objective.size),
            bounds=Bounds(0.0, upper),
            constraints=rules,
            options={"time_limit": max(0.1, time_limit_s), "mip_rel_gap": 1e-6},
        )
        if found.x is None:
            return None
        first = len(self.patterns)
        y = found.x[first : first + len(self.options)]
        chosen = {m: o for (m, o), on in zip(self.options, y, strict=True) if on > 0.5}
        return Whole(
            value=float(found.fun),
            bound=float(found.mip_dual_bound) if found.mip_dual_bound is not None else 0.0,
            chosen=tuple(chosen[m] for m in range(len(self.problem.models))),
            used=tuple((p, round(n)) for p, n in zip(self.patterns, found.x, strict=False) if n > 0.5),
        )

    def _programme(self) -> tuple[Array, tuple[Any, Array, Array], Array]:
        """Cost, rows with their bounds, and upper bounds of patterns, options, node uses and lacking GPUs."""
        rows, low, high = zip(*self._rows(), strict=True)
        from scipy.sparse import csr_array

        entries = [(r, c, v) for r, row in enumerate(rows) for c, v in row.items()]
        r, c, v = zip(*entries, strict=True)
        prices = np.array([kind.price for kind in self.problem.kinds])
        cost = self._cost(prices)
        matrix = csr_array((v, (r, c)), shape=(len(rows), cost.size))
        return cost, (matrix, np.array(low), np.array(high)), self._upper()

    def _cost(self, prices: Array) -> Array:
        own = [self.problem.models[m].options[o] for m, o in self.options]
        kinds = len(self.problem.kinds)
        return np.concatenate(
            [
                [prices[pattern.kind] for pattern in self.patterns],
                [_group_gpus(option) * prices[option.kind] for option in own],
                np.zeros(len(self.groups)),
                np.full(kinds, SHORT_PRICE * max(1.0, float(prices.max()))),
            ]
        )

    def _fewest(self) -> Array:
        """GPUs, of which each weighs more than all replicas together, and replicas."""
        own = [self.problem.models[m].options[o] for m, o in self.options]
        most = [max(option.replicas for option in model.options) for model in self.problem.models]
        replicas = np.zeros(self._upper().size)
        replicas[len(self.patterns) : len(self.patterns) + len(own)] = [option.replicas for option in own]
        return replicas + (sum(most) + 1.0) * self._cost(np.ones(len(self.problem.kinds)))

    def _upper(self) -> Array:
        """Only what a settled choice rules out: bounds that rows imply would take a part of the duals."""
        fixed = self.fixed
        options = [np.inf if fixed is None or fixed[m] == o else 0.0 for m, o in self.options]
        return np.array(
            [*[np.inf] * len(self.patterns), *options, *[np.inf] * (len(self.groups) + len(self.problem.kinds))]
        )

    def _rows(self) -> Iterator[tuple[dict[int, float], float, float]]:
        """Each as coefficients by variable, lower and upper bound; the last ones are the numbers of GPUs."""
        y = {key: len(self.patterns) + index for index, key in enumerate(self.options)}
        z = len(self.patterns) + len(self.options)
        short = z + len(self.groups)
        supply: dict[Key, dict[int, float]] = {key: {} for key in self.options}
        for index, pattern in enumerate(self.patterns):
            for key, count in pattern.counts.items():
                supply[key][index] = float(count)
        for key in self.options:
            option = self.problem.models[key[0]].options[key[1]]
            needs = 0.0 if _group_gpus(option) else float(option.replicas)
            yield {**supply[key], y[key]: -needs}, 0.0, np.inf
        for m, model in enumerate(self.problem.models):
            yield {y[m, o]: 1.0 for o in range(len(model.options))}, 1.0, 1.0
        yield from self._node_rows(y, z)
        for kind, gpu in enumerate(self.problem.kinds):
            row = {i: 1.0 for i, pattern in enumerate(self.patterns) if pattern.kind == kind}
            for m, o in self.options:
                option = self.problem.models[m].options[o]
                if option.kind == kind and _group_gpus(option):
                    row[y[m, o]] = float(_group_gpus(option))
            yield {**row, short + kind: -1.0}, -np.inf, float(gpu.count)

    def _node_rows(self, y: dict[Key, int], z: int) -> Iterator[tuple[dict[int, float], float, float]]:
        """Parts of replicas of several GPUs have their GPUs in one node each; nodes there are."""
        for kind, sizes in self.sizes.items():
            gpu = self.problem.kinds[kind]
            own = {z + index: use for index, (k, use) in enumerate(self.groups) if k == kind}
            for size in sizes:
                row = {column: float(use[size]) for column, use in own.items() if size in use}
                for m, o in self.options:
                    option = self.problem.models[m].options[o]
                    if option.kind == kind and option.gpus == size and _group_gpus(option):
                        row[y[m, o]] = -float(option.replicas * option.nodes)
                yield row, 0.0, np.inf
            nodes, rest = divmod(gpu.count, gpu.per_node)
            yield dict.fromkeys(own, 1.0), -np.inf, float(nodes + (1 if rest else 0))
            beyond = {c: 1.0 for c, use in own.items() if sum(s * n for s, n in use.items()) > rest}
            if rest and beyond:  # the last node has fewer GPUs
                yield beyond, -np.inf, float(nodes)


def _group_gpus(option: Any) -> int:
    """GPUs of all replicas of an option whose replicas take several; 0 for others, which are in patterns."""
    each = option.gpus * option.nodes
    return int(option.replicas * each) if each > 1 else 0


def node_uses(sizes: Sequence[int], gpus: int) -> list[dict[int, int]]:
    """Every way to give the GPUs of one node to parts of these sizes, by size; at least one part."""
    found: list[dict[int, int]] = [{}]
    for size in sizes:
        found = [
            {**use, **({size: n} if n else {})}
            for use in found
            for n in range((gpus - sum(s * k for s, k in use.items())) // size + 1)
        ]
    return [use for use in found if use]


def _stacked(matrix: Any, low: Array, high: Array) -> tuple[Any, Array]:
    """Rows with two bounds as rows with an upper one."""
    from scipy.sparse import vstack

    up, down = np.isfinite(high), np.isfinite(low)
    return vstack([matrix[up], -matrix[down]]), np.concatenate([high[up], -low[down]])
