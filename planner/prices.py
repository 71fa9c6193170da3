"""Which price of a book counts for a comparison: what the user says, else the cheapest of the kinds that are wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

from models.errors import InvalidInput
from planner.price_book import PriceBook
from planner.price_fields import Pricing
from planner.price_place import Place, same
from planner.price_search import Quote, Search


@dataclass(frozen=True, kw_only=True)
class FoundPrice:
    """The price of one GPU type: dollars for a GPU and hour, None where it is not known; and in words where from."""

    gpu: str
    usd_per_h: float | None
    pricing: str | None
    told: str

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class PriceRule:
    """Which of a book's prices counts: the cheapest of the first kind of pricing that has one, before discounts."""

    book: PriceBook
    pricing: tuple[Pricing, ...] = (Pricing.ON_DEMAND,)
    """In order of preference."""
    cloud: str | None = None
    region: str | None = None
    stated: Mapping[str, float] = field(default_factory=dict)
    """Prices by GPU type, in lower case, that the user gives; `*` for every type."""
    day: date | None = None
    """On which the prices hold; None for all of the book."""

    def __str__(self) -> str:
        return f"the cheapest {self._place} of {self.book.name}"

    def find(self, gpu: str) -> FoundPrice:
        """The price of a GPU type (whatever the case)."""
        wanted = gpu.strip().lower()
        if (stated := self.stated.get(wanted, self.stated.get("*"))) is not None:
            return FoundPrice(gpu=gpu, usd_per_h=stated, pricing=None, told=f"${stated:,.2f} by --gpu-price")
        search = Search(book=self.book, gpu=gpu, place=self._place, currency="USD")
        found = search.best(self.day, discounted=False)
        if found is None:
            told = f"{search.missing(self.day)}: {self._remedy(search)}"
            return FoundPrice(gpu=gpu, usd_per_h=None, pricing=None, told=told)
        return FoundPrice(gpu=gpu, usd_per_h=float(found.per_h), pricing=found.row.pricing.value, told=_told(found))

    @property
    def _place(self) -> Place:
        return Place(cloud=self.cloud, region=self.region, pricing=self.pricing)

    def _remedy(self, search: Search) -> str:
        others = any(row.amount is not None for row in search.rows)
        return f"{'choose with --pricing, or ' if others else ''}give --gpu-price {search.gpu}=USD"


def _told(found: Quote) -> str:
    rate = f"; {found.rate}" if found.rate else ""
    return f"${found.per_h:,.2f} {found.row.told}{rate}"


def price_rule(
    book: PriceBook,
    *,
    pricing: Sequence[str] = (),
    cloud: str | None,
    region: str | None,
    stated: Sequence[str] = (),
    day: date | None = None,
) -> PriceRule:
    """The rule that the options say. Raises InvalidInput for a cloud or region that the book does not have."""
    for option, wanted, column in (("--cloud", cloud, "cloud"), ("--region", region, "region")):
        known = sorted({str(getattr(row, column)) for row in book.rows if getattr(row, column)})
        if wanted is not None and not any(same(wanted, each) for each in known):
            raise InvalidInput(
                f"{option}: price book {book.name} has no {column} {wanted[:60]!r}",
                remedy=f"it has {', '.join(known[:30])}",
            )
    kinds = tuple(dict.fromkeys(Pricing(kind) for kind in pricing)) or (Pricing.ON_DEMAND,)
    return PriceRule(book=book, pricing=kinds, cloud=cloud, region=region, stated=stated_prices(stated), day=day)


def stated_prices(texts: Sequence[str]) -> dict[str, float]:
    """Prices from `TYPE=USD`, or `USD` for every type (kept as `*`)."""
    found: dict[str, float] = {}
    for text in texts:
        kind, equals, amount = text.rpartition("=")
        key = kind.strip().lower() if equals else "*"
        try:
            usd = float(amount)
        except ValueError:
            usd = -1.0
        if not (0.0 <= usd <= 1e6) or not key:
            raise InvalidInput(
                f"--gpu-price {text[:60]!r} is not a price", remedy="write H100-SXM5-80GB=2.95, or 2.95 for every GPU"
            )
        if key in found:
            raise InvalidInput(f"--gpu-price names {kind.strip() or 'every GPU'} twice", remedy="keep one of them")
        found[key] = usd
    return found
