"""The Pareto front of a comparison: rows that no other beats in both cost and latency."""

from __future__ import annotations

from collections.abc import Sequence

Point = tuple[float, float]


def dominates(one: Point, other: Point) -> bool:
    """Whether `one` is no worse in both and better in one; less is better."""
    return one[0] <= other[0] and one[1] <= other[1] and one != other


def front(points: Sequence[Point]) -> list[bool]:
    """Of each point whether no other dominates it (Ehrgott, Multicriteria Optimization, 2005, §2.1)."""
    return [not any(dominates(other, point) for other in points) for point in points]
