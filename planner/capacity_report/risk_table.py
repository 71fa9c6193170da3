"""Money against the risk to the objectives: what each number of GPUs would have cost and missed in the period."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from models.capacity_risk import RiskFrontier, risk_frontier
from planner.capacity_report.document import Column, Kind, Table, rows_of
from planner.capacity_report.period import Period
from planner.capacity_report.pools import Pool
from planner.capacity_report.what_if import PricesOf

LEVELS = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0)
"""Shares of the slots in which the GPUs are enough."""
_COLUMNS = (
    Column(key="pool", title="Pool"),
    Column(key="level", title="GPUs enough in", kind=Kind.SHARE, meaning="share of the slots"),
    Column(key="gpus", title="GPUs", kind=Kind.COUNT, meaning="held all the time"),
    Column(key="cost", title="Cost", kind=Kind.MONEY, meaning="GPUs × hours of known need × mean price of these"),
    Column(key="breach_minutes", title="Breach minutes", kind=Kind.MINUTES,
           meaning="of the slots that need more: an upper bound"),
    Column(key="shortfall_gpu_h", title="Short GPU-h", kind=Kind.GPU_HOURS),
    Column(key="requests_short", title="Requests in short slots", kind=Kind.COUNT),
    Column(key="chosen", title="Cheapest with breaches",
           meaning="where cost and what breach minutes are worth come to the least"),
)  # fmt: skip


def risk_table(
    pools: Sequence[Pool], period: Period, prices_of: PricesOf, *, breach_minute_cost: float | None
) -> Table:
    """A row for each pool and level."""
    rows = [
        row
        for pool in pools
        if pool.known
        for row in _rows(pool, period, _mean_price(pool, prices_of), breach_minute_cost)
    ]
    note = (
        "Of GPUs held all the time, without an autoscaler, over the slots whose need is known; what breaches are worth "
        "is stated in the fleet file. At the prices of the report: these figures do not follow a change of the table "
        "of prices."
    )
    return Table(name="risk", title="Money against risk", columns=_COLUMNS, rows=rows_of(_COLUMNS, rows), note=note)


def _mean_price(pool: Pool, prices_of: PricesOf) -> float | None:
    """Over the slots whose need is known; None where one of them has no price."""
    prices = prices_of(pool.cluster, pool.gpu, None)[: pool.covered][~np.isnan(pool.needed)]
    mean = float(prices.mean())
    return None if math.isnan(mean) else mean


def _rows(pool: Pool, period: Period, price: float | None, worth: float | None) -> list[dict[str, Any]]:
    needed = pool.needed
    known = np.sort(needed[~np.isnan(needed)])
    counts = [math.ceil(known[max(0, math.ceil(level * len(known)) - 1)] - 1e-9) for level in LEVELS]
    frontier = risk_frontier(
        needed, counts, price_per_gpu_hour=price or 0.0, slot_s=float(period.slot_s), requests=pool.requests
    )
    chosen = _chosen(needed, pool, period, price, worth)
    rows, told = [], set()
    for level, gpus in zip(LEVELS, counts, strict=True):
        if gpus in told:
            continue
        told.add(gpus)
        rows.append(_row(pool, frontier, gpus, level, price, chosen))
    if chosen is not None and chosen not in told:
        exact = risk_frontier(needed, [chosen], price_per_gpu_hour=price or 0.0, slot_s=float(period.slot_s),
                              requests=pool.requests)  # fmt: skip
        rows.append(_row(pool, exact, chosen, float(np.mean(known <= chosen + 1e-9)), price, chosen))
    return sorted(rows, key=lambda row: float(row["gpus"]))


def _chosen(needed: np.ndarray, pool: Pool, period: Period, price: float | None, worth: float | None) -> int | None:
    if worth is None or price is None:
        return None
    every = range(math.ceil(np.nanmax(needed)) + 1)
    frontier = risk_frontier(
        needed, list(every), price_per_gpu_hour=price, slot_s=float(period.slot_s), requests=pool.requests
    )
    return frontier.chosen(worth).gpus


def _row(
    pool: Pool, frontier: RiskFrontier, gpus: int, level: float, price: float | None, chosen: int | None
) -> dict[str, Any]:
    point = frontier.point(int(np.searchsorted(frontier.gpus, gpus)))
    return {
        "pool": pool.name,
        "level": level,
        "gpus": gpus,
        "cost": None if price is None else point.cost_per_hour * frontier.hours,
        "breach_minutes": point.minutes_short,
        "shortfall_gpu_h": point.gpu_hours_short,
        "requests_short": None if math.isnan(point.requests_short) else point.requests_short,
        "chosen": "yes" if gpus == chosen else "",
    }
