"""The greatest rate that each number of replicas carries within the objectives: replicas for many rates at once.

Asking `planner size` for every hour of a year would take a thousand times as long. The prediction is the same one; it
is asked at a few numbers of replicas, to 0.2 % in the rate. Between them the rate of one replica is interpolated in the
logarithm of their number: it rises a little with it where requests are dealt evenly. Poisson arrivals that are dealt at
random stay Poisson, and one number tells of all.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from models.errors import NoFeasiblePlan
from models.objective import Objective
from models.prediction import Routing
from planner.objective import as_written
from planner.service import Service
from planner.sizing import MAX_REPLICAS

PRECISION = 1.002
_TRICKLE = 1e-3
"""Of the greatest rate: where this breaks an objective, nothing meets it."""
_STRIDE = 1.5
"""From one asked number of replicas to the next."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CapacityCurve:
    """Rates (requests per second), one for each number of replicas from 1 on, rising."""

    rates_per_s: NDArray[np.float64]
    capacity_per_s: float
    """What one replica does at most, whatever the objectives."""

    def replicas(self, rate_per_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """The least replicas for each rate; 0 for none, NaN where the rate is not known.

        Beyond the curve each replica carries as much as at its end, which is a little less than it does.
        """
        found = np.searchsorted(self.rates_per_s, rate_per_s, side="left") + 1.0
        found = np.where(rate_per_s > self.rates_per_s[-1], np.ceil(self._beyond(rate_per_s)), found)
        found = np.where(rate_per_s <= 0.0, 0.0, np.where(np.isnan(rate_per_s), np.nan, found))
        return np.asarray(found, dtype=np.float64)

    def parts(self, rate_per_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same in parts of replicas: linear in the rate from one number of replicas to the next."""
        counts = np.arange(len(self.rates_per_s) + 1, dtype=float)
        rates = np.concatenate(([0.0], self.rates_per_s))
        inside = np.interp(rate_per_s, rates, counts)
        return np.asarray(np.where(rate_per_s > rates[-1], self._beyond(rate_per_s), inside), dtype=float)

    def _beyond(self, rate_per_s: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(rate_per_s * len(self.rates_per_s) / self.rates_per_s[-1], dtype=float)

    def work(self, rate_per_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Replicas that the work alone would fill."""
        return np.asarray(rate_per_s / self.capacity_per_s, dtype=float)


def capacity_curve(service: Service, objectives: Sequence[Objective], *, highest_per_s: float) -> CapacityCurve:
    """The curve up to a rate. Raises NoFeasiblePlan where even a trickle of requests breaks an objective."""
    known = _known(_identity(service), tuple(str(each) for each in objectives))
    if 1 not in known:
        known[1] = _greatest(service, objectives, 1, guess_per_s=0.7 * service.capacity_per_s)
    one = known[1]
    if service.routing is not Routing.RANDOM or service.arrivals.burstiness != 1.0:
        count = 1
        while known[count] < highest_per_s and count < MAX_REPLICAS:
            rate = known[count] / count
            count = max(count + 1, math.floor(count * _STRIDE))
            if count not in known:
                known[count] = _greatest(service, objectives, count, guess_per_s=rate * count)
    most = min(MAX_REPLICAS, max([*known, math.ceil(highest_per_s / one) + 1]))
    counts = np.arange(1, most + 1, dtype=float)
    asked = np.array(sorted(known), dtype=float)
    each = np.array([known[int(count)] for count in asked]) / asked
    rates = counts * np.interp(np.log(counts), np.log(asked), each)
    return CapacityCurve(rates_per_s=np.maximum.accumulate(rates), capacity_per_s=service.capacity_per_s)


@lru_cache(maxsize=2000)
def _known(_identity: Hashable, _objectives: tuple[str, ...]) -> dict[int, float]:
    """Points that are known so far: services that differ in their rate alone share them.

    Which numbers are asked, in which order and from which guess, does not depend on who asked first.
    """
    return {}


def _identity(service: Service) -> Hashable:
    spec, lengths = service.profile.spec.model_dump_json(), service.lengths
    law = repr(lengths) if lengths is None or lengths.table is None else id(lengths.table)
    return spec, service.arrivals.burstiness, law, service.prefix_hit_rate, service.routing


def _greatest(service: Service, objectives: Sequence[Objective], replicas: int, *, guess_per_s: float) -> float:
    """The greatest rate within the objectives, found from a guess outward."""
    top = service.capacity_per_s * replicas

    def holds(rate_per_s: float) -> bool:
        answer = service.at_rate(rate_per_s).predict(replicas)
        return answer.stable and all(answer.meets(each) for each in objectives)

    low, high, reach = 0.0, top, 1.02
    at = min(guess_per_s, top / PRECISION)
    while high / max(low, 1e-300) > PRECISION:
        if holds(at):
            low = at
        else:
            high = at
        if high < _TRICKLE * top:
            raise NoFeasiblePlan(
                f"nothing meets {', '.join(as_written(each) for each in objectives)}: even hardly any load breaks it",
                remedy="loosen the objective, or use a faster profile",
            )
        if low == 0.0:
            at, reach = high / reach, reach**2
        elif high == top:
            at, reach = min(low * reach, math.sqrt(low * top)), reach**2
        else:
            at = math.sqrt(low * high)
    return low
