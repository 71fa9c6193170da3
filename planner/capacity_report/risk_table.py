"""Money against the risk to the objectives: what each number of GPUs would have cost and missed in the period."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from models.capacity_risk import RiskFrontier
from planner.capacity_report.commitments import Commitment
from planner.capacity_report.document import Column, Kind, Table, rows_of
from planner.capacity_report.held_costs import HeldCosts, held_costs
from planner.capacity_report.period import Period
from planner.capacity_report.pools import Pool
from planner.capacity_report.what_if import PricesOf

LEVELS = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0)
"""Shares of the slots in which the GPUs are enough."""
_COLUMNS = (
    Column(key="pool", title="Pool"),
    Column(key="level", title="GPUs enough in", kind=Kind.SHARE, meaning="share of the slots"),
    Column(key="gpus", title="GPUs", kind=Kind.COUNT, meaning="held all the time"),
    Column(key="cost", title="Cost", kind=Kind.MONEY,
           meaning="over the hours of known need: all that is committed at its price, held or not, and GPUs beyond at "
                   "the mean price"),
    Column(key="breach_minutes", title="Breach minutes", kind=Kind.MINUTES,
           meaning="of the slots that need more: an upper bound"),
    Column(key="shortfall_gpu_h", title="Short GPU-h", kind=Kind.GPU_HOURS),
    Column(key="requests_short", title="Requests in short slots", kind=Kind.COUNT),
    Column(key="chosen", title="Cheapest with breaches",
           meaning="where cost and what breach minutes are worth come to the least"),
)  # fmt: skip


def risk_table(
    pools: Sequence[Pool],
    period: Period,
    prices_of: PricesOf,
    *,
    commitments: Sequence[Commitment] = (),
    breach_minute_cost: float | None,
) -> Table:
    """A row for each pool and level."""
    rows = [
        row
        for pool in pools
        if pool.known
        for row in _rows(pool, period, held_costs(pool, period, prices_of, commitments), breach_minute_cost)
    ]
    note = (
        "Of GPUs held all the time, without an autoscaler, over the slots whose need is known; what breaches are worth "
        "is stated in the fleet file. What is committed is paid whatever is held: fewer GPUs cost as much. A "
        "commitment whose price is not known is sunk, and in no cost here. At the prices of the report: these figures "
        "do not follow a change of the table of prices."
    )
    return Table(name="risk", title="Money against risk", columns=_COLUMNS, rows=rows_of(_COLUMNS, rows), note=note)


def _rows(pool: Pool, period: Period, costs: HeldCosts, worth: float | None) -> list[dict[str, Any]]:
    needed = pool.needed
    known = np.sort(needed[~np.isnan(needed)])
    counts = [math.ceil(known[max(0, math.ceil(level * len(known)) - 1)] - 1e-9) for level in LEVELS]
    levels: dict[int, float] = {}
    for level, gpus in zip(LEVELS, counts, strict=True):
        levels.setdefault(gpus, level)
    chosen = _chosen(pool, period, costs, worth)
    if chosen is not None:
        levels.setdefault(chosen, float(np.mean(known <= chosen + 1e-9)))
    frontier = costs.frontier(pool, period, list(levels))
    return [_row(pool, frontier, gpus, levels[gpus], costs, chosen) for gpus in sorted(levels)]


def _chosen(pool: Pool, period: Period, costs: HeldCosts, worth: float | None) -> int | None:
    if worth is None or costs.price is None:
        return None
    every = range(math.ceil(np.nanmax(pool.needed)) + 1)
    return costs.frontier(pool, period, list(every)).chosen(worth).gpus


def _row(
    pool: Pool, frontier: RiskFrontier, gpus: int, level: float, costs: HeldCosts, chosen: int | None
) -> dict[str, Any]:
    point = frontier.point(int(np.searchsorted(frontier.gpus, gpus)))
    return {
        "pool": pool.name,
        "level": level,
        "gpus": gpus,
        "cost": point.cost_per_hour * frontier.hours if costs.known_at(gpus) else None,
        "breach_minutes": point.minutes_short,
        "shortfall_gpu_h": point.gpu_hours_short,
        "requests_short": None if math.isnan(point.requests_short) else point.requests_short,
        "chosen": "yes" if gpus == chosen else "",
    }
