"""Whether the loop is alive: when it was seen to move last, and since when no tick has succeeded."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

INTERVALS, LEAST_S = 5.0, 120.0
"""So many intervals without a move, and no less than so long: an API server that is slow to answer stops nobody."""


class Pulse:
    """Of the loop; the thread of the loop moves it, those that ask for /healthz read it."""

    def __init__(self, interval_s: float = 15.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._allowed_s, self._clock = max(LEAST_S, INTERVALS * interval_s), clock
        self._moved_s = self._succeeded_s = clock()
        self._error = ""

    def moved(self) -> None:
        """The tick goes on: a policy was decided on, or a write was answered."""
        self._moved_s = self._clock()

    def ticked(self) -> None:
        """A tick has ended well."""
        self._moved_s = self._succeeded_s = self._clock()
        self._error = ""

    def failed(self, error: Exception) -> None:
        """A tick has ended with an error."""
        self._moved_s, self._error = self._clock(), f"{type(error).__name__}: {error}"[:500]

    def problem(self, dead: Sequence[str]) -> str:
        """Why the process is to be started again, where also these watches have ended; empty where it is well."""
        now_s = self._clock()
        found = [f"the watch of {kind} has ended" for kind in dead]
        if now_s - self._moved_s > self._allowed_s:
            found.append(f"the loop has not moved for {now_s - self._moved_s:.0f} s")
        elif self._error and now_s - self._succeeded_s > self._allowed_s:
            found.append(f"no tick has succeeded for {now_s - self._succeeded_s:.0f} s: {self._error}")
        return "; ".join(found)
