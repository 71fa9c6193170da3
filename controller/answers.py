"""What Prometheus answered in one tick, by group, labels and meaning."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from controller.meanings import Meaning
from controller.queries import MEANING, Place, Query

Values = Mapping[Meaning, float]


class Row(Protocol):
    """One row of an answer."""

    @property
    def labels(self) -> Mapping[str, str]: ...

    @property
    def value(self) -> float: ...


@dataclass(frozen=True, kw_only=True)
class Answered:
    """An answer. Times of the controller's clock are those before the question and after the answer."""

    asked_s: float
    answered_s: float
    server_s: float
    """By the server's own clock."""
    rows: Mapping[tuple[int, tuple[str, ...]], Values] = field(default_factory=dict)

    def at(self, place: Place) -> Values:
        """Empty where there is no series."""
        return self.rows.get((place.group, place.values), {})

    @property
    def skew_s(self) -> float:
        """How far the server's clock is ahead of ours; 0 while the question's time may explain it."""
        return max(0.0, self.server_s - self.answered_s) + min(0.0, self.server_s - self.asked_s)


@dataclass(frozen=True, kw_only=True)
class Unanswered:
    """No answer, and why."""

    message: str


Answer = Answered | Unanswered


def read_answer(query: Query, rows: Iterable[Row], *, asked_s: float, answered_s: float) -> Answer:
    """The rows by where a policy looks for them. What we did not ask for is left out."""
    found: dict[tuple[int, tuple[str, ...]], dict[Meaning, float]] = {}
    server_s = None
    for row in rows:
        number, _, name = row.labels.get(MEANING, "").partition("/")
        meaning = _MEANINGS.get(name)
        if meaning is None or not number.isdecimal() or int(number) >= len(query.labels):
            continue
        if meaning is Meaning.NOW:
            server_s = row.value
            continue
        values = tuple(row.labels.get(label, "") for label in query.labels[int(number)])
        found.setdefault((int(number), values), {})[meaning] = row.value
    if server_s is None or not math.isfinite(server_s):
        return Unanswered(message="Prometheus answers without the time that it was asked for: is it Prometheus?")
    return Answered(asked_s=asked_s, answered_s=answered_s, server_s=server_s, rows=found)


_MEANINGS = {meaning.value: meaning for meaning in Meaning}
