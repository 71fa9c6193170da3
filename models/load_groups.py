"""Which measured points are of the same lengths, or repetitions of one load: counted tokens differ a little by run."""

from __future__ import annotations

from collections.abc import Sequence

from models.measurement import Measurement

ALIKE = 0.02
"""Relative difference within which lengths and loads are the same: synthetic prompts come out a token longer or two."""


def alike(mine: float | None, other: float | None) -> bool:
    """Whether two numbers are the same but for counting; two that are absent are."""
    if mine is None or other is None:
        return mine is other
    return abs(mine - other) <= ALIKE * max(abs(mine), abs(other))


def same_lengths(mine: Measurement, other: Measurement) -> bool:
    """Whether both are of one pair of prompt and output lengths."""
    return alike(mine.input_tokens, other.input_tokens) and alike(mine.output_tokens, other.output_tokens)


def same_load(mine: Measurement, other: Measurement) -> bool:
    """Whether one repeats the other: lengths, users and rate."""
    return (
        same_lengths(mine, other)
        and alike(mine.concurrency, other.concurrency)
        and alike(mine.arrival_rate_per_s, other.arrival_rate_per_s)
    )


def by_lengths(points: Sequence[Measurement]) -> list[list[Measurement]]:
    """The points by pair of lengths, in the order in which pairs first appear; each joins the first pair it is like."""
    groups: list[list[Measurement]] = []
    for point in points:
        group = next((group for group in groups if same_lengths(group[0], point)), None)
        if group is None:
            groups.append([point])
        else:
            group.append(point)
    return groups


def thinned(points: Sequence[Measurement], most: int) -> tuple[Measurement, ...]:
    """The points, at most `most` of them: evenly over their order by lengths and load."""
    if len(points) <= most:
        return tuple(points)
    ordered = sorted(points, key=_order)
    step = (len(ordered) - 1) / (most - 1)
    return tuple(ordered[round(index * step)] for index in range(most))


def _order(point: Measurement) -> tuple[float, ...]:
    return point.input_tokens, point.output_tokens, point.concurrency or 0.0, point.arrival_rate_per_s or 0.0


def distinct_loads(points: Sequence[Measurement]) -> list[Measurement]:
    """One point of each load."""
    kept: list[Measurement] = []
    for group in by_lengths(points):
        first: list[Measurement] = []
        for point in group:
            if not any(same_load(point, other) for other in first):
                first.append(point)
        kept += first
    return kept
