"""Whether a replica with a share of a GPU meets the objectives at its rate, asked as seldom as may be.

A replica whose batches all take 1/s as long is the replica at full speed in slower time: at the rate x it is as late as
that one is at the rate x/s, times 1/s. So one curve of lateness by rate answers for every share and number of
replicas, and as it only rises, a few points of it decide most questions.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from models.errors import NoFeasiblePlan
from models.gpu_sharing import STEPS
from models.objective import Objective
from models.prediction import Routing
from planner.objective import as_written
from planner.service import Service

_ROUNDING = 1e-9


@lru_cache(maxsize=1000)
def _points(_spec: str, _objectives: tuple[str, ...]) -> tuple[list[float], list[float]]:
    """Rates and lateness at them that are known so far: services of one profile and the same objectives share them."""
    return [], []


class ShareCurve:
    """The curve of one service, from which points are kept."""

    def __init__(self, service: Service, objectives: Sequence[Objective]) -> None:
        self._service, self._objectives = service, objectives
        asked = tuple(str(each) for each in objectives)
        self._rates, self._lateness = _points(service.profile.spec.model_dump_json(), asked)

    @staticmethod
    def serves(service: Service) -> bool:
        """Whether nothing but the share slows the service, and replicas are alike whatever their number.

        Queue delays do not stretch; Poisson arrivals split at random are Poisson again, others are not what they were.
        """
        return (
            not service.makes_tokens
            and service.profile.spec.limits.max_queue_delay == 0.0
            and service.routing is Routing.RANDOM
            and service.arrivals.burstiness == 1.0
        )

    def holds(self, replicas: int, share: float) -> bool:
        """Whether so many replicas with this share meet every objective."""
        rate = self._service.arrivals.rate_per_s / replicas / share
        if rate >= self._service.capacity_per_s:
            return False
        at = bisect_left(self._rates, rate)
        limit = share * (1.0 - _ROUNDING)
        if at < len(self._rates) and self._lateness[at] <= limit:
            return True
        if at < len(self._rates) and self._rates[at] == rate:
            return False
        if at > 0 and self._lateness[at - 1] > limit:
            return False
        lateness = self._late(rate)
        self._rates.insert(at, rate)
        self._lateness.insert(at, lateness)
        return lateness <= limit

    def _late(self, rate_per_s: float) -> float:
        """The highest of the values over their limits, at full speed."""
        found = self._service.at_rate(rate_per_s).predict(1)
        values = [(found.value(each), each.limit_s) for each in self._objectives]
        return max((math.inf if value is None else value / limit) for value, limit in values)

    def _guess(self, replicas: int, low: int, high: int) -> int:
        """A step of shares between two where the lateness, between known points, meets its limit.

        Its inverse falls nearly in proportion to the rate, to 0 at capacity: exactly so for M/M/1.
        """
        middle = (low + high) // 2
        slow = self._service.arrivals.rate_per_s / replicas * STEPS
        if not self._rates:
            return middle
        rates = [*self._rates, self._service.capacity_per_s]
        inverse = [*(1.0 / late for late in self._lateness), 0.0]
        steps = np.arange(low + 1, high)
        met = np.interp(slow / steps, rates, inverse) >= STEPS / steps
        return int(steps[np.argmax(met)]) if met.any() else high - 1

    def least_replicas(self, share: float, *, most: int) -> int:
        """The fewest replicas with this share that meet every objective. Raises NoFeasiblePlan."""
        carried = self._service.capacity_per_s * share
        bad = math.floor(self._service.arrivals.rate_per_s / carried)
        good = bad + 1
        while good <= most and not self.holds(good, share):
            bad, good = good, good + max(1, good // 4)
            if self._service.arrivals.rate_per_s / good < 1e-3 * carried:
                break
        if good > most or not self.holds(good, share):
            raise NoFeasiblePlan(
                f"no number of replicas up to {most:,} with {share:.0%} of a GPU meets "
                f"{', '.join(as_written(each) for each in self._objectives)}"
            )
        while good - bad > 1:
            middle = (good + bad) // 2
            bad, good = (bad, middle) if self.holds(middle, share) else (middle, good)
        return good

    def least_share(self, replicas: int) -> float | None:
        """The least share, in steps, with which so many replicas meet every objective; None where not even 1."""
        load = self._service.arrivals.rate_per_s / (replicas * self._service.capacity_per_s)
        if load >= 1.0 or not self.holds(replicas, 1.0):
            return None
        bad, good = min(STEPS - 1, math.floor(load * STEPS)), STEPS
        while good - bad > 1:
            middle = self._guess(replicas, bad, good)
            bad, good = (bad, middle) if self.holds(replicas, middle / STEPS) else (middle, good)
        return good / STEPS
