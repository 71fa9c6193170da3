"""The need of a pool: of all services that share a GPU type in a cluster, as one load to buy for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from models.demand_scenario import DAYS_PER_YEAR, DemandScenario
from models.need_curve import NeedAt, need_of_demand, need_together, raised_to_the_end
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
    """Services whose need is known in less than half of the slots."""
    covered: int

    @property
    def name(self) -> str:
        """For a reader."""
        return f"{self.cluster}/{self.gpu}"

    @property
    def replica_sizes(self) -> list[int]:
        """GPUs of a replica, every number that there is."""
        return sorted({each.accounted.profile.spec.gpu.per_replica for each in self.records})

    @property
    def known(self) -> bool:
        """Whether any slot tells what was needed."""
        return bool(self.records) and not bool(np.all(np.isnan(self.needed)))

    @property
    def needed(self) -> Slots:
        """GPUs needed in each slot, minimum replicas included.

        NaN where the need of a service is not known: what is left would be too little.
        """
        return _sum([np.maximum(each.use.needed[: self.covered], _floor(each)) for each in self.records])

    @property
    def team_shares(self) -> dict[str, float]:
        """Of the GPU-hours that are needed; alike where none are."""
        hours: dict[str, float] = {}
        for each in self.records:
            needed = float(np.nansum(np.maximum(each.use.needed[: self.covered], _floor(each))))
            hours[each.accounted.fields.team] = hours.get(each.accounted.fields.team, 0.0) + needed
        total = sum(hours.values())
        return {team: needed / total if total else 1.0 / len(hours) for team, needed in hours.items()}

    def history_ends(self, period: Period) -> date:
        """The first day of which nothing is known."""
        return period.moment(self.covered).date()

    def recent(self, period: Period) -> slice:
        """The slots that demand as it is now is taken from: the last four weeks.

        The whole period where that is shorter, or where less than half of those slots are known.
        """
        first = max(0, self.covered - RECENT_DAYS * 86_400 // period.slot_s)
        known = np.mean(~np.isnan(self.needed[first:])) >= LEAST_KNOWN
        return slice(first if known else 0, self.covered)

    def need_at(self, trend: DemandScenario | None, period: Period) -> NeedAt:
        """The need at demand as it is at the period's end, times a factor: what scenarios start from.

        With a trend of the period, all its slots, raised to the end along it. Without one the recent slots as they were
        measured: growth that somebody states is of the future, and says nothing of the past.
        """
        if trend is None:
            return need_together([_need_of(each, each.rate_per_s, self.recent(period)) for each in self.records])
        middles_s = 0.5 * (period.edges_s[: self.covered] + period.edges_s[1 : self.covered + 1])
        years = (period.edges_s[self.covered] - middles_s) / (DAYS_PER_YEAR * 86_400.0)
        every = slice(0, self.covered)
        return need_together(
            [_need_of(each, raised_to_the_end(each.rate_per_s[every], years, trend), every) for each in self.records]
        )

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


def _floor(record: ServiceRecord) -> float:
    """GPUs of the least replicas."""
    return float(record.accounted.fields.min_replicas * record.accounted.profile.spec.gpu.per_replica)


def _need_of(record: ServiceRecord, rates_per_s: Slots, slots: slice) -> NeedAt:
    """At rates of some slots; where a measurement contradicts the model, by as much as it does at the measured rate."""
    curve, per_replica = record.curve, record.accounted.profile.spec.gpu.per_replica
    measured = record.use.needed[slots]
    if curve is None:  # nothing arrived, where its need is known at all
        return lambda _: np.maximum(measured, _floor(record))
    modelled = need_of_demand(rates_per_s[slots], lambda rate: curve.replicas(rate) * per_replica)
    less = np.nan_to_num(curve.replicas(record.rate_per_s[slots]) * per_replica - measured)
    return lambda factor: np.maximum(np.asarray(modelled(factor)) - less, _floor(record))


RECENT_DAYS = 28
"""Whole weeks, so that each weekday counts alike."""
LEAST_KNOWN = 0.5
"""Share of the slots: a service that is known less is left out, else the whole pool would be known as little."""


def _known_share(record: ServiceRecord, covered: int) -> float:
    return float(np.mean(~np.isnan(record.use.needed[:covered])))


def pools_of(records: Sequence[ServiceRecord], *, covered: int) -> list[Pool]:
    """Every pool, in order of its name."""
    found: dict[tuple[str, str], list[ServiceRecord]] = {}
    for each in records:
        found.setdefault(each.accounted.pool, []).append(each)
    pools = []
    for (cluster, gpu), members in sorted(found.items()):
        known = tuple(each for each in members if _known_share(each, covered) >= LEAST_KNOWN)
        left_out = tuple(each.accounted.name for each in members if each not in known)
        pools.append(Pool(cluster=cluster, gpu=gpu, records=known, left_out=left_out, covered=covered))
    return pools
