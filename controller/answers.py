"""What Prometheus answered in one tick, by group, labels and meaning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from controller.meanings import Meaning
from controller.queries import GROUPS_PER_QUERY, MEANING, Place, Query
from controller.trust import LAST_S

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
    odd: int = 0
    """Rows that were not asked for, and are left out."""

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
    """The rows by where a policy looks for them. What we did not ask for is left out, and counted."""
    found: dict[tuple[int, tuple[str, ...]], dict[Meaning, float]] = {}
    server_s, odd = None, 0
    for row in rows:
        group, name = group_and_meaning(row, query)
        meaning = _MEANINGS.get(name)
        if meaning is None or group is None:
            odd += 1
        elif meaning is Meaning.NOW:
            server_s = row.value
        else:
            values = tuple(row.labels.get(label, "") for label in query.labels[group])
            found.setdefault((group, values), {})[meaning] = row.value
    if server_s is None or not abs(server_s) <= LAST_S:
        return Unanswered(message="Prometheus answers without the time that it was asked for: is it Prometheus?")
    return Answered(asked_s=asked_s, answered_s=answered_s, server_s=server_s, rows=found, odd=odd)


def group_and_meaning(row: Row, query: Query) -> tuple[int | None, str]:
    """What a row says of itself; no group where there is none of that number, however many digits it has."""
    number, _, name = row.labels.get(MEANING, "").partition("/")
    group = _GROUPS.get(number)
    return None if group is None or group >= len(query.labels) else group, name


_MEANINGS = {meaning.value: meaning for meaning in Meaning}
_GROUPS = {str(number): number for number in range(GROUPS_PER_QUERY)}
