"""How often the growth that is read from a history holds the truth: `make bench-growth`."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import machine
from models.demand_growth import GrowthTrend, trend_growth
from models.errors import InvalidInput

Array = NDArray[np.float64]
RUNS, SEED, QUANTILE, MISSING = 400, 1, 0.9, 0.1
DAYS, TOGETHER = (56, 90, 180, 365, 730), (0.0, 0.5, 0.8, 0.95)
AHEAD = 365
WEEKDAYS = np.array([0.0, 0.0, 0.05, 0.0, -0.05, -0.7, -0.5])
SLOPE = 0.002
"""Of the logarithm, a day: demand doubles in a year."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """Shares of the histories."""

    refused: float
    below_high: float
    above_low: float
    width: float
    """Median of high over low, as factors of demand a year ahead."""


def autoregressive(rng: np.random.Generator, days: int, together: float, deviation: float = 0.1) -> Array:
    """Noise of a day that hangs together with the day before."""
    noise: Array = rng.normal(0.0, deviation, days)
    for day in range(1, days):
        noise[day] = together * noise[day - 1] + math.sqrt(1.0 - together**2) * noise[day]
    return noise


def held(days: int, level: Callable[[np.random.Generator], Array], together: float) -> Held:
    """Of histories whose level (logarithm, a year beyond the history too) is drawn, with noise and missing days."""
    rng = np.random.default_rng(SEED)
    found: list[tuple[bool, bool, float]] = []
    for _ in range(RUNS):
        truth = level(rng)
        totals = np.exp(truth[:days] + autoregressive(rng, days, together) + WEEKDAYS[np.arange(days) % 7])
        totals[rng.random(days) < MISSING] = np.nan
        try:
            growth = trend_growth(range(days), totals.tolist(), quantile=QUANTILE)
        except InvalidInput:
            continue
        found.append(_against(growth, float(truth[days - 1 + AHEAD] - truth[days - 1])))
    below, above, width = (np.array(column) for column in zip(*found, strict=True))
    return Held(
        refused=1.0 - len(found) / RUNS,
        below_high=float(below.mean()),
        above_low=float(above.mean()),
        width=float(np.median(width)),
    )


def _against(growth: GrowthTrend, truth: float) -> tuple[bool, bool, float]:
    low, high = (float(np.log(each.factor(AHEAD / 365.25))) for each in (growth.low, growth.high))
    return truth <= high, truth >= low, math.exp(min(high - low, 50.0))


def steady(days: int) -> Callable[[np.random.Generator], Array]:
    """One exponential trend, which is what the band is of."""
    level: Array = SLOPE * np.arange(float(days + AHEAD))
    return lambda _: level


def straight(days: int) -> Callable[[np.random.Generator], Array]:
    """As much more each day, doubled at the end of the history."""
    level: Array = np.log1p(np.arange(days + AHEAD) / days).astype(np.float64)
    return lambda _: level


def wander(days: int) -> Callable[[np.random.Generator], Array]:
    """No trend: each day the level moves by 1 %, up or down."""

    def level(rng: np.random.Generator) -> Array:
        walk: Array = np.cumsum(rng.normal(0.0, 0.01, days + AHEAD))
        return walk

    return level


def page() -> str:
    """The document."""
    lines = [
        "# Accuracy of growth read from a history",
        "",
        f"Written by `make bench-growth` on {datetime.now(UTC).date()}: {machine()}.",
        "",
        f"`models/demand_growth.py` on {RUNS} simulated histories a row, with weekdays, {MISSING:.0%} of the days",
        f"missing and noise of 10 % a day. Low and high are the quantiles {1 - QUANTILE:.1f} and {QUANTILE}: each",
        f"should hold the truth, demand {AHEAD} days later, in {QUANTILE:.0%}. The last column is high over low, as",
        "factors of demand then. Refused are histories with too few weeks of four known days. First where demand",
        "doubles each year: the band is wider than it need be, as weeks cannot exclude that the level wanders.",
        "",
        "| history, days | autocorrelation, day to day | refused | truth below high | above low | high / low |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
        *(_row(f"{days} | {rho}", held(days, steady(days), rho)) for rho in TOGETHER for days in DAYS),
        "",
        "Where demand takes no such trend; growth in a straight line is none of the logarithm, and is overestimated:",
        "",
        "| history, days | demand | refused | truth below high | above low | high / low |",
        "| ---: | --- | ---: | ---: | ---: | ---: |",
        *(_row(f"{days} | grows in a straight line", held(days, straight(days), 0.5)) for days in DAYS),
        *(_row(f"{days} | wanders by 1 % a day", held(days, wander(days), 0.5)) for days in DAYS),
    ]
    return "\n".join(lines) + "\n"


def _row(case: str, of: Held) -> str:
    width = f"{of.width:.2f}" if of.width < 100.0 else "> 100"
    return f"| {case} | {of.refused:.0%} | {of.below_high:.0%} | {of.above_low:.0%} | {width} |"


def main() -> None:
    """Print the document, or write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    target = parser.parse_args().write
    text = page()
    if target is None:
        print(text)
    else:
        target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
