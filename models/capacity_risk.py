"""Money against the risk to the objectives: what each number of GPUs costs, and how often it is not enough.

A slot is short where more GPUs are needed than there are; then the whole slot counts as a breach, and all requests that
arrive in it as touched: an upper bound of both, as the queueing model says only that the objectives do not hold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.errors import InvalidInput

Array = NDArray[np.float64]

_WHOLE = 1e-9
_SAME = 1e-12


@dataclass(frozen=True, kw_only=True)
class RiskPoint:
    """One number of GPUs, held all the time."""

    gpus: int
    cost_per_hour: float
    share_short: float
    """Of the slots whose need is known."""
    minutes_short: float
    gpu_hours_short: float
    requests_short: float
    """Requests of the slots that are short; NaN where not all of those were counted."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RiskFrontier:
    """Every number of GPUs that was asked for, ascending. Minutes and hours are those of the history."""

    gpus: NDArray[np.int64]
    cost_per_hour: Array
    share_short: Array
    gpu_hours_short: Array
    requests_short: Array
    hours: float
    """Of slots whose need is known."""
    slots_missing: int

    @property
    def minutes_short(self) -> Array:
        """Breach minutes."""
        return self.share_short * (60.0 * self.hours)

    @property
    def worthwhile(self) -> NDArray[np.bool_]:
        """Where fewer GPUs would be short more often. The others cost more for nothing."""
        return np.append(True, np.diff(self.share_short) < 0.0)

    def point(self, index: int) -> RiskPoint:
        """All figures of one number of GPUs."""
        return RiskPoint(
            gpus=int(self.gpus[index]),
            cost_per_hour=float(self.cost_per_hour[index]),
            share_short=float(self.share_short[index]),
            minutes_short=float(self.minutes_short[index]),
            gpu_hours_short=float(self.gpu_hours_short[index]),
            requests_short=float(self.requests_short[index]),
        )

    def chosen(self, cost_per_breach_minute: float) -> RiskPoint:
        """The least cost of GPUs and breaches; of several the one with the fewest breaches, then least short.

        The number of short slots need not fall ever more slowly with each GPU, so all numbers are compared.
        """
        if not 0.0 <= cost_per_breach_minute < np.inf:
            raise InvalidInput(f"what a breach minute costs must not be negative, is {cost_per_breach_minute}")
        total = self.cost_per_hour * self.hours + cost_per_breach_minute * self.minutes_short
        cheapest = np.flatnonzero(total <= total.min() * (1.0 + _SAME))
        order = np.lexsort((self.gpus[cheapest], self.gpu_hours_short[cheapest], self.share_short[cheapest]))
        return self.point(int(cheapest[order[0]]))


def risk_frontier(
    needed: ArrayLike,
    gpus: ArrayLike,
    *,
    price_per_gpu_hour: float,
    slot_s: float = 3600.0,
    requests: ArrayLike | None = None,
    committed: ArrayLike = 0.0,
    committed_cost_per_hour: ArrayLike = 0.0,
) -> RiskFrontier:
    """For each number of `gpus` what it costs and misses of the need of each slot (NaN is no data, and left out).

    `requests` are those that arrive in each slot. Of `committed` GPUs (in each slot) all are paid, whatever is held,
    with `committed_cost_per_hour` (of all of them; 0 where it is sunk); those beyond have the price.
    """
    need, arrivals = _checked(needed, requests)
    paid_for, paid = (np.broadcast_to(np.asarray(each, dtype=float), need.shape)
                      for each in (committed, committed_cost_per_hour))  # fmt: skip
    counts = np.unique(np.asarray(gpus, dtype=np.int64))
    if not (0.0 <= price_per_gpu_hour < np.inf and 0.0 < slot_s < np.inf):
        raise InvalidInput("a price must not be negative, and a slot must last some time")
    if counts.size == 0 or counts[0] < 0:
        raise InvalidInput("a frontier needs some numbers of GPUs, none of them negative")
    if not all(np.all((each >= 0.0) & (each < np.inf)) for each in (paid_for, paid)):
        raise InvalidInput("committed GPUs and what they cost must be finite and not negative")
    known = ~np.isnan(need)
    order = np.argsort(need[known], kind="stable")
    ascending, arriving = need[known][order], arrivals[known][order]
    first = np.searchsorted(ascending, counts + _WHOLE, side="right")
    short = ascending.size - first
    beyond = _sums_from(ascending)[first] - counts * short
    return RiskFrontier(
        gpus=counts,
        cost_per_hour=float(paid[known].mean()) + price_per_gpu_hour * _beyond(counts, paid_for[known]),
        share_short=short / ascending.size,
        gpu_hours_short=np.maximum(beyond, 0.0) * slot_s / 3600.0,
        requests_short=_sums_from(arriving)[first],
        hours=ascending.size * slot_s / 3600.0,
        slots_missing=int((~known).sum()),
    )


def _beyond(counts: NDArray[np.int64], committed: Array) -> Array:
    """GPUs above the committed ones, mean over the slots."""
    levels, slots = np.unique(committed, return_counts=True)
    above = np.maximum(counts[:, None] - levels[None, :], 0.0)
    mean: Array = above @ slots / committed.size
    return mean


def _checked(needed: ArrayLike, requests: ArrayLike | None) -> tuple[Array, Array]:
    need = np.asarray(needed, dtype=float)
    arrivals = np.full(need.shape, np.nan) if requests is None else np.asarray(requests, dtype=float)
    if need.ndim != 1 or need.shape != arrivals.shape:
        raise InvalidInput("needs and requests must be given for the same slots")
    if np.all(np.isnan(need)):
        raise InvalidInput("no slot tells how many GPUs were needed", remedy="give a period with history")
    if np.any(need < 0.0) or np.any(np.isinf([need, arrivals])) or np.any(arrivals < 0.0):
        raise InvalidInput("needs and requests must be finite and not negative")
    return need, arrivals


def _sums_from(values: Array) -> Array:
    """The sum of all values from each place on, and of none."""
    sums: Array = np.append(np.cumsum(values[::-1])[::-1], 0.0)
    return sums
