"""GPUs needed as demand grows: the need's own curve, of one service or several, now and over the years.

Needs do not follow demand in proportion: a larger pool queues less, and GPUs are whole. So demand is scaled, and the
curve asked what that needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.demand_scenario import DemandScenario
from models.errors import InvalidInput
from models.need_law import NeedLaw, mixed

Array = NDArray[np.float64]

NeedAt: TypeAlias = Callable[[float], ArrayLike]
"""GPUs needed in each slot of the history were its demand this many times as large; must not fall with it."""

THREE_POINTS = (0.3, 0.4, 0.3)
"""Weights of the quantiles 0.1, 0.5 and 0.9 that keep mean and variance of most smooth laws (Swanson's rule; Keefer &
Bodily 1983, Management Science 29, 595-609)."""


def need_of_demand(rates_per_s: ArrayLike, gpus_needed: Callable[[Array], ArrayLike]) -> NeedAt:
    """The need of one service: its rates slot by slot (NaN is no data), and how many GPUs it needs at a rate."""
    rates = np.asarray(rates_per_s, dtype=float)
    known = ~np.isnan(rates)

    def need_at(factor: float) -> Array:
        need = np.full(rates.shape, np.nan)
        need[known] = gpus_needed(rates[known] * factor)
        return need

    return need_at


def raised_to_the_end(rates_per_s: ArrayLike, years_before_the_end: ArrayLike, growth: DemandScenario) -> Array:
    """The rates of a history as they would be with all the growth up to its end, which is what scenarios start from."""
    return np.asarray(rates_per_s, dtype=float) * growth.factor(years_before_the_end)


def need_together(services: Sequence[NeedAt]) -> NeedAt:
    """The need of services that share one pool of GPUs, all growing alike; not known where one of them is not."""
    if not services:
        raise InvalidInput("a pool of GPUs without services needs nothing")

    def need_at(factor: float) -> Array:
        total: Array = np.sum([np.asarray(service(factor), dtype=float) for service in services], axis=0)
        return total

    return need_at


def laws_of_years(
    need_at: NeedAt,
    scenarios: Sequence[DemandScenario],
    weights: Sequence[float] = (1.0,),
    *,
    years: int,
    moments: int = 4,
) -> tuple[NeedLaw, ...]:
    """The law of need in each of the next years: the history's slots, grown to some moments of the year.

    Of several scenarios each counts with its weight, in every year.
    """
    if len(scenarios) != len(weights) or years < 1 or moments < 1:
        raise InvalidInput("each scenario of demand needs a weight, and a law of need a year at least")
    shares = [weight / moments for weight in weights for _ in range(moments)]
    laws = []
    for year in range(years):
        times = year + (np.arange(moments) + 0.5) / moments
        factors = [float(factor) for scenario in scenarios for factor in scenario.factor(times)]
        laws.append(mixed([NeedLaw.of_slots(need_at(factor)) for factor in factors], shares))
    return tuple(laws)
