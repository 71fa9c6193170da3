"""The ways that demand may take over the years: a rate of growth each, or whatever a forecast brings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.errors import InvalidInput

Array = NDArray[np.float64]

DAYS_PER_YEAR = 365.25
_SAME = 1e-9


class DemandScenario(Protocol):
    """A way that demand may take. A forecast or a replay of a backtest is one too, with seasons if it likes."""

    @property
    def name(self) -> str:
        """What the report calls it: low, base, high …"""

    @property
    def quantile(self) -> float | None:
        """The chance that demand grows no more than this, where it is known."""

    def factor(self, years: ArrayLike) -> Array:
        """Demand so many years after the end of the history, over that of the history's end."""


@dataclass(frozen=True, kw_only=True)
class SteadyGrowth:
    """The same rate of growth all the time."""

    name: str
    yearly_rate: float
    """0.5: half as much again after a year; above −1."""
    quantile: float | None = None

    def __post_init__(self) -> None:
        if not -1.0 < self.yearly_rate <= 1e6:
            raise InvalidInput(
                f"growth of scenario {self.name} must be above -1 a year, is {self.yearly_rate}",
                remedy="0.5 is 50 % more a year, -0.2 a fifth less",
            )

    def factor(self, years: ArrayLike) -> Array:
        """`(1 + rate)^years`."""
        grown: Array = np.exp(np.minimum(math.log1p(self.yearly_rate) * np.asarray(years, dtype=float), 700.0))
        return grown


@dataclass(frozen=True, kw_only=True)
class WanderingGrowth:
    """A quantile of demand about a steady rate that is not known exactly, with a level that wanders."""

    name: str
    quantile: float
    steady_rate: float
    """Of the middle, a year."""
    slope_spread: float
    """What the quantile is off for the slope: of the logarithm, a year."""
    wander_spread: float
    """What it is off for the wander in the first year; grows with the square root of time."""

    @property
    def yearly_rate(self) -> float:
        """Over the first year."""
        return float(self.factor(1.0)) - 1.0

    def factor(self, years: ArrayLike) -> Array:
        """The middle's, times both spreads, which are independent."""
        time = np.maximum(np.asarray(years, dtype=float), 0.0)
        off = np.hypot(self.slope_spread * time, self.wander_spread * np.sqrt(time))
        sign = 1.0 if self.quantile > 0.5 else -1.0
        grown: Array = np.exp(np.minimum(math.log1p(self.steady_rate) * time + sign * off, 700.0))
        return grown


@dataclass(frozen=True, kw_only=True)
class BegunBefore:
    """A scenario that has gone on for a while: told from a later day on, against demand of the history's end."""

    scenario: DemandScenario
    years: float
    """Between the end of the history and that day."""

    @property
    def name(self) -> str:
        """The scenario's."""
        return self.scenario.name

    @property
    def quantile(self) -> float | None:
        """The scenario's."""
        return self.scenario.quantile

    def factor(self, years: ArrayLike) -> Array:
        """So many years after that day."""
        return self.scenario.factor(self.years + np.asarray(years, dtype=float))


YearlyGrowth: TypeAlias = SteadyGrowth | WanderingGrowth


@dataclass(frozen=True, kw_only=True)
class GrowthScenarios:
    """Low, base and high."""

    low: YearlyGrowth
    base: SteadyGrowth
    high: YearlyGrowth

    def __post_init__(self) -> None:
        slack = _SAME * (1.0 + abs(self.base.yearly_rate))
        if not self.low.yearly_rate - slack <= self.base.yearly_rate <= self.high.yearly_rate + slack:
            raise InvalidInput("growth must not fall from low over base to high")

    @property
    def each(self) -> tuple[YearlyGrowth, SteadyGrowth, YearlyGrowth]:
        """In that order."""
        return self.low, self.base, self.high


def stated_growth(*, low: float, base: float, high: float) -> GrowthScenarios:
    """Yearly rates that someone states; they are no quantiles."""
    return GrowthScenarios(
        low=SteadyGrowth(name="low", yearly_rate=low),
        base=SteadyGrowth(name="base", yearly_rate=base),
        high=SteadyGrowth(name="high", yearly_rate=high),
    )
