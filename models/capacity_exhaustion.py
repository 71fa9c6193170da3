"""The day on which what is needed passes what is committed, as demand grows and commitments end.

What is needed at a quantile of the slots never falls when all demand grows by a factor. So of the days with one
commitment, those fail whose factor is beyond a limit, which bisection among their factors finds: some ten questions,
whatever way the scenario takes, up, down or by seasons.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.demand_scenario import DAYS_PER_YEAR, DemandScenario
from models.errors import InvalidInput
from models.need_curve import NeedAt
from models.need_law import NeedLaw
from models.purchase_offers import ExistingCommitment

Array = NDArray[np.float64]

Cause: TypeAlias = Literal["already", "growth", "a commitment ends"]

THREE_YEARS = 1096
"""Days."""
_MOST_DAYS = 36_525


@dataclass(frozen=True, kw_only=True)
class Exhaustion:
    """When committed capacity runs out in a scenario."""

    scenario: str
    quantile: float
    """Of the slots: what so many of them need is what has to be committed."""
    day: int | None
    """Days after the end of the history; None: not within the horizon."""
    horizon_days: int
    needed_gpus: float
    """On that day, or on the last of the horizon."""
    committed_gpus: int
    factor: float
    """Of demand, on that day too."""
    cause: Cause | None


def exhaustion(
    need_at: NeedAt,
    scenario: DemandScenario,
    committed: Sequence[ExistingCommitment],
    *,
    quantile: float = 0.99,
    horizon_days: int = THREE_YEARS,
) -> Exhaustion:
    """The first day on which `quantile` of the slots need more than is committed, under one scenario."""
    if not (0.0 < quantile <= 1.0 and 0 < horizon_days <= _MOST_DAYS):
        raise InvalidInput(f"a quantile of {quantile} over {horizon_days} days means nothing")
    days = np.arange(horizon_days)
    factors = _factors(scenario, days)
    capacity = np.array([sum(each.gpus for each in committed if each.days_left > day) for day in days])

    def needed(factor: float) -> float:
        return NeedLaw.of_slots(need_at(factor)).quantile(quantile)

    first = [_first(needed, days[capacity == gpus], factors, int(gpus)) for gpus in np.unique(capacity)]
    day = min((found for found in first if found is not None), default=None)
    seen = horizon_days - 1 if day is None else day
    need = needed(float(factors[seen]))
    return Exhaustion(
        scenario=scenario.name,
        quantile=quantile,
        day=day,
        horizon_days=horizon_days,
        needed_gpus=need,
        committed_gpus=int(capacity[seen]),
        factor=float(factors[seen]),
        cause=None if day is None else _cause(day, need, capacity),
    )


def _factors(scenario: DemandScenario, days: NDArray[np.int64]) -> Array:
    factors = np.asarray(scenario.factor(days / DAYS_PER_YEAR), dtype=float)
    if factors.shape != days.shape or not np.all(np.isfinite(factors) & (factors >= 0.0)):
        raise InvalidInput(f"scenario {scenario.name} must give a factor of demand, 0 or more, for each day")
    return factors


def _first(needed: Callable[[float], float], days: NDArray[np.int64], factors: Array, gpus: int) -> int | None:
    """The first of the days with this commitment on which it is not enough."""
    ascending = np.unique(factors[days])
    enough, lacking = -1, ascending.size
    while lacking - enough > 1:
        middle = (enough + lacking) // 2
        if needed(float(ascending[middle])) > gpus:
            lacking = middle
        else:
            enough = middle
    if lacking == ascending.size:
        return None
    return int(days[factors[days] >= ascending[lacking]][0])


def _cause(day: int, needed: float, capacity: NDArray[np.int64]) -> Cause:
    if day == 0:
        return "already"
    return "a commitment ends" if needed <= capacity[day - 1] else "growth"
