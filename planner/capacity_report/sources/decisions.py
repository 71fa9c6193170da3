"""History out of the controller's decision log: replicas and demand as it saw them, and what it did.

A line is written when something notable changes, so what a line says holds until the next one, at most for a day: a
controller that is down says nothing either. The demand of a line is within a tenth of what it was until the next.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import InvalidInput
from planner.capacity_report.history import History
from planner.capacity_report.period import Period
from planner.capacity_report.sources.file_digest import named

HOLDS_S = 86_400.0
MAX_LINE = 4_000_000


@dataclass(frozen=True, kw_only=True)
class Told:
    """What one line says."""

    at_s: float
    ready: float
    replicas: float
    arriving_per_s: float
    prompt_tokens: float
    output_tokens: float


@dataclass(kw_only=True)
class Doings:
    """What the controller did in the period."""

    decisions: int = 0
    raised: int = 0
    lowered: int = 0
    refused: int = 0
    advised: int = 0
    """Writes that were only proposed."""
    reasons: Counter[str] = field(default_factory=Counter)


def decision_history(path: Path, period: Period, *, policy: str) -> tuple[History, Doings]:
    """Of one policy. Raises InvalidInput that names the line which is no decision."""
    doings = Doings()
    told: list[Told] = []
    for number, document in _lines(path):
        try:
            decision = document["decision"]
            if decision["policy"] != policy:
                continue
            told.append(_told(decision, document["snapshot"]))
            if period.start_s <= told[-1].at_s < period.end_s:
                _count(doings, document, decision)
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput(
                f"decision log {path}, line {number} is no decision: {str(error)[:100]}",
                remedy="give a file that `planner controller run --decision-log` wrote",
            ) from None
    if not told:
        raise InvalidInput(
            f"decision log {path} has no decision on {policy!r}", remedy="name a policy of it as namespace/name"
        )
    told.sort(key=lambda each: each.at_s)
    return _history(told, period, path), doings


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Of the rotated files too, the oldest first."""
    older = sorted(path.parent.glob(f"{path.name}.[0-9]"), key=lambda each: -int(each.suffix[1:]))
    if not path.is_file():
        raise InvalidInput(f"decision log {path} is not a file", remedy="check the path")
    for each in (*older, path):
        with each.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith("\n"):
                    return  # cut off while it was written
                try:
                    document = json.loads(line)
                except ValueError:
                    document = None
                if not isinstance(document, dict):
                    raise InvalidInput(f"decision log {each}, line {number} is no JSON object", remedy="mend the file")
                yield number, document


def _told(decision: Mapping[str, Any], snapshot: Mapping[str, Any]) -> Told:
    demand, target = decision.get("demand") or {}, snapshot.get("target") or {}

    def number(value: Any) -> float:
        return np.nan if value is None else float(value)

    return Told(
        at_s=float(decision["at_s"]),
        ready=number(decision.get("ready")),
        replicas=number(target.get("replicas")),
        arriving_per_s=number(demand.get("arriving_per_s")),
        prompt_tokens=number(demand.get("prompt_tokens")),
        output_tokens=number(demand.get("output_tokens")),
    )


def _count(doings: Doings, document: Mapping[str, Any], decision: Mapping[str, Any]) -> None:
    doings.decisions += 1
    doings.reasons.update(reason["code"] for reason in decision["reasons"])
    write = decision.get("write")
    if write is not None and document.get("written"):
        doings.raised += write["replicas"] > write["before"]
        doings.lowered += write["replicas"] < write["before"]
    elif write is not None:
        doings.refused += 1
    elif decision.get("proposed") is not None:
        doings.advised += 1


def _history(told: list[Told], period: Period, path: Path) -> History:
    starts = np.array([each.at_s for each in told])
    ends = np.minimum(np.append(starts[1:], starts[-1] + HOLDS_S), starts + HOLDS_S)
    rate = np.array([each.arriving_per_s for each in told])
    requests = _integrated(starts, ends, rate, period)

    def tokens(name: str) -> np.ndarray:
        return _integrated(starts, ends, rate * np.array([getattr(each, name) for each in told]), period)

    replicas = _integrated(starts, ends, np.array([each.replicas for each in told]), period) / period.slot_s
    return replace(
        History.unknown(period),
        requests=requests,
        input_tokens=tokens("prompt_tokens"),
        output_tokens=tokens("output_tokens"),
        replicas=replicas,
        sources=(f"decision log {named(path)}: {len(told):,} decisions; each holds until the next, at most a day",),
    )


def _integrated(starts: np.ndarray, ends: np.ndarray, level: np.ndarray, period: Period) -> np.ndarray:
    """Integral of a step function over each slot; NaN where a part of the slot is not told of."""
    amounts, seconds = np.zeros(period.slots), np.zeros(period.slots)
    edges = period.edges_s
    for start, end, value in zip(starts, ends, level, strict=True):
        first, last = max(0, period.slot_of(start)), min(period.slots, period.slot_of(end) + 1)
        if np.isnan(value) or first >= last:
            continue
        overlap = np.minimum(edges[first + 1 : last + 1], end) - np.maximum(edges[first:last], start)
        overlap = np.maximum(overlap, 0.0)
        amounts[first:last] += overlap * value
        seconds[first:last] += overlap
    return np.where(seconds >= period.slot_s * (1.0 - 1e-6), amounts, np.nan)
