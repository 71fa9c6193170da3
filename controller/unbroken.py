"""What may still be said to have been so for a whole window, after a gap in what was seen or a change of the clock."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from controller.memory import Memory, Sample
from controller.snapshot import Snapshot

LONGEST_GAPS = 3.0
"""So many times the usual step between two looks are a gap, where looks are rarer than the window is long."""


def unbroken(memory: Memory, snapshot: Snapshot) -> Memory:
    """The memory as far as it holds now.

    A clock that was put back leaves nothing in the future: what would lie there has happened now, so that nothing is
    scaled down sooner and no limit of pace lasts for hours. A gap as long as the window of scaling down (no metrics, a
    process that stood still, a clock that was put forward) begins the watch anew: nobody knows what was needed then.
    """
    now_s = snapshot.now_s
    memory = _not_ahead(memory, now_s)
    seen = [sample.at_s for sample in memory.recommended]
    if not seen:
        return replace(memory, since_s=now_s)
    window_s, gap_s = snapshot.spec.behavior.scale_down.stabilization_window_seconds, now_s - seen[-1]
    if window_s == 0 or gap_s < window_s:
        return memory
    step_s = min((later - earlier for earlier, later in pairwise(seen)), default=0.0)
    return memory if gap_s < LONGEST_GAPS * step_s else replace(memory, since_s=now_s)


def _not_ahead(memory: Memory, now_s: float) -> Memory:
    times = [memory.since_s]
    times += [each.at_s for each in memory.recommended[-1:]] + [each.at_s for each in memory.changes[-1:]]
    times += [each.at_s for each in memory.running_changes[-1:]]
    if memory.rival_since_s is not None:
        times.append(memory.rival_since_s)
    if max(times) <= now_s:
        return memory
    return replace(
        memory,
        since_s=min(memory.since_s, now_s),
        demand=tuple(each for each in memory.demand if each.at_s < now_s),
        recommended=_highest(memory.recommended, now_s),
        changes=tuple(replace(each, at_s=min(each.at_s, now_s)) for each in memory.changes),
        running_changes=tuple(replace(each, at_s=min(each.at_s, now_s)) for each in memory.running_changes),
        rival_since_s=None if memory.rival_since_s is None else min(memory.rival_since_s, now_s),
    )


def _highest(samples: tuple[Sample, ...], now_s: float) -> tuple[Sample, ...]:
    """Those of the past, and for all that would lie ahead the one that allows least to be removed."""
    ahead = [sample.value for sample in samples if sample.at_s > now_s]
    past = tuple(sample for sample in samples if sample.at_s <= now_s)
    return (*past, Sample(at_s=now_s, value=max(ahead))) if ahead else past
