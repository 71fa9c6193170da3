"""What GPUs of a pool cost through the period: stretches of one price each, and holes where a price is not known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal

from models.errors import InvalidInput
from planner.capacity_report.period import Period
from planner.capacity_report.price_list import PriceLine
from planner.currencies import known_currency
from planner.discounts import Discount
from planner.price_book import PriceBook
from planner.price_fields import Pricing
from planner.price_place import Place
from planner.price_search import Quote, Search


@dataclass(frozen=True, kw_only=True)
class PricedStretch:
    """One price from a moment to another; times are of UTC, money is in the report's currency."""

    start: datetime
    end: datetime
    """The first moment that is no longer part of it."""
    list_per_h: Decimal
    """Of one GPU for an hour."""
    discount: Decimal
    """Share of the list price."""
    effective_per_h: Decimal
    pricing: str
    cloud: str
    """Whose price it is."""
    region: str | None
    """None where the price is one of every region."""
    told: str
    """Where it is from, with its date."""
    term_years: int | None = None
    """Of a reservation."""
    on_demand_list_per_h: Decimal | None = None
    """The list price on demand beside a reserved price; None where it is not known."""
    on_demand_per_h: Decimal | None = None
    """The same after its discounts."""
    discounts: frozenset[Discount] = field(default=frozenset(), compare=False)
    """All that are off one of these prices."""


@dataclass(frozen=True, kw_only=True)
class PriceHole:
    """A stretch whose price is not known."""

    start: datetime
    end: datetime
    told: str
    """What is missing, why, and what there is instead."""


Stretches = tuple[PricedStretch | PriceHole, ...]


def priced_stretches(
    book: PriceBook,
    gpu: str,
    place: Place,
    *,
    start: datetime,
    end: datetime,
    currency: str,
    term_years: int | None = None,
) -> Stretches:
    """The prices of a GPU type at a place, from start to end without gap or overlap.

    With `term_years`, of reservations those of that term alone.

    A price changes at midnight on the clocks of `start`'s time zone. Of several rows the cheapest of the first kind of
    pricing that has one counts. Raises InvalidInput for moments without a zone or out of order, or an unknown currency.
    """
    _require_in_order(start, end)
    search = Search(book=book, gpu=gpu, place=place, currency=require_currency(currency), term_years=term_years)
    parts = [_part(search, *each) for each in _between_changes(search, start, end)]
    return tuple(_joined(parts))


def price_lines(
    book: PriceBook,
    *,
    cluster: str,
    gpu: str,
    place: Place,
    period: Period,
    currency: str,
    term_years: int | None = None,
) -> tuple[PriceLine, ...]:
    """The same as lines of the report's table of prices; a hole is a line without a price."""
    stretches = priced_stretches(
        book, gpu, place, start=period.start, end=period.end, currency=currency, term_years=term_years
    )
    several = len(stretches) > 1
    return tuple(
        _price_line(each, key=f"{cluster}/{gpu}" + (f"/{at}" if several else ""), cluster=cluster, gpu=gpu)
        for at, each in enumerate(stretches, start=1)
    )


def _price_line(stretch: PricedStretch | PriceHole, *, key: str, cluster: str, gpu: str) -> PriceLine:
    line = PriceLine(
        key=key,
        cluster=cluster,
        gpu=gpu,
        start_s=stretch.start.timestamp(),
        end_s=stretch.end.timestamp(),
        list_price=None,
        discount=0.0,
        pricing="",
        told=stretch.told,
    )
    if isinstance(stretch, PriceHole):
        return line
    return replace(
        line,
        list_price=float(stretch.list_per_h),
        discount=float(stretch.discount),
        pricing=stretch.pricing,
        cloud=stretch.cloud,
        region=stretch.region or "",
        term_years=stretch.term_years,
        on_demand_list_price=_number(stretch.on_demand_list_per_h),
        on_demand_price=_number(stretch.on_demand_per_h),
        discounts=stretch.discounts,
    )


def _number(amount: Decimal | None) -> float | None:
    return None if amount is None else float(amount)


def require_currency(code: str) -> str:
    """The code in upper case. Raises InvalidInput for one that is not known."""
    try:
        return known_currency(code)
    except ValueError as error:
        raise InvalidInput(f"currency {code[:40]!r} {error}", remedy="give a code such as USD") from None


def _require_in_order(start: datetime, end: datetime) -> None:
    if start.tzinfo is None or end.tzinfo is None:
        raise InvalidInput("a period needs moments with a time zone", remedy="add one")
    if not start.timestamp() < end.timestamp():
        raise InvalidInput(f"a period from {start} to {end} has no time in it", remedy="let it end after it begins")


def _between_changes(search: Search, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime, date]]:
    """The parts in which nothing changes, in UTC, each with its first day on the clocks of the period."""
    zone = start.tzinfo
    assert zone is not None
    first, last = start.astimezone(UTC), end.astimezone(UTC)
    days = {day for day in _changes(search) if start.date() <= day <= last.astimezone(zone).date()}
    inside = sorted({moment for day in days if first < (moment := _midnight(day, zone)) < last})
    edges = [first, *inside, last]
    for at, edge in enumerate(edges[:-1]):
        yield edge, edges[at + 1], edge.astimezone(zone).date()


def _changes(search: Search) -> set[date]:
    """Days on which a price or a discount begins or ends."""
    dated: Sequence[tuple[date | None, date | None]] = [
        *((row.from_day, row.until) for row in search.rows),
        *((each.from_day, each.until) for each in search.book.spec.discounts),
    ]
    return {day for pair in dated for day in pair if day is not None}


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _part(search: Search, start: datetime, end: datetime, day: date) -> PricedStretch | PriceHole:
    quote = search.best(day)
    if quote is None:
        return PriceHole(start=start, end=end, told=search.missing(day))
    on_demand = _on_demand(search, day) if quote.row.pricing is Pricing.RESERVED else None
    return PricedStretch(
        start=start,
        end=end,
        list_per_h=quote.list_per_h,
        discount=quote.discount,
        effective_per_h=quote.per_h,
        pricing=quote.row.pricing.value,
        cloud=quote.row.cloud,
        region=quote.row.region or search.place.region,
        told=quote.told,
        term_years=quote.row.term_years,
        on_demand_list_per_h=None if on_demand is None else on_demand.list_per_h,
        on_demand_per_h=None if on_demand is None else on_demand.per_h,
        discounts=frozenset((*quote.discounts, *(() if on_demand is None else on_demand.discounts))),
    )


def _on_demand(search: Search, day: date) -> Quote | None:
    """What the same GPU costs there on demand."""
    return replace(search, place=replace(search.place, pricing=(Pricing.ON_DEMAND,)), term_years=None).best(day)


def _joined(parts: Sequence[PricedStretch | PriceHole]) -> Iterator[PricedStretch | PriceHole]:
    """Neighbours that say the same as one."""
    kept = parts[0]
    for part in parts[1:]:
        if type(part) is type(kept) and replace(part, start=kept.start, end=kept.end) == kept:
            kept = _with(kept, part)
        else:
            yield kept
            kept = part
    yield kept


def _with(kept: PricedStretch | PriceHole, part: PricedStretch | PriceHole) -> PricedStretch | PriceHole:
    """What says the same may have followed from other discounts."""
    if isinstance(kept, PricedStretch) and isinstance(part, PricedStretch):
        return replace(kept, end=part.end, discounts=kept.discounts | part.discounts)
    return replace(kept, end=part.end)
