"""Deterministic points for integrating over several variables at once."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@lru_cache(maxsize=8)
def lattice(points: int, dimensions: int) -> Array:
    """A Kronecker lattice in the unit cube, (dimensions, points), the first coordinate evenly stratified.

    Step sizes are powers of the inverse of the generalised golden ratio, the root of x^(D+1) = x + 1: low discrepancy
    in every projection (Niederreiter 1992, §3; Roberts 2018 for the choice of steps). The same points serve every
    call, so that two predictions differ by what they predict and not by noise.
    """
    ratio = 2.0
    for _ in range(60):
        ratio = (1.0 + ratio) ** (1.0 / (dimensions + 1.0))
    steps = ratio ** -np.arange(1.0, dimensions + 1.0)
    index = np.arange(points, dtype=float)
    cube = np.mod(0.5 + np.outer(steps, index + 1.0), 1.0)
    # Ranks make every coordinate exactly uniform.
    order = np.argsort(np.argsort(cube, axis=1), axis=1)
    result: Array = (order + 0.5) / points
    result.setflags(write=False)
    return result
