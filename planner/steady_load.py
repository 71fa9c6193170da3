"""Which windows of an engine's metrics say something of its speed, and the loads that they make together.

A window counts where the load was steady: what came was served. Where the engine was at its limit only its throughput
counts; where it was idle, restarted, was not scraped or changed too fast, nothing does, and the reason is kept.
Windows of one load are pooled, so that percentiles rest on more requests and a fit sees each load once.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Literal

from models.histogram_law import BucketCounts
from planner.metrics_history import Window

MIN_REQUESTS = 20
"""Fewer completions say too little, even of a mean."""
FULL_KV = 0.95
FULL_SEATS = 0.95
QUEUE_SHARE = 0.1
"""Waiting over running from which a queue is standing, not passing."""
DRIFT = 0.1
"""Growth of what is inside, over what arrived, that a steady load does not exceed by more than chance."""
FAILURES = 0.05
SAME_LOAD = 1.15
"""Windows are pooled where their running requests differ by less than this factor."""
SAME_LENGTHS = 1.1
"""… and their mean prompts (those tokens of them that are computed) and answers by less than this."""

_HITS = ("prefix_queries", "prefix_hits", "external_prefix_hits")

Standing = Literal["steady", "saturated", "unusable"]


@dataclass(frozen=True, kw_only=True)
class Load:
    """Windows of one load, pooled."""

    windows: tuple[Window, ...]
    standing: Standing

    @property
    def duration_s(self) -> float:
        """Seconds of all windows together."""
        return math.fsum(window.duration_s for window in self.windows)

    @property
    def running(self) -> float:
        """Mean number of requests that run (that are inside, where the engine does not tell them apart)."""
        return math.fsum(_running(window) * window.duration_s for window in self.windows) / self.duration_s

    @property
    def completed(self) -> float:
        """Requests that succeeded."""
        return self.total("succeeded") or 0.0

    @property
    def arrivals_per_s(self) -> float:
        """Requests that came: served, failed, turned away, and those that more are inside at the end."""
        return math.fsum(_arrivals(window) for window in self.windows) / self.duration_s

    @property
    def prefix_hit_rate(self) -> float | None:
        """Share of the prompt tokens that were found in a prefix cache; None where a window does not tell."""
        return hit_rate({name: total for name in _HITS if (total := self.total(name)) is not None})

    def total(self, meaning: str) -> float | None:
        """A counter's growth over all windows; None where a window lacks it."""
        found = [window.counted.get(meaning) for window in self.windows]
        return None if None in found else math.fsum(value for value in found if value is not None)

    def mean(self, meaning: str) -> float | None:
        """A gauge's mean over all windows; None where a window lacks it."""
        found = [(window.means.get(meaning), window.duration_s) for window in self.windows]
        known = [(value, seconds) for value, seconds in found if value is not None]
        if len(known) < len(found):
            return None
        return math.fsum(value * seconds for value, seconds in known) / self.duration_s

    def histogram(self, meaning: str) -> BucketCounts | None:
        """A histogram over all windows; None where a window lacks it, or nothing was observed."""
        found = [window.histograms.get(meaning) for window in self.windows]
        seen = [histogram for histogram in found if histogram is not None]
        if len(seen) != len(found):
            return None
        pooled = reduce(add, seen)
        return pooled if pooled.total > 0.0 else None


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The loads of a history, and why its other windows were left out, with how many of each."""

    steady: tuple[Load, ...]
    saturated: tuple[Load, ...]
    refused: Mapping[str, int]


def judge(windows: Sequence[Window], *, max_num_seqs: int) -> Judged:
    """Sort the windows, and pool those of one load, in ascending order of it."""
    refused: Counter[str] = Counter()
    kept: dict[Standing, list[Window]] = {"steady": [], "saturated": []}
    for window in windows:
        standing, why = standing_of(window, max_num_seqs)
        if why:
            refused[why] += 1
        if standing != "unusable":
            kept[standing].append(window)
    return Judged(
        steady=tuple(_pooled(kept["steady"], "steady")),
        saturated=tuple(_pooled(kept["saturated"], "saturated")),
        refused=dict(refused.most_common()),
    )


def standing_of(window: Window, max_num_seqs: int) -> tuple[Standing, str]:
    """What a window is good for, and why not for more."""
    why = why_unusable(window)
    if why:
        return "unusable", why
    if _saturated(window, max_num_seqs):
        return "saturated", "saturated: only its throughput counts"
    if abs(window.growth) > DRIFT * _arrivals(window) + 2.0 * math.sqrt(_running(window) + 1.0):
        return "unusable", "the load changed too fast within it"
    return "steady", ""


def hit_rate(counted: Mapping[str, float]) -> float | None:
    """Hits over queries of the prefix caches, in tokens (vLLM 0.8 counts both in blocks); None where not counted."""
    queries, hits = counted.get("prefix_queries"), counted.get("prefix_hits")
    if not queries or hits is None:
        return None
    return min(1.0, (hits + counted.get("external_prefix_hits", 0.0)) / queries)


def why_unusable(window: Window) -> str | None:
    """Why a window says nothing at all, whatever the load; None where it does."""
    return window.unreadable or _too_little(window)


def _too_little(window: Window) -> str | None:
    completed = window.counted.get("succeeded")
    if completed is None:
        return "no count of requests"
    if "running" not in window.means and "e2e_sum" not in window.counted:
        return "not known how many requests ran"
    if completed == 0.0 and _arrivals(window) <= 0.0:
        return "idle"
    if completed < MIN_REQUESTS:
        return f"fewer than {MIN_REQUESTS} requests"
    if window.failed > FAILURES * (completed + window.failed):
        return f"more than {FAILURES:.0%} of the requests failed or were given up"
    return None


def _saturated(window: Window, max_num_seqs: int) -> bool:
    running, waiting = _running(window), window.means.get("waiting", 0.0)
    if "running" not in window.means:  # Triton's pending ones may be on their way into the next batch
        return window.growth > DRIFT * _arrivals(window) + 2.0 * math.sqrt(running + 1.0)
    return (
        (waiting >= 1.0 and waiting > QUEUE_SHARE * running)
        or running >= FULL_SEATS * max_num_seqs
        or _kv_usage(window.means) >= FULL_KV
        or window.counted.get("preemptions", 0.0) > 0.01 * window.counted["succeeded"]
    )


def _kv_usage(means: Mapping[str, float]) -> float:
    """Share of KV memory in use; 0 where the engine does not tell, for nothing is then known to be full."""
    if means.get("kv_blocks"):
        return means.get("kv_used_blocks", 0.0) / means["kv_blocks"]
    return means.get("kv_usage", 0.0)


def _running(window: Window) -> float:
    running = window.means.get("running")
    if running is not None:
        return running
    inside = window.counted.get("e2e_sum", 0.0)  # Little: seconds that requests spent inside, over seconds
    return inside / window.duration_s


def _arrivals(window: Window) -> float:
    return max(
        0.0,
        window.counted.get("succeeded", 0.0) + window.failed + window.counted.get("rejected", 0.0) + window.growth,
    )


def _pooled(windows: Iterable[Window], standing: Standing) -> Iterator[Load]:
    group: list[Window] = []
    for window in sorted(windows, key=_running):
        if group and not _same_load(group[0], window):
            yield Load(windows=tuple(group), standing=standing)
            group = []
        group.append(window)
    if group:
        yield Load(windows=tuple(group), standing=standing)


def _same_load(first: Window, other: Window) -> bool:
    if _running(other) > SAME_LOAD * _running(first):
        return False
    for meaning in ("prompt_length", "output_length"):
        lengths = [_length(window, meaning) for window in (first, other)]
        known = [length for length in lengths if length]
        if len(known) == 2 and max(known) > SAME_LENGTHS * min(known):
            return False
    return True


def _length(window: Window, meaning: str) -> float | None:
    seen = window.histograms.get(meaning)
    if seen is None or seen.mean_s is None:
        return None
    cached = hit_rate(window.counted) if meaning == "prompt_length" else None
    return seen.mean_s * (1.0 - (cached or 0.0))
