"""On which terms a GPU type can be had: what advice on buying chooses from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from planner.capacity_report.priced_gpus import require_currency
from planner.price_book import PriceBook
from planner.price_fields import Pricing
from planner.price_place import Place
from planner.price_search import Quote, Search

HOURS_PER_TERM_YEAR = 8760
"""A year of a reservation is 365 days, as clouds sell it (AWS, Reserved Instances: "31,536,000 seconds")."""
TERMS = (1, 3)


@dataclass(frozen=True, kw_only=True)
class Offer:
    """One way to have a GPU for an hour; money is in the report's currency, after discounts."""

    pricing: Pricing
    per_h: Decimal
    """Effective: what is paid at the start is spread over the term."""
    term_years: int | None
    """None where nothing is committed."""
    upfront: Decimal
    """Of one GPU, paid when the term begins."""
    hourly: Decimal
    """Paid for each hour of the term beside it."""
    told: str
    """Where it is from, with its date."""


@dataclass(frozen=True, kw_only=True)
class Offers:
    """What can be had, the cheapest of a kind first: on demand, reserved for 1 year, for 3 years, spot."""

    found: tuple[Offer, ...]
    holes: tuple[str, ...]
    """The kinds that the book has no price for, in words."""

    def of(self, pricing: Pricing, term_years: int | None = None) -> Offer | None:
        """The cheapest of a kind."""
        return next((each for each in self.found if (each.pricing, each.term_years) == (pricing, term_years)), None)


def offers_for(book: PriceBook, gpu: str, place: Place, *, on: date, currency: str) -> Offers:
    """The offers on a day at a place, whatever pricing the place prefers. Raises InvalidInput for a wrong currency."""
    found: list[Offer] = []
    holes: list[str] = []
    for kind, years in _wanted():
        search = Search(
            book=book, gpu=gpu, place=replace(place, pricing=(kind,)), currency=require_currency(currency),
            term_years=years,
        )  # fmt: skip
        quotes = search.quotes(on, kind)
        found += map(_offer, quotes)
        if not quotes:
            holes.append(search.missing(on))
    return Offers(found=tuple(found), holes=tuple(holes))


def _wanted() -> Iterator[tuple[Pricing, int | None]]:
    yield Pricing.ON_DEMAND, None
    for years in TERMS:
        yield Pricing.RESERVED, years
    yield Pricing.SPOT, None


def _offer(quote: Quote) -> Offer:
    row = quote.row
    hours = HOURS_PER_TERM_YEAR * (row.term_years or 0)
    return Offer(
        pricing=row.pricing,
        per_h=quote.per_h,
        term_years=row.term_years,
        upfront=quote.per_h * row.upfront_share * hours,
        hourly=quote.per_h * (1 - row.upfront_share),
        told=quote.told,
    )
