"""How demand grows over the years, from its own history.

The trend of a history is a straight line of the logarithm, robust to days out of the ordinary: the median of the slopes
of all pairs, with Sen's band (models/pair_slopes.py). Days of a week differ: each weekday's median difference from the
trend of equal weekdays (Hirsch, Slack & Smith 1982, Water Resources Research 18, 107-121) is taken off. What is left
hangs together from day to day, so weeks count, by the median of their days, where at least four days are known. What
still hangs together from week to week widens the band: by the deviation of a least-squares slope under a first-order
autoregression with the autocorrelation of the ranks of what is left, over that without it (cf. Hamed & Rao 1998,
Journal of Hydrology 204, 182-196), the autocorrelation freed of its small-sample bias `−(2 + 4ρ)/n` (Shaman & Stine
1988, JASA 83, 842-848, with a trend).

Low and high are quantiles of what demand has grown by at a time: for a slope that is not known exactly, by the wider of
that band and the slope's variance in a level that wanders, and for the wander itself (models/level_wander.py). What
demand varies by from slot to slot is in the need's own law. They hold the truth about as often as they say
(docs/growth-accuracy.md), but where demand grows in a straight line or bends, which `recent_yearly_rate` shows. A
history of less than a year cannot tell growth from season.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.demand_scenario import DAYS_PER_YEAR, GrowthScenarios, SteadyGrowth, WanderingGrowth
from models.demand_step import step_of
from models.errors import InvalidInput
from models.level_wander import Wander, wander
from models.pair_slopes import mid_ranks, pair_slope

Array = NDArray[np.float64]

LEAST_WEEKS = 8
LEAST_DAYS_A_WEEK = 4
_WEEKS_PER_YEAR = DAYS_PER_YEAR / 7.0
_MOST_LOG = 13.8
"""Of yearly growth: a million times as much."""
MOST_YEARLY = 4.0
"""Times as much a year, or as little: a trend beyond tells of a step or a start, and cannot go on for years."""
MOST_BAND = 10.0
"""High over low after a year: a wider band says nothing."""
_MOST_RHO = 0.95
_MOST_DAYS = 4000
_MOST_ZERO_SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class GrowthTrend(GrowthScenarios):
    """What a history tells, and how much of a history it is."""

    days_used: int
    days_missing: int
    """Between the first and the last: left out, not interpolated."""
    days_without_demand: int
    """Known to be zero; a logarithm cannot hold them, they are left out too."""
    weeks: int
    week_to_week: float
    """Autocorrelation that widened the slope's band."""
    recent_yearly_rate: float | None
    """The trend of the later half of the weeks, where they are sixteen at least: beside base it shows a bend."""

    step: float | None = None
    """What the level was multiplied by, where one step describes the weeks much better than a trend."""

    @property
    def may_be_season(self) -> bool:
        """Less than a year: growth and season are one."""
        return self.days_used + self.days_missing + self.days_without_demand < DAYS_PER_YEAR


def trend_growth(days: Sequence[int], totals: Sequence[float], *, quantile: float = 0.9) -> GrowthTrend:
    """Growth from totals of whole days; `days` are running numbers, ascending; NaN and absent days are missing.

    Base is the median slope, high the `quantile` of demand, low that of `1 − quantile`.
    """
    number, demand = _checked(days, totals, quantile)
    positive = demand > 0.0
    zeros = int((~positive).sum())
    if zeros > _MOST_ZERO_SHARE * demand.size:
        raise InvalidInput(
            f"{zeros} of {demand.size} days have no demand: an exponential trend cannot describe that",
            remedy="begin the history later, or state the growth",
        )
    weeks, logs = _weeks(number[positive], np.log(demand[positive]))
    slope, low, high, rho = _band(weeks, logs, quantile)
    law = wander(weeks, logs, slope)
    return GrowthTrend(
        low=_scenario("low", round(1.0 - quantile, 9), slope, slope - low, law),
        base=_steady(slope),
        high=_scenario("high", quantile, slope, high - slope, law),
        days_used=int(positive.sum()),
        days_missing=int(number[-1] - number[0]) + 1 - demand.size,
        days_without_demand=zeros,
        weeks=weeks.size,
        week_to_week=rho,
        recent_yearly_rate=_recent(weeks, logs),
        step=step_of(weeks, logs, slope),
    )


def require_plausible(trend: GrowthTrend) -> None:
    """Raises InvalidInput for a trend that nobody should buy by: a step, or growth beyond all measure."""
    low, base, high = (1.0 + each.yearly_rate for each in trend.each)
    state = "state the growth of each scenario"
    if trend.step is not None:
        raise InvalidInput(
            f"the history is better described by one step of ×{trend.step:.3g} than by a trend: no growth is taken "
            "from it", remedy=state,
        )  # fmt: skip
    for name, factor in (("base", base), ("high", high)):
        if not 1.0 / MOST_YEARLY <= factor <= MOST_YEARLY:
            raise InvalidInput(
                f"the trend of the history would be ×{factor:.3g} a year ({name}), beyond ×{MOST_YEARLY:g} either way: "
                "no growth is taken from it", remedy=state,
            )  # fmt: skip
    if high > MOST_BAND * low:
        raise InvalidInput(
            f"the trend of the history is ×{low:.3g} to ×{high:.3g} a year, too unsure: no growth is taken from it",
            remedy=state,
        )


