"""The controller's decisions, read from its decision log while it grows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from controller.decision import Decision
from controller.decision_log import Entry, read_entries
from controller.reasons import Code

_RISE = (Code.DEMAND_EXPECTED, Code.QUEUE_WAITS, Code.PACED)
_FALL = (Code.DEMAND_FELL, Code.STABILIZING, Code.PACED)
"""Reasons that tell of a way to go, the most telling first."""


@dataclass
class Decisions:
    """All so far, oldest first."""

    log: Path
    entries: list[Entry] = field(default_factory=list)
    new: list[Entry] = field(default_factory=list)
    """Those that the last look found."""
    _size: int = 0

    def look(self) -> None:
        """Read what has been added."""
        size = self.log.stat().st_size if self.log.exists() else 0
        if size == self._size:
            self.new = []
            return
        found = [entry for entry, _ in read_entries(self.log)]
        self.new, self.entries, self._size = found[len(self.entries) :], found, size

    @property
    def written(self) -> list[Entry]:
        """Those that moved something."""
        return [entry for entry in self.entries if entry.written]

    def latest(self, model: str) -> str:
        """What was decided last on a model's policy, in one line."""
        found = (entry.decision for entry in reversed(self.entries) if entry.decision.policy.endswith(f"/{model}"))
        decision = next(found, None)
        return "nothing yet" if decision is None else told(decision)

    def most_interesting(self) -> Entry | None:
        """The one that added most; of equals one that looked ahead, and the largest."""

        def interest(entry: Entry) -> tuple[int, bool, int]:
            write = entry.decision.write
            expected = any(each.code is Code.DEMAND_EXPECTED for each in entry.decision.reasons)
            return (0, expected, 0) if write is None else (write.replicas - write.before, expected, write.replicas)

        return max(self.written or self.entries, key=interest, default=None)


def told(decision: Decision) -> str:
    """In one line: what moved, or that nothing did, and the most telling reason."""
    name = decision.policy.partition("/")[2]
    write = decision.write
    moved = f"{write.before} to {write.replicas}" if write is not None else f"stays at {decision.current}"
    telling = _FALL if write is not None and write.replicas < write.before else _RISE
    ranked = sorted(
        decision.reasons, key=lambda each: telling.index(each.code) if each.code in telling else len(telling)
    )
    why = f"{ranked[0].message} ({ranked[0].code})" if ranked else decision.binding
    return f"{at(decision)} {name} {moved}: {why}"


def at(decision: Decision) -> str:
    """Time of the day, UTC."""
    return f"{datetime.fromtimestamp(decision.at_s, UTC):%H:%M:%S}"
