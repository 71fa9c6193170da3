"""The price book: what a GPU costs for an hour, where, on which terms, and who says so.

A price that is not in the book is not known: it is named, and never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError

from models.errors import InvalidInput
from planner.file_model import FileModel, first_problem
from planner.files import parse_document, read_text

SHIPPED = Path(__file__).parent / "catalogue" / "prices"

Text = Annotated[str, Field(max_length=500)]
Word = Annotated[str, Field(min_length=1, max_length=100)]
Day = Annotated[Text, BeforeValidator(lambda value: value.isoformat() if isinstance(value, date) else value)]
Usd = Annotated[float, Field(ge=0.0, le=1e6, allow_inf_nan=False)]


class Pricing(StrEnum):
    """On which terms a GPU is had."""

    ON_DEMAND = "on_demand"
    SPOT = "spot"
    RESERVED = "reserved"
    RENTAL = "rental"
    """What a renter of GPUs asks, no cloud's list price."""
    TCO = "tco"
    """An estimate of what owning costs."""
    ROUGH = "rough"
    """A rounded planning figure of somebody's."""


class Price(FileModel):
    """One price of one GPU for an hour; without `usdPerGpuHour` it is known to be unknown, and the note says why."""

    gpu: Word
    """Type name as profiles have it."""
    cloud: Word
    region: Word | None = None
    pricing: Pricing
    usd_per_gpu_hour: Usd | None = None
    instance: Word | None = None
    gpus_per_instance: Annotated[int, Field(ge=1, le=4096)] = 1
    as_of: Day
    source: Annotated[str, Field(min_length=1, max_length=500)]
    note: Text | None = None


class _Metadata(FileModel):
    name: Word


class _Spec(FileModel):
    as_of: Day
    notes: Annotated[tuple[Text, ...], Field(max_length=100)] = ()
    prices: Annotated[tuple[Price, ...], Field(min_length=1, max_length=100_000)]


class PriceBook(FileModel):
    """A price book file."""

    api_version: Literal["replicast.dev/v1alpha1"]
    kind: Literal["PriceBook"]
    metadata: _Metadata
    spec: _Spec

    @property
    def name(self) -> str:
        """Its name."""
        return self.metadata.name


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
    """Which of a book's prices counts: the cheapest of the first kind of pricing that has one."""

    book: PriceBook
    pricing: tuple[Pricing, ...] = (Pricing.ON_DEMAND,)
    """In order of preference."""
    cloud: str | None = None
    region: str | None = None
    stated: Mapping[str, float] = field(default_factory=dict)
    """Prices by GPU type, in lower case, that the user gives; `*` for every type."""

    def __str__(self) -> str:
        kinds = ", else ".join(kind.value for kind in self.pricing)
        where = "".join(
            f", {name} {value}" for name, value in (("cloud", self.cloud), ("region", self.region)) if value
        )
        return f"the cheapest {kinds}{where} of {self.book.name}"

    def find(self, gpu: str) -> FoundPrice:
        """The price of a GPU type (whatever the case)."""
        wanted = gpu.strip().lower()
        if (stated := self.stated.get(wanted, self.stated.get("*"))) is not None:
            return FoundPrice(gpu=gpu, usd_per_h=stated, pricing=None, told=f"${stated:,.2f} by --gpu-price")
        rows = [row for row in self.book.spec.prices if row.gpu.lower() == wanted]
        here = [row for row in rows if self._is_here(row)]
        for kind in self.pricing:
            priced = [(row.usd_per_gpu_hour, row) for row in here if row.pricing is kind]
            known = [(usd, row) for usd, row in priced if usd is not None]
            if known:
                usd, row = min(known, key=lambda each: each[0])
                return FoundPrice(gpu=gpu, usd_per_h=usd, pricing=kind.value, told=_told(usd, row))
        return FoundPrice(gpu=gpu, usd_per_h=None, pricing=None, told=self._missing(gpu, rows))

    def _is_here(self, row: Price) -> bool:
        return _same(self.cloud, row.cloud) and _same(self.region, row.region)

    def _missing(self, gpu: str, rows: Sequence[Price]) -> str:
        """What is not known, what the book has instead, and how to say it."""
        others = sorted({f"{row.pricing.value} of {row.cloud}" for row in rows if row.usd_per_gpu_hour is not None})
        instead = f"; it has {', '.join(others)}" if others else ""
        holes = [row.note for row in rows if row.usd_per_gpu_hour is None and row.note and self._is_here(row)]
        why = f" ({holes[0]})" if holes else ""
        remedy = f"{'choose with --pricing, or ' if others else ''}give --gpu-price {gpu}=USD"
        wanted = str(self).removeprefix("the cheapest ").partition(f" of {self.book.name}")[0]
        return f"no price of {gpu} ({wanted}) in {self.book.name}{why}{instead}: {remedy}"


def _same(wanted: str | None, found: str | None) -> bool:
    return wanted is None or (found or "").lower() == wanted.strip().lower()


def _told(usd: float, row: Price) -> str:
    place = " ".join(word for word in (row.cloud, row.region, row.instance) if word)
    return f"${usd:,.2f} {row.pricing.value}, {place}, as of {row.as_of} ({row.source})"


def load_prices(path: Path | None) -> PriceBook:
    """The book in a file, or the newest one that ships."""
    if path is None:
        path = max(SHIPPED.glob("*.yaml"))
    text = read_text(path, what="price book")
    document = parse_document(text, name=str(path), what="price book")
    try:
        return PriceBook.model_validate(document)
    except ValidationError as error:
        raise first_problem(error, PriceBook, text, f"price book {path}") from None


def price_rule(
    book: PriceBook, *, pricing: Sequence[str] = (), cloud: str | None, region: str | None, stated: Sequence[str] = ()
) -> PriceRule:
    """The rule that the options say. Raises InvalidInput for a cloud or region that the book does not have."""
    for option, wanted, column in (("--cloud", cloud, "cloud"), ("--region", region, "region")):
        known = sorted({str(getattr(row, column)) for row in book.spec.prices if getattr(row, column)})
        if wanted is not None and not any(_same(wanted, each) for each in known):
            raise InvalidInput(
                f"{option}: price book {book.name} has no {column} {wanted[:60]!r}",
                remedy=f"it has {', '.join(known[:30])}",
            )
    kinds = tuple(dict.fromkeys(Pricing(kind) for kind in pricing)) or (Pricing.ON_DEMAND,)
    return PriceRule(book=book, pricing=kinds, cloud=cloud, region=region, stated=stated_prices(stated))


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