def _steady(slope: float) -> SteadyGrowth:
    """Of a slope of the logarithm a week."""
    yearly = math.expm1(min(slope * _WEEKS_PER_YEAR, _MOST_LOG))
    return SteadyGrowth(name="base", yearly_rate=max(yearly, -1.0 + 1e-9), quantile=0.5)


def _recent(weeks: Array, logs: Array) -> float | None:
    half = weeks.size // 2
    if half < LEAST_WEEKS:
        return None
    return _steady(pair_slope(weeks[half:], logs[half:], quantile=0.9).slope).yearly_rate


def _scenario(name: str, quantile: float, slope: float, sen: float, law: Wander) -> WanderingGrowth:
    """The slope as unsure as the wider of both bands says, and the level's wander."""
    from scipy.special import ndtri

    off = abs(float(ndtri(quantile)))
    return WanderingGrowth(
        name=name,
        quantile=quantile,
        steady_rate=_steady(slope).yearly_rate,
        slope_spread=max(sen, off * math.sqrt(law.slope_variance)) * _WEEKS_PER_YEAR,
        wander_spread=off * math.sqrt(law.step_variance * _WEEKS_PER_YEAR),
    )


def _checked(days: Sequence[int], totals: Sequence[float], quantile: float) -> tuple[Array, Array]:
    number, demand = np.asarray(days, dtype=float), np.asarray(totals, dtype=float)
    if not 0.5 < quantile < 1.0:
        raise InvalidInput(f"the quantile of high growth must lie between 0.5 and 1, is {quantile}")
    if number.ndim != 1 or number.shape != demand.shape or number.size > _MOST_DAYS:
        raise InvalidInput(f"growth needs a total for each day, of {_MOST_DAYS} days at most")
    if np.any(np.diff(number) < 1.0) or np.any(number != np.floor(number)):
        raise InvalidInput("the days of a history must ascend, each once")
    known = ~np.isnan(demand)
    number, demand = number[known], demand[known]
    if np.any(demand < 0.0) or np.any(np.isinf(demand)):
        raise InvalidInput("demand of a day must be finite and not negative")
    if number.size < LEAST_WEEKS * LEAST_DAYS_A_WEEK:
        raise _too_short(f"{number.size} days of history")
    return number, demand


def _too_short(have: str) -> InvalidInput:
    return InvalidInput(
        f"{have}: growth needs {LEAST_WEEKS} weeks with {LEAST_DAYS_A_WEEK} known days each",
        remedy="give a longer history, or state the growth of each scenario",
    )


def _weeks(days: Array, logs: Array) -> tuple[Array, Array]:
    """Numbers of weeks, from the last day back, and the level of each: of its days in the median, weekdays aside."""
    weekday, slope = (days % 7.0).astype(int), _slope_of_equal_weekdays(days, logs)
    rest = logs - slope * days
    usual = np.array([np.median(rest[weekday == day]) if (weekday == day).any() else 0.0 for day in range(7)])
    plain = rest - usual[weekday]
    weeks, which = np.unique(np.floor((days - days[-1] - 1.0) / 7.0), return_inverse=True)
    enough = np.flatnonzero(np.bincount(which) >= LEAST_DAYS_A_WEEK)
    if enough.size < LEAST_WEEKS:
        raise _too_short(f"{days.size} days of history with {enough.size} such weeks")
    medians = np.array([np.median(plain[which == number]) for number in enough])
    return weeks[enough], medians + slope * 7.0 * weeks[enough]


def _slope_of_equal_weekdays(days: Array, logs: Array) -> float:
    """A day, the median over pairs whole weeks apart."""
    apart = days[None, :] - days[:, None]
    pairs = (apart > 0.0) & (apart % 7.0 == 0.0)
    return float(np.median((logs[None, :] - logs[:, None])[pairs] / apart[pairs]))


def _band(weeks: Array, logs: Array, quantile: float) -> tuple[float, float, float, float]:
    """Slope a week, its quantiles either way, and the autocorrelation that they were widened for."""
    found = pair_slope(weeks, logs, quantile=quantile)
    rho = _autocorrelation(weeks, logs - found.slope * weeks)
    centred = weeks - weeks.mean()
    together = rho ** np.abs(weeks[:, None] - weeks[None, :])
    wider = math.sqrt(float(centred @ together @ centred) / float(centred @ centred))
    low = found.slope - wider * (found.slope - found.low)
    high = found.slope + wider * (found.high - found.slope)
    return found.slope, low, high, rho


def _autocorrelation(weeks: Array, rest: Array) -> float:
    """From week to week, of ranks, freed of bias; between 0 and 0.95."""
    ranks = mid_ranks(rest)
    following = np.flatnonzero(np.diff(weeks) == 1.0)
    variance = float(ranks @ ranks) / ranks.size
    if variance == 0.0 or not following.size:
        return 0.0
    raw = float(np.mean(ranks[following] * ranks[following + 1])) / variance
    return float(np.clip(raw + (2.0 + 4.0 * raw) / ranks.size, 0.0, _MOST_RHO))
