"""Which rows of a price book count at a place on a day: one rule for comparisons and for reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from planner.discounts import Discount, combined
from planner.exchange_rates import ExchangeRate, missing_rate, rate_between
from planner.price_book import PriceBook
from planner.price_fields import Pricing
from planner.price_place import Place
from planner.price_row import PriceRow


@dataclass(frozen=True, kw_only=True)
class Quote:
    """A row in the currency that is asked for, less its discounts."""

    row: PriceRow
    list_per_h: Decimal
    discounts: tuple[Discount, ...]
    discount: Decimal
    """Share of the list price."""
    rate: ExchangeRate | None
    """None where the row is in that currency."""
    currency: str

    @property
    def per_h(self) -> Decimal:
        """What is paid."""
        return self.list_per_h * (1 - self.discount)

    @property
    def told(self) -> str:
        """Where it is from, as of when."""
        off = "".join(f"; {each.percent:g} % off ({each.source})" for each in self.discounts)
        how = f"; the larger of them counts ({float(self.discount) * 100:g} %)" if self._is_of_one_among_many else ""
        rate = f"; {self.rate}" if self.rate else ""
        return f"{self.row.amount:f} {self.row.currency} {self.row.told}{off}{how}{rate}"

    @property
    def _is_of_one_among_many(self) -> bool:
        return len(self.discounts) > 1 and any(each.fraction == self.discount for each in self.discounts)


@dataclass(frozen=True, kw_only=True)
class Search:
    """For one GPU type at one place, in one currency."""

    book: PriceBook
    gpu: str
    place: Place
    currency: str
    term_years: int | None = None
    """Of reservations: those of this term alone; None asks for none."""

    @property
    def rows(self) -> tuple[PriceRow, ...]:
        """All of that GPU, wherever."""
        return self.book.rows_of(self.gpu)

    def here(self, day: date | None, kind: Pricing) -> list[PriceRow]:
        """The rows of a kind that hold on a day, those alone that say most exactly where."""
        rows = [row for row in self.rows if row.pricing is kind and row.is_at(self.place) and row.holds_on(day)]
        rows = [row for row in rows if row.amount is not None and self.term_years in {None, row.term_years}]
        exact = max((row.exactness(self.place) for row in rows), default=None)
        return [row for row in rows if row.exactness(self.place) == exact]

    def quotes(self, day: date | None, kind: Pricing, *, discounted: bool = True) -> list[Quote]:
        """What can be said in the currency, the cheapest first."""
        found = [quote for row in self.here(day, kind) if (quote := self._quote(row, day, discounted=discounted))]
        return sorted(found, key=lambda each: (each.per_h, each.list_per_h))

    def best(self, day: date | None, *, discounted: bool = True) -> Quote | None:
        """The cheapest of the first kind of pricing that has one."""
        for kind in self.place.pricing:
            if found := self.quotes(day, kind, discounted=discounted):
                return found[0]
        return None

    def missing(self, day: date | None) -> str:
        """What is not known there, why, and what the book has instead."""
        rows = self.rows
        unpriced = [row.note for row in rows if row.amount is None and row.note and row.is_at(self.place)]
        why = f" ({unpriced[0]})" if unpriced else ""
        told = f"no price of {self.gpu} ({self._asked}) in {self.book.name}{why}"
        for kind in self.place.pricing:
            if rows_in_other := self.here(day, kind):
                rates = self.book.spec.exchange_rates
                return f"{told}: {missing_rate(rates, rows_in_other[0].currency, self.currency)}"
            if at_other_times := self.here(None, kind):
                days = ", ".join(f"one {row.days}" for row in at_other_times)
                return f"{told} on these days; it has {days} (until is the first day without it)"
        others = sorted({f"{row.pricing.value} of {row.cloud}" for row in rows if row.amount is not None})
        found = self._other_terms(day) or ", ".join(others)
        return told + (f"; it has {found}" if found else "")

    @property
    def _asked(self) -> str:
        term = "" if self.term_years is None else f" for {self.term_years} y"
        return str(self.place).replace(Pricing.RESERVED.value, f"{Pricing.RESERVED.value}{term}", 1)

    def _other_terms(self, day: date | None) -> str:
        """Reserved prices of the place whose term is not the one that is asked for, in words."""
        if self.term_years is None:
            return ""
        terms = {row.term_years for row in replace(self, term_years=None).here(day, Pricing.RESERVED)}
        stated = [f"reserved prices for {years} y" for years in sorted(filter(None, terms))]
        return ", ".join([*stated, *(["a reserved price that names no termYears"] if None in terms else [])])

    def _quote(self, row: PriceRow, day: date | None, *, discounted: bool) -> Quote | None:
        assert row.amount is not None
        rate = None
        if row.currency != self.currency:
            rate = rate_between(self.book.spec.exchange_rates, row.currency, self.currency)
            if rate is None:
                return None
        discounts = self._discounts(row, day) if discounted and day is not None else ()
        return Quote(
            row=row,
            list_per_h=row.amount * (rate.factor if rate else 1),
            discounts=discounts,
            discount=combined(discounts, self.book.spec.discounts_combine),
            rate=rate,
            currency=self.currency,
        )

    def _discounts(self, row: PriceRow, day: date) -> tuple[Discount, ...]:
        stated: Sequence[Discount] = self.book.spec.discounts
        return tuple(
            each
            for each in stated
            if each.holds_on(day)
            and each.is_of(gpu=row.gpu, cloud=row.cloud, region=row.region, pricing=row.pricing, place=self.place)
        )
