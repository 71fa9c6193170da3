"""The need of a pool: of all services that share a GPU type in a cluster, as one load to buy for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planner.capacity_report.history import Slots
from planner.capacity_report.period import Period
from planner.capacity_report.service_record import ServiceRecord


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """Services of one cluster and GPU type whose need is known, over the slots that are over."""

    cluster: str
    gpu: str
    records: tuple[ServiceRecord, ...]
    left_out: tuple[str, ...]
    """Services whose need is not known at all."""
    covered: int

    @property
    def name(self) -> str:
        """For a reader."""
        return f"{self.cluster}/{self.gpu}"

    @property
    def known(self) -> bool:
        """Whether any slot tells what was needed."""
        return bool(self.records) and not bool(np.all(np.isnan(self.needed(1.0))))

    def needed(self, factor: float) -> Slots:
        """GPUs needed in each slot were demand so many times as large, minimum replicas included.

        NaN where the need of a service is not known: what is left would be too little.
        """
        return _sum([_needed(each, factor, self.covered) for each in self.records])

    @property
    def requests(self) -> Slots:
        """Arrivals in each slot."""
        return _sum([each.history.requests[: self.covered] for each in self.records])

    @property
    def allocated(self) -> Slots:
        """GPUs held in each slot."""
        return _sum([each.use.allocated[: self.covered] for each in self.records])

    def daily_requests(self, period: Period) -> tuple[list[int], list[float]]:
        """Running numbers of whole days and their arrivals; NaN for a day with an unknown slot."""
        arrivals = self.requests
        days, totals = [], []
        for day, first, last in period.days:
            if last <= self.covered:
                days.append(day.toordinal())
                totals.append(float(arrivals[first:last].sum()))
        return days, totals


def _sum(each: Sequence[Slots]) -> Slots:
    """NaN where one of them is."""
    total: Slots = np.sum(each, axis=0, dtype=float)
    return total


def _needed(record: ServiceRecord, factor: float, covered: int) -> Slots:
    per_replica = record.accounted.profile.spec.gpu.per_replica
    floor = float(record.accounted.fields.min_replicas * per_replica)
    if factor == 1.0 or record.curve is None:
        found = record.use.needed[:covered]
    else:
        found = record.curve.replicas(record.rate_per_s[:covered] * factor) * per_replica
    return np.maximum(found, floor)  # NaN stays


def pools_of(records: Sequence[ServiceRecord], *, covered: int) -> list[Pool]:
    """Every pool, in order of its name."""
    found: dict[tuple[str, str], list[ServiceRecord]] = {}
    for each in records:
        found.setdefault(each.accounted.pool, []).append(each)
    pools = []
    for (cluster, gpu), members in sorted(found.items()):
        known = tuple(each for each in members if not np.all(np.isnan(each.use.needed[:covered])))
        left_out = tuple(each.accounted.name for each in members if each not in known)
        pools.append(Pool(cluster=cluster, gpu=gpu, records=known, left_out=left_out, covered=covered))
    return pools
