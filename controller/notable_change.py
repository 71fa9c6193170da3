"""Whether a decision tells anything new: status, log and events are written then, and not once a tick.

Words (replicas, reasons, conditions) are new at once. Figures (load, latencies, replicas needed, the objective that
binds, reasons of the ordinary course) swing with the noise of the load: they are new to the log when they have moved by
more than noise, and to the status when they have been so for a while without a break.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any

from controller.decision import Decision
from controller.kept_memory import of_writers, understood
from controller.memory import Memory
from controller.reasons import Code

NOTABLE = 0.1
"""Relative change of a load, and change of a latency in shares of its limit, that is worth a write."""
BY_CHANCE = 3.0
COUNTED_S = 60.0
"""Counts of a minute differ by some of their standard deviations from one minute to the next, and nothing is new."""
_TOLD_BY_FIGURES = {Code.DEMAND_EXPECTED, Code.QUEUE_WAITS, Code.LENGTHS_HELD}
"""They come and go with the noise of the load, which is told itself."""
_ORDINARY = {Code.STEADY, Code.AT_MINIMUM, Code.STABILIZING, Code.DEMAND_FELL, Code.LENGTHS_ASSUMED}
"""They change with the replicas that are needed, or once, as lengths become known."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a reader of a decision or of a status takes from it."""

    words: tuple[Any, ...]
    ordinary: tuple[Any, ...]
    """Replicas needed, by what, and the ordinary course."""
    loads: tuple[float, ...]
    """Requests a second."""
    shares: tuple[float, ...]
    """Latencies in shares of their limits, and the slowdown, which is a share by itself."""

    def moved(self, now: Said) -> bool:
        """Whether figures are others by more than noise."""
        if self.ordinary != now.ordinary or (len(self.loads), len(self.shares)) != (len(now.loads), len(now.shares)):
            return True
        loads, shares = zip(self.loads, now.loads, strict=True), zip(self.shares, now.shares, strict=True)
        return any(_louder(*pair) for pair in loads) or any(abs(new - old) > NOTABLE for old, new in shares)


def notable_change(before: Decision | None, now: Decision) -> bool:
    """Whether a reader of the log who knows the one before would miss something."""
    if before is None:
        return True
    old, new = said(before), said(now)
    return old.words != new.words or old.moved(new)


def other_words(before: Decision | None, now: Decision) -> bool:
    """Whether more than figures changed."""
    return before is None or said(before).words != said(now).words


def said(decision: Decision, memory: Memory | None = None) -> Said:
    """By a decision; with the memory that is kept with it."""
    demand, codes = decision.demand, {each.code for each in decision.reasons}
    return Said(
        words=(
            decision.generation,
            decision.current,
            decision.ready,
            decision.desired,
            _codes(codes - _ORDINARY),
            tuple((each.type, each.status, each.reason) for each in decision.conditions),
            tuple((each.objective[:253], each.met, _endless(each.value_s)) for each in decision.predicted),
            demand is None,
            None if memory is None else of_writers(memory),
        ),
        ordinary=(decision.needed, decision.binding[:253], _codes(codes & _ORDINARY)),
        loads=() if demand is None else (demand.arriving_per_s, demand.planned_per_s),
        shares=_shares(
            None if demand is None else demand.slowdown, ((each.value_s, each.limit_s) for each in decision.predicted)
        ),
    )


def said_in(status: Mapping[str, Any]) -> Said | None:
    """By a status that is there; None where it cannot be read as ours."""
    try:
        return _said_in(status)
    except Exception:  # noqa: BLE001 -- whatever somebody wrote there, it is not ours
        return None


def _said_in(status: Mapping[str, Any]) -> Said:
    demand, predicted = status.get("demand"), status.get("predicted") or ()
    left = understood(status)  # one that is none is written anew
    codes = {each["code"] for each in status.get("reasons") or ()}
    return Said(
        words=(
            status["observedGeneration"],
            status.get("currentReplicas"),
            status.get("readyReplicas"),
            status.get("desiredReplicas"),
            _codes(codes - _ORDINARY),
            tuple((each["type"], each["status"], each["reason"]) for each in status["conditions"]),
            tuple((each["objective"], each["met"], each.get("value") is None) for each in predicted),
            demand is None,
            None if left is None else of_writers(left),
        ),
        ordinary=(status.get("neededReplicas"), status.get("binding") or "", _codes(codes & _ORDINARY)),
        loads=() if demand is None else (demand["arrivingPerSecond"], demand["plannedPerSecond"]),
        shares=_shares(
            None if demand is None else demand["slowdown"], ((each.get("value"), each["limit"]) for each in predicted)
        ),
    )


def _codes(codes: Set[str]) -> tuple[str, ...]:
    return tuple(sorted(str(code) for code in codes - _TOLD_BY_FIGURES))


def _shares(slowdown: float | None, values: Iterable[tuple[float | None, float]]) -> tuple[float, ...]:
    known = [] if slowdown is None else [slowdown]
    return (*known, *(value / limit for value, limit in values if value is not None and not _endless(value)))


def _endless(value: float | None) -> bool:
    return value is None or not math.isfinite(value)


def _louder(before: float, now: float) -> bool:
    most = max(before, now)
    return abs(now - before) > max(NOTABLE * most, BY_CHANCE * math.sqrt(most / COUNTED_S))
