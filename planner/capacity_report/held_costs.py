"""What numbers of GPUs would have cost a pool in the period, beside what is paid for its commitments anyway."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.capacity_risk import RiskFrontier, risk_frontier
from planner.capacity_report.commitments import Commitment
from planner.capacity_report.history import Slots
from planner.capacity_report.period import Period
from planner.capacity_report.pool_offers import slot_prices
from planner.capacity_report.pools import Pool
from planner.capacity_report.what_if import PricesOf


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldCosts:
    """What GPUs of a pool cost in the period."""

    price: float | None
    """Of one beside the commitments."""
    committed: Slots
    """GPUs in each slot."""
    committed_per_h: Slots
    """What all those cost."""

    def frontier(self, pool: Pool, period: Period, counts: Sequence[int]) -> RiskFrontier:
        """At each number."""
        return risk_frontier(
            pool.needed, counts, price_per_gpu_hour=self.price or 0.0, slot_s=float(period.slot_s),
            requests=pool.requests, committed=self.committed, committed_cost_per_hour=self.committed_per_h,
        )  # fmt: skip

    def known_at(self, gpus: int) -> bool:
        """Whether what so many cost is known."""
        return self.price is not None or gpus <= self.committed.min()


def held_costs(pool: Pool, period: Period, prices_of: PricesOf, commitments: Sequence[Commitment]) -> HeldCosts:
    """The price is the mean over the slots whose need is known; None where one of them has none."""
    mean = float(slot_prices(prices_of, pool)[~np.isnan(pool.needed)].mean())
    gpus, cost = np.zeros(pool.covered), np.zeros(pool.covered)
    for each in commitments:
        if each.pool == (pool.cluster, pool.gpu):
            held = each.in_slots(period, pool.covered)
            gpus += held
            cost += held * _paid(each, period, pool.covered)
    return HeldCosts(price=None if math.isnan(mean) else mean, committed=gpus, committed_per_h=cost)


def _paid(commitment: Commitment, period: Period, covered: int) -> Slots:
    """For one GPU of a commitment in each slot, 0 where it is not known."""
    paid = np.zeros(covered)
    for line in commitment.lines:
        first, last = max(0, period.slot_of(line.start_s)), period.slot_of(line.end_s - 1.0) + 1
        paid[first:last] = line.effective or 0.0
    return paid
