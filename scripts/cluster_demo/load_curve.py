"""The load of each model over ten minutes: a quiet time, a rise, a peak, and quiet again."""

from __future__ import annotations

from collections.abc import Sequence

Points = Sequence[tuple[float, float]]
"""Share of the curve that has passed, and requests a second; straight lines between."""

CHAT: Points = (
    (0.0, 12.0),
    (0.10, 12.0),
    (0.32, 55.0),
    (0.42, 55.0),
    (0.50, 90.0),
    (0.58, 90.0),
    (0.70, 12.0),
    (1.0, 12.0),
)
RERANKER: Points = ((0.0, 70.0), (0.12, 70.0), (0.48, 300.0), (0.62, 300.0), (0.74, 70.0), (1.0, 70.0))


def rate_at(points: Points, share: float) -> float:
    """Requests a second when that share of the curve has passed."""
    before = points[0]
    for after in points:
        if share <= after[0]:
            span = after[0] - before[0]
            way = (share - before[0]) / span if span else 1.0
            return before[1] + way * (after[1] - before[1])
        before = after
    return points[-1][1]
