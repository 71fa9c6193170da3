"""One row of a price book, whatever it was stated as: a list price, a reservation, or GPUs of one's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise

from planner.owned_gpus import OwnedCost, OwnedGpus
from planner.price_fields import Price, Pricing, Upfront
from planner.price_place import Place, same


@dataclass(frozen=True, kw_only=True)
class PriceRow:
    """What a GPU costs for an hour there, on these terms, from a day to another."""

    where: tuple[str | int, ...]
    """Its place in the file."""
    gpu: str
    cloud: str
    region: str | None
    cluster: str | None
    pricing: Pricing
    amount: Decimal | None
    """None where it is known to be unknown."""
    currency: str
    instance: str | None = None
    term_years: int | None = None
    upfront: Upfront | None = None
    upfront_share: Decimal = Decimal(0)
    """Of the whole price of the term, what is paid when it begins."""
    from_day: date | None = None
    until: date | None = None
    as_of: str
    source: str
    note: str | None = None
    owned: OwnedCost | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """Of rows with one key only one may hold on a day."""
        names = (self.gpu, self.cloud, self.region, self.cluster, self.instance)
        return *(name and name.lower() for name in names), self.pricing, self.term_years, self.upfront

    @property
    def place(self) -> str:
        """In words."""
        return " ".join(word for word in (self.cloud, self.region, self.cluster, self.instance) if word)

    @property
    def days(self) -> str:
        """From when to when, in words."""
        stated = (("from", self.from_day), ("until", self.until))
        return " ".join(f"{word} {day}" for word, day in stated if day) or "at all times"

    @property
    def told(self) -> str:
        """Its terms, place, date and source."""
        term = f" {self.term_years} y" if self.term_years else ""
        upfront = f" {self.upfront.value} upfront" if self.upfront else ""
        parts = f" ({self.owned})" if self.owned else ""
        dates = f", {self.days}" if self.from_day or self.until else ""
        return f"{self.pricing.value}{term}{upfront}{parts}, {self.place}{dates}, as of {self.as_of} ({self.source})"

    def holds_on(self, day: date | None) -> bool:
        """Whether it does on a day; every row does where no day is asked for."""
        return day is None or (
            (self.from_day is None or self.from_day <= day) and (self.until is None or day < self.until)
        )

    def is_at(self, place: Place) -> bool:
        """Whether it is a price there; a row that names no region or cluster is one in all of them."""
        return (
            same(place.cloud, self.cloud)
            and (self.region is None or same(place.region, self.region))
            and (self.cluster is None or same(place.cluster, self.cluster))
        )

    def exactness(self, place: Place) -> tuple[bool, bool]:
        """How much of what is asked for it names: a row of the very cluster or region goes before a general one."""
        return (
            place.cluster is not None and self.cluster is not None,
            place.region is not None and self.region is not None,
        )


def of_price(price: Price, where: tuple[str | int, ...], currency: str) -> PriceRow:
    """The row of a stated price."""
    stated, own = price.usd_per_gpu_hour, price.per_gpu_hour
    amount = own if stated is None else stated
    share = {Upfront.ALL: Decimal(1), Upfront.PARTIAL: Decimal(repr(price.upfront_percent or 0.0)) / 100}
    return PriceRow(
        where=where,
        gpu=price.gpu,
        cloud=price.cloud,
        region=price.region,
        cluster=price.cluster,
        pricing=price.pricing,
        amount=None if amount is None else Decimal(repr(amount)),
        currency=currency if stated is None else "USD",
        instance=price.instance,
        term_years=price.term_years,
        upfront=price.upfront,
        upfront_share=share.get(price.upfront, Decimal(0)) if price.upfront else Decimal(0),
        from_day=price.from_day,
        until=price.until,
        as_of=price.as_of,
        source=price.source,
        note=price.note,
    )


def of_owned(owned: OwnedGpus, where: tuple[str | int, ...], currency: str) -> PriceRow:
    """The row of GPUs of one's own."""
    cost = owned.cost
    return PriceRow(
        where=where,
        gpu=owned.gpu,
        cloud=owned.cloud,
        region=owned.region,
        cluster=owned.cluster,
        pricing=Pricing.OWNED,
        amount=cost.per_gpu_hour,
        currency=currency,
        from_day=owned.from_day,
        until=owned.until,
        as_of=owned.as_of,
        source=owned.source,
        note=owned.note,
        owned=cost,
    )


def clashes(rows: Sequence[PriceRow]) -> Iterator[tuple[PriceRow, PriceRow]]:
    """Pairs of one key that hold on the same day; in order of their first day, neighbours overlap if any do."""
    by_key: dict[tuple[object, ...], list[PriceRow]] = {}
    for row in rows:
        by_key.setdefault(row.key, []).append(row)
    for alike in by_key.values():
        alike.sort(key=lambda row: row.from_day or date.min)
        yield from ((one, other) for one, other in pairwise(alike) if _overlap(one, other))


def _overlap(one: PriceRow, other: PriceRow) -> bool:
    return (one.from_day or date.min) < (other.until or date.max) and (other.from_day or date.min) < (
        one.until or date.max
    )
