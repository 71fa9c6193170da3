"""How many nodes hold replicas of several sizes, where a replica's GPUs must be on one node: bin packing.

First-fit decreasing is tried first: it needs the least nodes wherever each size divides the next larger one and the
node (1, 2, 4 and 8 on nodes of 8; Coffman, Garey and Johnson, "Bin packing with divisible item sizes", 1987). Where it
reaches the lower bound it is optimal too. Else the patterns of a full node and an integer programme over how often each
is used (Gilmore and Gomory 1961) decide exactly.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.errors import InvalidInput

MOST_PATTERNS = 5_000
"""Ways to fill a node beyond which the programme is not set up."""
_MOST_SECONDS = 5.0

Pattern = tuple[int, ...]
"""How many replicas of each size are on a node, in the order of the sizes."""


@dataclass(frozen=True, kw_only=True)
class NodePacking:
    """Nodes with what is on them."""

    gpus_per_node: int
    sizes: tuple[int, ...]
    """GPUs of a replica, descending."""
    patterns: tuple[tuple[Pattern, int], ...]
    """Each pattern and on how many nodes it is."""
    lower_bound: int
    """Fewer nodes than so many cannot hold the replicas."""

    @property
    def nodes(self) -> int:
        """All of them."""
        return sum(count for _, count in self.patterns)

    @property
    def optimal(self) -> bool:
        """Whether fewer are known to be impossible."""
        return self.nodes == self.lower_bound

    @property
    def idle_gpus(self) -> int:
        """GPUs of these nodes that no replica uses."""
        used = sum(count * sum(map(math.prod, zip(self.sizes, each, strict=True))) for each, count in self.patterns)
        return self.nodes * self.gpus_per_node - used


def pack_nodes(replicas: Mapping[int, int], gpus_per_node: int) -> NodePacking:
    """The least nodes for so many replicas of each size (GPUs). Raises InvalidInput where a size exceeds a node."""
    wanted = {size: count for size, count in sorted(replicas.items(), reverse=True) if count > 0}
    for size in wanted:
        if not 1 <= size <= gpus_per_node:
            raise InvalidInput(
                f"a replica of {size} GPUs is not on one node of {gpus_per_node}",
                remedy="say over how many whole nodes it spreads (nodesPerReplica)",
            )
    sizes, counts = tuple(wanted), tuple(wanted.values())
    quick = _first_fit_decreasing(sizes, counts, gpus_per_node)
    bound = max(_lower_bound(wanted, gpus_per_node), sum(quick.values()) if _divisible(sizes, gpus_per_node) else 0)
    if sum(quick.values()) > bound:
        quick, bound = _programme(sizes, counts, gpus_per_node, quick, bound)
    return NodePacking(
        gpus_per_node=gpus_per_node, sizes=sizes, patterns=tuple(sorted(quick.items(), reverse=True)), lower_bound=bound
    )


def _divisible(sizes: Sequence[int], node: int) -> bool:
    return all(larger % smaller == 0 for larger, smaller in zip((node, *sizes), sizes, strict=False))


def _lower_bound(wanted: Mapping[int, int], node: int) -> int:
    """L2 of Martello and Toth (1990, §8.3): above half a node each has its own; the rest fills what they leave."""
    best = 0
    for least in {0, *(size for size in wanted if 2 * size <= node)}:
        alone = sum(count for size, count in wanted.items() if size > node - least)
        large = {s: c for s, c in wanted.items() if 2 * s > node and s <= node - least}
        small = sum(s * c for s, c in wanted.items() if least <= s and 2 * s <= node)
        room = node * sum(large.values()) - sum(s * c for s, c in large.items())
        best = max(best, alone + sum(large.values()) + max(0, -(-(small - room) // node)))
    return best


def _first_fit_decreasing(sizes: Sequence[int], counts: Sequence[int], node: int) -> Counter[Pattern]:
    """Nodes of like content are kept together, so that thousands of replicas are as quick as a few."""
    filled: list[tuple[list[int], int]] = []
    for index, size in enumerate(sizes):
        left, after = counts[index], []
        for content, times in filled:
            fit = (node - sum(s * c for s, c in zip(sizes, content, strict=True))) // size
            whole = min(times, left // fit) if fit else 0
            part = min(left - whole * fit, fit) if fit and whole < times else 0
            left -= whole * fit + part
            for more, nodes in ((fit, whole), (part, 1 if part else 0), (0, times - whole - (1 if part else 0))):
                if nodes:
                    after.append(([*content[:index], more, *content[index + 1 :]], nodes))
        fit = node // size
        for more, nodes in ((fit, left // fit), (left % fit, 1 if left % fit else 0)):
            if nodes:
                after.append(([0] * index + [more] + [0] * (len(sizes) - index - 1), nodes))
        filled = after
    found: Counter[Pattern] = Counter()
    for content, times in filled:
        found[tuple(content)] += times
    return found


def _programme(
    sizes: tuple[int, ...], counts: tuple[int, ...], node: int, quick: Counter[Pattern], bound: int
) -> tuple[Counter[Pattern], int]:
    """The least nodes by integer programming, and the bound it proved; `quick` where it finds none fewer."""
    patterns = _patterns(sizes, counts, node)
    if patterns is None:
        return quick, bound
    import numpy as np
    from scipy.optimize import Bounds, LinearConstraint, milp

    table = np.array(patterns, dtype=float).T
    found = milp(
        np.ones(len(patterns)),
        constraints=LinearConstraint(table, np.array(counts, dtype=float), np.inf),
        integrality=np.ones(len(patterns)),
        bounds=Bounds(0.0, float(sum(counts))),
        options={"time_limit": _MOST_SECONDS, "mip_rel_gap": 0.0},
    )
    proved = max(bound, math.ceil(found.mip_dual_bound - 1e-6)) if found.mip_dual_bound is not None else bound
    if found.x is None or round(found.fun) >= sum(quick.values()):
        return quick, min(proved, sum(quick.values()))
    used = {pattern: round(times) for pattern, times in zip(patterns, found.x, strict=True) if round(times)}
    return _without_surplus(used, counts), min(proved, round(found.fun))


def _patterns(sizes: Sequence[int], counts: Sequence[int], node: int) -> list[Pattern] | None:
    """Every way to fill a node to which no replica can be added; None where there are too many."""
    found: list[Pattern] = []

    def extend(chosen: Pattern, room: int) -> bool:
        index = len(chosen)
        if index == len(sizes):
            if all(size > room or have >= count for size, have, count in zip(sizes, chosen, counts, strict=True)):
                found.append(chosen)
            return len(found) <= MOST_PATTERNS
        most = min(room // sizes[index], counts[index])
        return all(extend((*chosen, more), room - more * sizes[index]) for more in range(most, -1, -1))

    return found if extend((), node) else None


def _without_surplus(used: Mapping[Pattern, int], counts: Sequence[int]) -> Counter[Pattern]:
    """Full patterns hold at least what is wanted; what is more than that is taken out again."""
    surplus = [sum(p[i] * n for p, n in used.items()) - wanted for i, wanted in enumerate(counts)]
    found: Counter[Pattern] = Counter()
    for pattern, nodes in used.items():
        left = nodes
        while left and any(extra and have for extra, have in zip(surplus, pattern, strict=True)):
            taken = tuple(min(extra, have) for extra, have in zip(surplus, pattern, strict=True))
            surplus = [extra - less for extra, less in zip(surplus, taken, strict=True)]
            found[tuple(have - less for have, less in zip(pattern, taken, strict=True))] += 1
            left -= 1
        if left:
            found[pattern] += left
    return found
