"""What each service's GPUs cost through the period, out of one price book; and what else they could be had for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from models.errors import InvalidInput
from planner.capacity_report.assumptions import Assumption
from planner.capacity_report.gpu_offers import Offers, offers_for
from planner.capacity_report.holes import Hole
from planner.capacity_report.period import Period
from planner.capacity_report.price_list import PriceLine, PriceList
from planner.capacity_report.priced_gpus import price_lines, require_currency
from planner.capacity_report.service_record import Accounted
from planner.fleet_file import FleetFile
from planner.price_book import PriceBook, load_prices
from planner.price_fields import Pricing
from planner.price_place import Place


@dataclass(frozen=True, kw_only=True)
class PricedPools:
    """The prices of a report."""

    book: PriceBook
    currency: str
    period: Period
    places: dict[str, Place]
    """By cluster."""
    prices: PriceList

    @property
    def assumptions(self) -> list[Assumption]:
        """What the book says of itself."""
        spec = self.book.spec
        told = [f"price book {self.book.name}, as of {spec.as_of}", *spec.notes]
        return [Assumption(topic="prices", text=text, source=self.book.name, date=str(spec.as_of)) for text in told]

    def mean_price(self, cluster: str, gpu: str) -> float | None:
        """Effective, over the period; None where it is not known all the time."""
        return _mean_price(self, cluster, gpu)

    def offers(self, cluster: str, gpu: str, on: date) -> Offers:
        """How GPUs of a type can be had in a cluster on a day."""
        return offers_for(self.book, gpu, self.place(cluster), on=on, currency=self.currency)

    def holes(self, services: Sequence[Accounted]) -> list[Hole]:
        """Why a price is not known, once a pool."""
        found = {}
        for each in services:
            for line in self.prices[each.name]:
                if line.list_price is None:
                    found[line.key] = Hole(
                        subject=line.key, what="price", text=f"{line.told}: give it in the file of --prices"
                    )
        return list(found.values())

    def place(self, cluster: str) -> Place:
        """Where a cluster is; one that the fleet does not describe may be anywhere."""
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
    return replace(pools, prices=found)


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
    shared = _pool_lines(pools.book, pools.place(cluster), cluster, gpu, pools.period, pools.currency)
    team = replace(pools.place(cluster), team=service.fields.team)
    own = _pool_lines(pools.book, team, cluster, gpu, pools.period, pools.currency)
    if own == shared:
        return shared
    return tuple(replace(line, key=f"{line.key} for {service.fields.team}") for line in own)


def _pool_lines(
    book: PriceBook, place: Place, cluster: str, gpu: str, period: Period, currency: str
) -> tuple[PriceLine, ...]:
    return price_lines(book, cluster=cluster, gpu=gpu, place=place, period=period, currency=currency)


def _mean_price(pools: PricedPools, cluster: str, gpu: str) -> float | None:
    lines = _pool_lines(pools.book, pools.place(cluster), cluster, gpu, pools.period, pools.currency)
    parts = [(each.effective, each.end_s - each.start_s) for each in lines]
    if any(price is None for price, _ in parts):
        return None
    return sum((price or 0.0) * seconds for price, seconds in parts) / sum(seconds for _, seconds in parts)
