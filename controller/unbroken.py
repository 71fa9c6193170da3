"""What may still be said to have been so for a whole window, after a gap in what was seen or a change of the clock."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

from controller.memory import Memory, Sample
from controller.snapshot import Snapshot

LONGEST_GAPS = 3.0
"""So many times the usual step between two looks are a gap, where looks are rarer than the window is long."""


def unbroken(memory: Memory, snapshot: Snapshot) -> Memory:
    """The memory as far as it holds now.

    A clock that was put back leaves nothing in the future: what would lie there has happened now, so that nothing is
    scaled down sooner and no limit of pace lasts for hours. A look that saw no rates was in an outage of the metrics:
    they are of a whole window again one window later. A gap as long as the window of scaling down (no
    metrics, a process that stood still, a clock that was put forward) begins the watch anew: nobody knows what was
    needed then.
    """
    now_s = snapshot.now_s
    memory = _pods_seen(_not_ahead(memory, now_s), snapshot)
    concluded_s = memory.recommended[-1].at_s if memory.recommended else -math.inf
    rates_s = concluded_s if memory.rates_seen_s is None else max(concluded_s, memory.rates_seen_s)
    if memory.looked_s is not None and memory.looked_s > rates_s:
        memory = replace(memory, rates_since_s=now_s)
    if _gap(memory, now_s - concluded_s, snapshot.spec.behavior.scale_down.stabilization_window_seconds):
        memory = replace(memory, since_s=now_s)
    return replace(memory, looked_s=now_s)


def _gap(memory: Memory, gap_s: float, window_s: float) -> bool:
    if not memory.recommended:
        return True
    if window_s == 0 or gap_s < window_s:
        return False
    step_s = min((later.at_s - earlier.at_s for earlier, later in pairwise(memory.recommended)), default=0.0)
    return gap_s >= LONGEST_GAPS * step_s


def _pods_seen(memory: Memory, snapshot: Snapshot) -> Memory:
    ready = None if snapshot.target is None else snapshot.target.pods.ready
    return memory if ready == memory.ready else replace(memory, ready=ready, ready_since_s=snapshot.now_s)


def _not_ahead(memory: Memory, now_s: float) -> Memory:
    times = [memory.since_s]
    times += [each.at_s for each in memory.recommended[-1:]] + [each.at_s for each in memory.changes[-1:]]
    times += [each.at_s for each in memory.running_changes[-1:]]
    times += [at_s for at_s in (memory.rival_since_s, memory.looked_s, memory.lengths_s) if at_s is not None]
    if max(times) <= now_s:
        return memory
    return replace(
        memory,
        since_s=min(memory.since_s, now_s),
        demand=tuple(each for each in memory.demand if each.at_s < now_s),
        recommended=_highest(memory.recommended, now_s),
        changes=tuple(replace(each, at_s=min(each.at_s, now_s)) for each in memory.changes),
        running_changes=tuple(replace(each, at_s=min(each.at_s, now_s)) for each in memory.running_changes),
        looked_s=_at_most(memory.looked_s, now_s),
        rates_since_s=_at_most(memory.rates_since_s, now_s),
        rates_seen_s=_at_most(memory.rates_seen_s, now_s),
        lengths_s=_at_most(memory.lengths_s, now_s),
        compared_s=_at_most(memory.compared_s, now_s),
        ready_since_s=min(memory.ready_since_s, now_s),
        rival_since_s=_at_most(memory.rival_since_s, now_s),
    )


def _at_most(at_s: float | None, now_s: float) -> float | None:
    return None if at_s is None else min(at_s, now_s)


def _highest(samples: tuple[Sample, ...], now_s: float) -> tuple[Sample, ...]:
    """Those of the past, and for all that would lie ahead the one that allows least to be removed."""
    ahead = [sample.value for sample in samples if sample.at_s > now_s]
    past = tuple(sample for sample in samples if sample.at_s <= now_s)
    return (*past, Sample(at_s=now_s, value=max(ahead))) if ahead else past
