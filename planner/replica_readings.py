"""What was read of each replica at the windows' edges, and what grew between two of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from models.histogram_law import BucketCounts

Key = tuple[tuple[str, str], ...]
Edges = dict[int, float]
"""Values by edge."""

_VARYING = {"__name__", "le", "finished_reason", "reason", "quantile", "gpu_uuid"} | {
    "request_type", "inflight_batcher_specific_metric", "kv_cache_block_type", "response_metric_type",
}  # fmt: skip
"""Labels that tell the series of one replica apart."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Every answer, by meaning and replica."""

    counters: Mapping[str, Mapping[Key, Sequence[tuple[Mapping[str, str], Edges]]]]
    gauges: Mapping[str, Mapping[Key, Edges]]
    means: Mapping[str, Mapping[Key, Edges]]
    buckets: Mapping[str, Mapping[Key, Readings]]
    resets: Mapping[Key, Edges]
    scrapes: Mapping[Key, Edges]

    def scrapes_at(self, key: Key, edge: int) -> float:
        return self.scrapes.get(key, {}).get(edge, 0.0)

    def usual_scrapes(self, key: Key) -> float:
        counts = sorted(self.scrapes.get(key, {}).values())
        return counts[len(counts) // 2] if counts else 0.0

    def inside(self, key: Key, edge: int) -> float:
        """Requests that run and wait; NaN where a gauge that the replica has does not say it there."""
        gauges = (self.gauges.get(meaning, {}).get(key) for meaning in ("running", "waiting"))
        return math.fsum(edges.get(edge, math.nan) for edges in gauges if edges)

    def growths(self, key: Key, index: int) -> tuple[dict[str, float], float]:
        """Growth of every counter, and of requests that failed (by their label or a counter of their own).

        NaN where a series was there and is not, or is not a number: no data is not zero.
        """
        counted: dict[str, float] = {}
        failed = 0.0
        for meaning, by_key in self.counters.items():
            for labels, edges in by_key.get(key, ()):
                if index not in edges and index + 1 not in edges:
                    continue
                grown = edges.get(index + 1, math.nan) - before(edges, index)
                if meaning == "failed" or labels.get("finished_reason") in ("abort", "error"):
                    failed += grown
                else:
                    counted[meaning] = counted.get(meaning, 0.0) + grown
        return counted, failed

    def fell(self, key: Key, index: int) -> bool:
        return any(
            edges[index + 1] < edges[index]
            for by_key in self.counters.values()
            for _, edges in by_key.get(key, ())
            if index in edges and index + 1 in edges
        )


class Readings:
    """Cumulative buckets and sums of one histogram of one replica, by edge."""

    def __init__(self) -> None:
        self._buckets: dict[float, Edges] = {}
        self._sums: Edges = {}

    def add(self, end: str | None, edges: Edges, to_si: float) -> None:
        if end is None:
            add_edges(self._sums, {index: value * to_si for index, value in edges.items()})
        else:
            add_edges(self._buckets.setdefault(float(end) * to_si, {}), edges)

    def between(self, first: int, last: int) -> BucketCounts | None:
        """What was observed between two edges; None where it was not read at the end."""
        after = {end: edges[last] for end, edges in self._buckets.items() if last in edges}
        if not after or last not in self._sums:
            return None
        counts = {end: before(self._buckets[end], first) for end in after}
        return BucketCounts.increase(counts, after, sum_before=before(self._sums, first), sum_after=self._sums[last])


def before(edges: Edges, index: int) -> float:
    """A counter's value at a window's beginning; NaN where it was there earlier and is not then.

    A labelled counter appears with its first event: what was never there before grew from nothing.
    """
    return edges.get(index, math.nan if any(edge < index for edge in edges) else 0.0)


def add_edges(to: Edges, edges: Edges) -> None:
    for index, value in edges.items():
        to[index] = to.get(index, 0.0) + value


def replica_key(labels: Mapping[str, str]) -> Key:
    return tuple(sorted((name, value) for name, value in labels.items() if name not in _VARYING))


def replica_names(keys: Iterable[Key]) -> dict[Key, str]:
    """A short name of each replica: the labels in which they differ, else pod or instance."""
    listed = list(keys)
    differing = [
        name
        for name in sorted({name for key in listed for name, _ in key})
        if len({dict(key).get(name) for key in listed}) > 1
    ]
    chosen = differing or ["pod", "instance"]
    return {key: "/".join(dict(key)[name] for name in chosen if name in dict(key)) or "replica" for key in listed}
