"""Which node each piece of work goes to: GPUs of one node, and replicas that may not be on one node together.

First fit answers most questions. Where it does not, an integer programme over like pieces does: it finds a place
wherever there is one, and proves that there is none, unless its time limit comes first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MOST_VARIABLES = 50_000
TIME_LIMIT_S = 3.0


@dataclass(frozen=True, kw_only=True)
class Piece:
    """What stands on GPUs of one node."""

    gpus: int
    apart: frozenset[int] = frozenset()
    """Models of which no other replica may be on the node."""


def assigned(sizes: Sequence[int], pieces: Sequence[Piece]) -> list[int] | None:
    """A node for each piece, where `sizes` are the GPUs of the nodes; None where none was found."""
    found = _first_fit(sizes, pieces)
    return _exactly(sizes, pieces) if found is None else found


def _first_fit(sizes: Sequence[int], pieces: Sequence[Piece]) -> list[int] | None:
    left, on = list(sizes), [set[int]() for _ in sizes]
    found = []
    for piece in pieces:
        at = next((n for n, room in enumerate(left) if room >= piece.gpus and not on[n] & piece.apart), None)
        if at is None:
            return None
        left[at] -= piece.gpus
        on[at] |= piece.apart
        found.append(at)
    return found


def _exactly(sizes: Sequence[int], pieces: Sequence[Piece]) -> list[int] | None:
    """By an integer programme: how many pieces of each sort on each node."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    sorts = Counter(pieces)
    if len(sorts) * len(sizes) > MOST_VARIABLES or sum(p.gpus * n for p, n in sorts.items()) > sum(sizes):
        return None
    matrix, low, high = _rows(sizes, sorts)
    found = milp(
        np.zeros(matrix.shape[1]),
        integrality=np.ones(matrix.shape[1]),
        bounds=Bounds(0.0, np.inf),
        constraints=LinearConstraint(matrix, low, high),
        options={"time_limit": TIME_LIMIT_S},
    )
    if found.x is None:
        return None
    counts = np.rint(found.x).astype(int).reshape(len(sorts), len(sizes))
    nodes = {sort: iter(np.repeat(np.arange(len(sizes)), row)) for sort, row in zip(sorts, counts, strict=True)}
    return [int(next(nodes[piece])) for piece in pieces]


def _rows(sizes: Sequence[int], sorts: Counter[Piece]) -> tuple[Any, Array, Array]:
    """All pieces placed, no more GPUs than a node has, and no model twice on a node that it must have alone."""
    from scipy.sparse import csr_array, eye_array, kron, vstack

    nodes, here = len(sizes), eye_array(len(sizes))
    models = sorted(set[int]().union(*(sort.apart for sort in sorts)))
    placed = kron(eye_array(len(sorts)), np.ones((1, nodes)))
    taken = [kron(np.array([[float(sort.gpus) for sort in sorts]]), here)]
    taken += [kron(np.array([[float(m in sort.apart) for sort in sorts]]), here) for m in models]
    wanted = np.array(list(sorts.values()), dtype=float)
    low = np.concatenate([wanted, np.full(nodes * len(taken), -np.inf)])
    high = np.concatenate([wanted, np.array(sizes, dtype=float), np.ones(nodes * len(models))])
    return csr_array(vstack([placed, *taken])), low, high
