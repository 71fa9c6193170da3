"""Commitments on which no workload runs: a name may be mistyped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher

from planner.capacity_report.commitments import Commitment
from planner.capacity_report.holes import Hole


def stray_commitments(commitments: Iterable[Commitment], pools: set[tuple[str, str]]) -> Iterator[Hole]:
    """A hole for each, with the pools that there are: else it would look like GPUs that nobody held."""
    for each in commitments:
        if each.pool not in pools:
            there = [f"{gpu} in {cluster}" for cluster, gpu in _nearest(each.pool, pools)]
            told = ", ".join(there[:5]) + (" …" if len(there) > 5 else "")
            yield Hole(
                subject=each.name,
                what="commitment",
                text=f"no workload runs on {each.gpu} in cluster {each.cluster}: are the names right? there are "
                f"{told or 'none'}; as it stands, nobody holds these GPUs",
            )


def _nearest(pool: tuple[str, str], pools: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The others, those with the most similar names first."""
    return sorted(pools, key=lambda each: (-SequenceMatcher(None, "/".join(pool), "/".join(each)).ratio(), each))
