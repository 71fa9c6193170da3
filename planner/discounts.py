"""Discounts that the price book states: of whom and what, from when to when, and how several come together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum

from planner.price_fields import Dated, Percent, Pricing, Source, Word
from planner.price_place import Place, same


class Combination(StrEnum):
    """How several discounts on one price come together."""

    COMPOUND = "compound"
    """Each is taken of what the others leave; their order does not matter."""
    LARGEST = "largest"
    """The largest alone counts."""


class Discount(Dated):
    """A share off the list price, of everything that its other fields do not exclude."""

    percent: Percent
    cloud: Word | None = None
    region: Word | None = None
    gpu: Word | None = None
    pricing: Pricing | None = None
    team: Word | None = None
    cluster: Word | None = None
    source: Source

    @property
    def fraction(self) -> Decimal:
        """Of the list price."""
        return Decimal(repr(self.percent)) / 100

    @property
    def told(self) -> str:
        """What it is off, in words, and who says so."""
        named = ("cloud", "region", "cluster", "gpu", "pricing", "team")
        of_what = [f"{name} {value}" for name in named if (value := getattr(self, name)) is not None]
        return f"{self.percent:g} % off {', '.join(of_what) or 'everything'} ({self.source})"

    def holds_on(self, day: date) -> bool:
        """Whether it does on a day."""
        return (self.from_day is None or self.from_day <= day) and (self.until is None or day < self.until)

    def holds_between(self, first: date, end: date) -> bool:
        """Whether it does on one of the days at least, the end's left out."""
        return (self.from_day is None or self.from_day < end) and (self.until is None or first < self.until)

    def is_of(self, *, gpu: str, cloud: str, region: str | None, pricing: Pricing, place: Place) -> bool:
        """Whether it is one of a price at a place: all that it names is so."""
        return (
            same(self.gpu, gpu)
            and same(self.cloud, cloud)
            and same(self.region, region)
            and same(self.team, place.team)
            and same(self.cluster, place.cluster)
            and self.pricing in {None, pricing}
        )


def combined(discounts: Sequence[Discount], how: Combination) -> Decimal:
    """The share of the list price that all of them take off together."""
    if how is Combination.LARGEST:
        return max((each.fraction for each in discounts), default=Decimal(0))
    left = Decimal(1)
    for each in sorted(discounts, key=lambda each: each.fraction):  # in one order, so that no digit depends on it
        left *= 1 - each.fraction
    return 1 - left
