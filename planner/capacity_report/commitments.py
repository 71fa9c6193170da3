"""What is bought already, and what it costs: commitments of the fleet file with their prices through the period."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

from planner.capacity_report.assumptions import Assumption
from planner.capacity_report.history import Slots
from planner.capacity_report.ledger import iso
from planner.capacity_report.period import Period
from planner.capacity_report.price_list import PriceLine
from planner.capacity_report.service_record import Accounted
from planner.exchange_rates import missing_rate, rate_between
from planner.fleet_file import CommitmentFields
from planner.price_fields import Pricing

if TYPE_CHECKING:
    from planner.capacity_report.priced_pools import PricedPools

_PAID = (Pricing.RESERVED.value, Pricing.OWNED.value)
"""Terms on which GPUs are paid whether they are held or not."""
_NO_PRICE = "the fleet file does not say what this commitment costs: give perGpuHour, or pricing (reserved, owned)"


@dataclass(frozen=True, kw_only=True)
class Commitment:
    """GPUs of one pool that are paid whether somebody holds them or not."""

    name: str
    cluster: str
    gpu: str
    gpus: int
    until: date
    until_s: float
    """The first moment without them, at midnight of the report's time zone."""
    lines: tuple[PriceLine, ...]
    """Its prices, from the period's start until it ends or the period does."""
    of_teams: Mapping[str, tuple[PriceLine, ...]] = field(default_factory=dict)
    """The same for teams that have discounts of their own on them."""

    @property
    def pool(self) -> tuple[str, str]:
        """Cluster and GPU type."""
        return self.cluster, self.gpu

    def lines_of(self, team: str) -> tuple[PriceLine, ...]:
        """Its prices for what a team holds of it."""
        return self.of_teams.get(team, self.lines)

    @property
    def every_line(self) -> tuple[PriceLine, ...]:
        """Its prices and those for teams."""
        return *self.lines, *(line for lines in self.of_teams.values() for line in lines)

    def in_slots(self, period: Period, covered: int) -> Slots:
        """Its GPUs in each slot."""
        return np.where(np.arange(covered) < period.slot_of(self.until_s), float(self.gpus), 0.0)

    def assumption(self, currency: str) -> Assumption:
        """How many, until when, at which price, and who says so."""
        prices = [
            "a price that is not known (what services hold of them is paid at the pool's price, what nobody holds is "
            "in no cost)"
            if line.effective is None
            else f"{line.effective:,.6g} {currency} a GPU-hour"
            for line in self.lines
        ]
        later = "".join(f", from {iso(line.start_s)} {price}" for line, price in zip(self.lines, prices, strict=True))
        at = prices[0] if len(prices) == 1 else later.removeprefix(", ")
        teams = f"; its own discounts off for {', '.join(sorted(self.of_teams))}" if self.of_teams else ""
        return Assumption(
            topic="commitment",
            subject=self.name,
            text=f"{self.gpus:,} GPUs until {self.until}, paid whether held or not, at {at}{teams}",
            source="; ".join(dict.fromkeys(line.told for line in self.lines)),
        )


def priced_commitments(
    fields: Sequence[CommitmentFields], pools: PricedPools, services: Sequence[Accounted]
) -> tuple[Commitment, ...]:
    """Those that have not ended before the period. Names of GPU types are as profiles of the services write them."""
    as_written = {each.gpu.lower(): each.gpu for each in services}
    count: Counter[tuple[str, str]] = Counter()
    found = []
    for each in fields:
        gpu = as_written.get(each.gpu.lower(), each.gpu)
        count[each.cluster, gpu] += 1
        name = f"{each.cluster}/{gpu} commitment {count[each.cluster, gpu]}"
        until_s = datetime.combine(each.until, time(), ZoneInfo(pools.period.time_zone)).timestamp()
        if until_s > pools.period.start_s:
            teams = sorted({service.fields.team for service in services if service.pool == (each.cluster, gpu)})
            found.append(
                Commitment(
                    name=name, cluster=each.cluster, gpu=gpu, gpus=each.gpus, until=each.until, until_s=until_s,
                    lines=tuple(_named(_lines(each, gpu, pools), name, until_s)),
                    of_teams=dict(_of_teams(each, gpu, pools, teams, name, until_s)),
                )
            )  # fmt: skip
    return tuple(found)


