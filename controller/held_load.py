"""The load that is planned for stays as it is while it differs by no more than chance: noise moves no replicas.

Means of a minute differ from one look to the next though nothing has changed. A number of replicas that lies at an edge
would go up and down with them, and every look would ask the model a question that is new.
"""

from __future__ import annotations

import math
from dataclasses import replace

from controller.memory import Followed, Memory
from controller.snapshot import EngineReadings

CELL = 0.01
"""A load that is higher by so little is the same."""
LEAST_FALL, MOST_FALL = 0.05, 0.15
"""A planned rate falls by no less than this at a time, and need not fall by more to be believed."""
BY_CHANCE = 2.0
"""Standard deviations of a count within a window."""
SUDDEN = 0.1
"""A mean that is off by more, and by more than chance, has changed: it is not waited for."""
SURE = 3.0
STILL = 0.03
"""A smoothed mean that is off by no more, or no more than one look is by chance, is the one that is planned with."""
VARIED = 0.15
"""A coefficient of variation that is off by no more is the one before."""
LENGTHS_HELD_S = 7 * 86_400.0
"""While no request ends, as at night or at zero replicas, lengths are those of the last that did: for a week, as loads
have a week's rhythm, and what is asked then may be quite another thing."""
_WEIGHT = 0.1
"""Of a look, in a smoothed mean."""


def held_rate(before: float | None, planned_per_s: float, *, present_per_s: float, window_s: float) -> float:
    """The rate that was planned for before where this one is neither higher nor much lower; never below the present."""
    if before is None:
        return planned_per_s
    fall = BY_CHANCE / math.sqrt(max(planned_per_s * window_s, 1.0))
    least = before * (1.0 - min(MOST_FALL, max(LEAST_FALL, fall)))
    most = before * (1.0 + CELL)
    return before if least <= planned_per_s <= most and present_per_s <= most else planned_per_s


def with_lengths_held(memory: Memory, now_s: float) -> Memory:
    """The memory without lengths that are too old to plan with."""
    if memory.lengths_s is None:
        return memory if memory.prompt is None else replace(memory, lengths_s=now_s)  # of a memory without the time
    if now_s - memory.lengths_s <= LENGTHS_HELD_S:
        return memory
    return replace(memory, prompt=None, output=None, lengths_s=None)


def lengths_followed(memory: Memory, readings: EngineReadings, now_s: float) -> Memory:
    """The memory with the lengths of this look."""
    told = readings.prompt_tokens is not None and readings.output_tokens is not None
    ended = max(1.0, (readings.succeeded_per_s or 0.0) * readings.window_s)
    error = 1.0 / math.sqrt(ended)
    return replace(
        memory,
        lengths_s=now_s if told else memory.lengths_s,
        prompt=_followed(memory.prompt, readings.prompt_tokens, error),
        output=_followed(memory.output, readings.output_tokens, error),
        prompt_cv=_varied(memory.prompt_cv, readings.prompt_cv),
        output_cv=_varied(memory.output_cv, readings.output_cv),
    )


def _followed(before: Followed | None, measured: float | None, error: float) -> Followed | None:
    """`error` is the relative standard deviation of one look's mean."""
    if measured is None:
        return before
    if before is None or abs(measured - before.mean) > max(SUDDEN, SURE * error) * before.mean:
        return Followed(mean=measured, held=measured)
    mean = before.mean + _WEIGHT * (measured - before.mean)
    still = abs(mean - before.held) <= max(STILL, min(SUDDEN, error)) * before.held
    return Followed(mean=mean, held=before.held if still else mean)


def _varied(before: float | None, measured: float | None) -> float | None:
    if measured is None or (before is not None and abs(measured - before) <= VARIED):
        return before
    return round(measured, 1)
