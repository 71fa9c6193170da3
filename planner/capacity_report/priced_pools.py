"""What each service's GPUs cost through the period, out of one price book; and what else they could be had for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np

from models.errors import InvalidInput
from planner.capacity_report.assumptions import Assumption
from planner.capacity_report.commitments import Commitment, priced_commitments
from planner.capacity_report.gpu_offers import Offers, offers_for
from planner.capacity_report.history import Slots
from planner.capacity_report.period import Period
from planner.capacity_report.price_list import PriceLine, PriceList
from planner.capacity_report.priced_gpus import price_lines, require_currency
from planner.capacity_report.service_record import Accounted
from planner.exchange_rates import rate_between
from planner.fleet_file import FleetFile
from planner.price_book import PriceBook, load_prices
from planner.price_fields import Pricing
from planner.price_place import Place

_TOLD = 20
"""Unused discounts that are told one by one."""
_UNPLACED = "the fleet file does not say where cluster {} is: describe it under `clusters:`"


@dataclass(frozen=True, kw_only=True)
class PricedPools:
    """The prices of a report."""

    book: PriceBook
    currency: str
    period: Period
    places: dict[str, Place]
    """By cluster."""
    prices: PriceList
    commitments: tuple[Commitment, ...] = ()

    @property
    def assumptions(self) -> list[Assumption]:
        """What the book says of itself, and what each commitment costs."""
        spec = self.book.spec
        told = [f"price book {self.book.name}, as of {spec.as_of}", *spec.notes]
        of_book = [Assumption(topic="prices", text=text, source=self.book.name, date=str(spec.as_of)) for text in told]
        return [*of_book, *self._unused_discounts, *(each.assumption(self.currency) for each in self.commitments)]

    @property
    def _unused_discounts(self) -> list[Assumption]:
        """Discounts that hold in the period and were off nothing: a name may be mistyped."""
        first, last = self.period.start.date(), self.period.end.date()
        of_pools = (line for lines in self.prices.values() for line in lines)
        of_commitments = (line for each in self.commitments for line in each.every_line)
        used = {each for line in (*of_pools, *of_commitments) for each in line.discounts}
        unused = [each for each in self.book.spec.discounts if each not in used and each.holds_between(first, last)]
        told = [f"{each.told} was off no price of this account: are its names right?" for each in unused[:_TOLD]]
        if len(unused) > _TOLD:
            told.append(f"{len(unused) - _TOLD:,} more discounts were off no price of this account")
        return [Assumption(topic="discounts", text=text, source=self.book.name) for text in told]

    def slot_prices(self, cluster: str, gpu: str, team: str | None = None) -> Slots:
        """Effective prices of a GPU for an hour, slot by slot; NaN where it is not known."""
        found = np.full(self.period.slots, np.nan)
        for line in self.lines(cluster, gpu, team=team):
            first = max(0, self.period.slot_of(line.start_s))
            last = self.period.slot_of(line.end_s - 1.0) + 1
            found[first:last] = np.nan if line.effective is None else line.effective
        return found

    def gpus_at(self, cluster: str) -> list[str]:
        """GPU types that have a price in a cluster through the period, the cheapest first."""
        prices = {gpu: self.slot_prices(cluster, gpu) for gpu in {row.gpu for row in self.book.rows}}
        known = {gpu: float(each.mean()) for gpu, each in prices.items() if not np.any(np.isnan(each))}
        return sorted(known, key=lambda gpu: (known[gpu], gpu))

    @property
    def breach_minute_rate(self) -> float | None:
        """From the price book's currency, in which the fleet file says what breaches cost, to the report's."""
        ours = self.book.spec.currency
        if ours == self.currency:
            return 1.0
        rate = rate_between(self.book.spec.exchange_rates, ours, self.currency)
        return None if rate is None else float(rate.factor)

    def lines(
        self,
        cluster: str,
        gpu: str,
        *,
        team: str | None = None,
        pricing: Pricing | None = None,
        term_years: int | None = None,
    ) -> tuple[PriceLine, ...]:
        """The prices of a GPU type in a cluster, for a team, through the period; or those of certain terms."""
        if not self._is_placed(cluster, gpu):
            return (_unplaced(cluster, gpu, self.period),)
        place = replace(self.place(cluster), team=team)
        return price_lines(
            self.book,
            cluster=cluster,
            gpu=gpu,
            place=place if pricing is None else replace(place, pricing=(pricing,)),
            period=self.period,
            currency=self.currency,
            term_years=term_years,
        )

    def _is_placed(self, cluster: str, gpu: str) -> bool:
        """Whether the fleet file says where a cluster is, or the price book has prices of that very cluster."""
        return cluster in self.places or any(row.cluster == cluster for row in self.book.rows_of(gpu))

    def offers(self, cluster: str, gpu: str, on: date, *, team: str | None = None) -> Offers:
        """How GPUs of a type can be had in a cluster on a day, by anybody or by a team."""
        if not self._is_placed(cluster, gpu):
            return Offers(found=(), holes=(_UNPLACED.format(cluster),))
        return offers_for(self.book, gpu, replace(self.place(cluster), team=team), on=on, currency=self.currency)

    def place(self, cluster: str) -> Place:
        """Where a cluster is."""
        return self.places.get(cluster) or Place(cluster=cluster)


def priced_pools(
    fleet: FleetFile, services: Sequence[Accounted], period: Period, *, prices: Path | None, currency: str | None
) -> PricedPools:
    """The prices of every service. Raises InvalidInput for what a file says wrong; a missing price is a hole."""
    book = load_prices(prices)
    places = {name: _place(name, fleet) for name in fleet.clusters}
    pools = PricedPools(
        book=book,
        currency=require_currency(currency or book.spec.currency),
        period=period,
        places=places,
        prices={},
    )
    found = {each.name: _lines(pools, each) for each in services}
    return replace(pools, prices=found, commitments=priced_commitments(fleet.commitments, pools, services))


def _place(name: str, fleet: FleetFile) -> Place:
    fields = fleet.clusters[name]
    try:
        pricing = tuple(Pricing(kind) for kind in fields.pricing)
    except ValueError:
        raise InvalidInput(
            f"cluster {name!r}: pricing {', '.join(fields.pricing)[:60]!r} is not known",
            remedy=f"use {', '.join(kind.value for kind in Pricing)}",
        ) from None
    return Place(cloud=fields.cloud, region=fields.region, cluster=name, pricing=pricing or (Pricing.ON_DEMAND,))


def _lines(pools: PricedPools, service: Accounted) -> tuple[PriceLine, ...]:
    """A team's own discounts make a line of its own; else the pool's is shared."""
    cluster, gpu = service.pool
    shared, own = pools.lines(cluster, gpu), pools.lines(cluster, gpu, team=service.fields.team)
    if own == shared:
        return shared
    return tuple(replace(line, key=f"{line.key} for {service.fields.team}") for line in own)


def _unplaced(cluster: str, gpu: str, period: Period) -> PriceLine:
    """Without a price where nobody says in which cloud a cluster is: the cheapest of all would be a guess."""
    return PriceLine(
        key=f"{cluster}/{gpu}",
        cluster=cluster,
        gpu=gpu,
        start_s=period.start_s,
        end_s=period.end_s,
        list_price=None,
        discount=0.0,
        pricing="",
        told=_UNPLACED.format(cluster),
    )