def _of_teams(
    fields: CommitmentFields, gpu: str, pools: PricedPools, teams: Iterable[str], name: str, until_s: float
) -> Iterator[tuple[str, tuple[PriceLine, ...]]]:
    """Where a team's own discounts make other prices."""
    shared = _lines(fields, gpu, pools)
    for team in teams:
        own = _lines(fields, gpu, pools, team)
        if own != shared:
            yield team, tuple(_named(own, name, until_s, f" for {team}"))


def _named(lines: Sequence[PriceLine], name: str, until_s: float, whose: str = "") -> Iterable[PriceLine]:
    kept = [line for line in lines if line.start_s < until_s]
    for at, line in enumerate(kept, start=1):
        key = name if len(kept) == 1 else f"{name}/{at}"
        yield replace(line, key=key + whose, end_s=min(line.end_s, until_s), commitment=name)


def _lines(fields: CommitmentFields, gpu: str, pools: PricedPools, team: str | None = None) -> Sequence[PriceLine]:
    """As the fleet file says, to every team; else of the book; else what the pool pays, where that is on such terms."""
    if fields.per_gpu_hour is not None:
        return _stated(fields, fields.per_gpu_hour, gpu, pools)
    if fields.pricing is not None:
        terms = Pricing(fields.pricing)
        return pools.lines(fields.cluster, gpu, team=team, pricing=terms, term_years=fields.term_years)
    of_pool = pools.lines(fields.cluster, gpu, team=team)
    return [
        line
        if line.pricing in _PAID
        else replace(line, list_price=None, discount=0.0, pricing="", told=_NO_PRICE, discounts=frozenset())
        for line in of_pool
    ]


def _stated(fields: CommitmentFields, amount: float, gpu: str, pools: PricedPools) -> list[PriceLine]:
    """One price, cut where the price on demand that is told beside it changes."""
    spec, place = pools.book.spec, pools.place(fields.cluster)
    rate = rate_between(spec.exchange_rates, spec.currency, pools.currency)
    known = spec.currency == pools.currency or rate is not None
    factor = Decimal(1) if rate is None else rate.factor
    said = f"{amount:g} {spec.currency}, as the fleet file says"
    line = PriceLine(
        key="",
        cluster=fields.cluster,
        gpu=gpu,
        start_s=pools.period.start_s,
        end_s=pools.period.end_s,
        list_price=float(Decimal(repr(amount)) * factor) if known else None,
        discount=0.0,
        pricing=fields.pricing or (Pricing.OWNED if place.pricing[0] is Pricing.OWNED else Pricing.RESERVED).value,
        told=said + (f"; {rate}" if rate else ""),
        cloud=place.cloud or "",
        region=place.region or "",
        term_years=fields.term_years,
    )
    if not known:
        told = f"{said}; {missing_rate(spec.exchange_rates, spec.currency, pools.currency)}"
        return [replace(line, pricing="", told=told)]
    if line.pricing == Pricing.OWNED:
        return [line]
    beside = pools.lines(fields.cluster, gpu, pricing=Pricing.ON_DEMAND)
    cuts = groupby(beside, key=lambda each: (each.list_price, each.effective))
    found = []
    for (list_price, price), same in cuts:
        first, *more = same
        end_s = (more or [first])[-1].end_s
        known_beside = {"on_demand_list_price": list_price, "on_demand_price": price}
        off = first.discounts.union(*(each.discounts for each in more))
        found.append(replace(line, start_s=first.start_s, end_s=end_s, discounts=off, **known_beside))
    return found
