"""So many at once, and then one in so long: what flaps is told, and does not flood."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class TokenBucket:
    """Full at first; by the clock of whoever takes."""

    burst: float
    refill_s: float
    """One more in so long."""
    at_s: float = 0.0
    taken: float = 0.0
    """Not refilled yet."""

    def take(self, now_s: float) -> bool:
        """Whether there was one. A clock that was put back refills nothing."""
        self.taken = max(0.0, self.taken - max(0.0, now_s - self.at_s) / self.refill_s)
        self.at_s = now_s
        if self.taken + 1.0 > self.burst:
            return False
        self.taken += 1.0
        return True
