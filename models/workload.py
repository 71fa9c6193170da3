"""The workload: how requests arrive, how long they are, and how much of a prompt is already cached."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from models.errors import InvalidInput
from models.token_lengths import TokenLengths

MAX_RATE_PER_S = 1e7
MAX_USERS = 10_000_000
MAX_BURSTINESS = 100.0


@dataclass(frozen=True, kw_only=True)
class OpenArrivals:
    """A renewal stream from outside that does not wait for answers.

    `burstiness` is the squared coefficient of variation of the inter-arrival times: 1 is Poisson, 0 is a metronome;
    the inter-arrival times are gamma with shape 1/burstiness, as the usual load generators make them.
    """

    rate_per_s: float
    burstiness: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.rate_per_s) and 0.0 < self.rate_per_s <= MAX_RATE_PER_S):
            raise InvalidInput(
                f"the arrival rate must be above 0 and at most {MAX_RATE_PER_S:.0e} per second, got {self.rate_per_s}"
            )
        if not (0.0 <= self.burstiness <= MAX_BURSTINESS):
            raise InvalidInput(f"burstiness must lie between 0 and {MAX_BURSTINESS:.0f}, got {self.burstiness}")


@dataclass(frozen=True, kw_only=True)
class ClosedArrivals:
    """A fixed number of users; each waits for its answer, thinks (exponential, mean in seconds), and asks again."""

    users: int
    think_time_s: float = 0.0

    def __post_init__(self) -> None:
        if not (1 <= self.users <= MAX_USERS):
            raise InvalidInput(f"the number of concurrent users must lie between 1 and {MAX_USERS}, got {self.users}")
        if not (math.isfinite(self.think_time_s) and 0.0 <= self.think_time_s <= 1e7):
            raise InvalidInput(f"the think time must lie between 0 and 1e7 seconds, got {self.think_time_s}")


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What the replicas are asked to carry, all of them together."""

    arrivals: OpenArrivals | ClosedArrivals
    lengths: TokenLengths
    prefix_hit_rate: float = 0.0
    """Share of prompt tokens found in the prefix cache: they cost no prefill work, but occupy KV memory."""

    def __post_init__(self) -> None:
        if not (0.0 <= self.prefix_hit_rate < 1.0):
            raise InvalidInput(f"the prefix hit rate must lie in [0, 1), got {self.prefix_hit_rate}")

    def at_rate(self, rate_per_s: float) -> Workload:
        """The same requests arriving at another rate (open arrivals only)."""
        if not isinstance(self.arrivals, OpenArrivals):
            raise InvalidInput("only an open workload has an arrival rate to change")
        return replace(self, arrivals=replace(self.arrivals, rate_per_s=rate_per_s))

    def with_users(self, users: int) -> Workload:
        """The same requests from another number of users (closed arrivals only)."""
        if not isinstance(self.arrivals, ClosedArrivals):
            raise InvalidInput("only a closed workload has a number of users to change")
        return replace(self, arrivals=replace(self.arrivals, users=users))
