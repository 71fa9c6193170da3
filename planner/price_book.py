"""The price book: what a GPU costs for an hour, where, on which terms, and who says so.

A price that is not in the book is not known: it is named, and never guessed.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from models.errors import InvalidInput
from planner.currencies import Currency
from planner.discounts import Combination, Discount
from planner.exchange_rates import ExchangeRate
from planner.file_model import FileModel, first_problem
from planner.files import line_of, parse_document, read_text
from planner.owned_gpus import OwnedGpus
from planner.price_fields import Day, Price, Text, Word
from planner.price_row import PriceRow, clashes, of_owned, of_price

SHIPPED = Path(__file__).parent / "catalogue" / "prices"


class _Metadata(FileModel):
    name: Word


class _Spec(FileModel):
    as_of: Day
    currency: Currency = "USD"
    """Of `perGpuHour` and of the money of GPUs of one's own."""
    notes: Annotated[tuple[Text, ...], Field(max_length=100)] = ()
    prices: Annotated[tuple[Price, ...], Field(max_length=100_000)] = ()
    owned: Annotated[tuple[OwnedGpus, ...], Field(max_length=10_000)] = ()
    exchange_rates: Annotated[tuple[ExchangeRate, ...], Field(max_length=10_000)] = ()
    discounts: Annotated[tuple[Discount, ...], Field(max_length=10_000)] = ()
    discounts_combine: Combination = Combination.COMPOUND

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.prices and not self.owned:
            raise ValueError("has neither prices nor owned GPUs")
        return self


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

    @cached_property
    def rows(self) -> tuple[PriceRow, ...]:
        """Every price that it states, in its order, GPUs of one's own last."""
        money = self.spec.currency
        stated = (of_price(each, ("spec", "prices", at), money) for at, each in enumerate(self.spec.prices))
        owned = (of_owned(each, ("spec", "owned", at), money) for at, each in enumerate(self.spec.owned))
        return *stated, *owned

    def rows_of(self, gpu: str) -> tuple[PriceRow, ...]:
        """Those of a GPU type, whatever the case."""
        return self._by_gpu.get(gpu.strip().lower(), ())

    @cached_property
    def _by_gpu(self) -> dict[str, tuple[PriceRow, ...]]:
        found: dict[str, list[PriceRow]] = {}
        for row in self.rows:
            found.setdefault(row.gpu.lower(), []).append(row)
        return {gpu: tuple(rows) for gpu, rows in found.items()}


def load_prices(path: Path | None) -> PriceBook:
    """The book in a file, or the newest one that ships. Raises InvalidInput with the place of the first mistake."""
    if path is None:
        path = max(SHIPPED.glob("*.yaml"))
    text = read_text(path, what="price book")
    document = parse_document(text, name=str(path), what="price book")
    place = f"price book {path}"
    try:
        book = PriceBook.model_validate(document)
    except ValidationError as error:
        raise first_problem(error, PriceBook, text, place) from None
    _require_one_price_a_day(book, text, place)
    _require_one_rate_a_pair(book, text, place)
    return book


def _require_one_price_a_day(book: PriceBook, text: str, place: str) -> None:
    for one, other in clashes(book.rows):
        lines = sorted((line_of(text, row.where) or 0, f"{row.where[1]}[{row.where[2]}]") for row in (one, other))
        named = " and ".join(f"{name} (line {line})" for line, name in lines)
        raise InvalidInput(
            f"{place}: {named} overlap: {one.gpu} {one.pricing.value} of {one.place} has one price "
            f"{one.days} and another {other.days}",
            remedy="let one end where the other begins: until is the first day on which a price no longer holds",
        )


def _require_one_rate_a_pair(book: PriceBook, text: str, place: str) -> None:
    seen: dict[tuple[str, str], int] = {}
    for at, rate in enumerate(book.spec.exchange_rates):
        pair = rate.from_currency, rate.to_currency
        if pair in seen:
            lines = [line_of(text, ("spec", "exchangeRates", each)) for each in (seen[pair], at)]
            raise InvalidInput(
                f"{place}: exchangeRates[{seen[pair]}] (line {lines[0]}) and exchangeRates[{at}] (line {lines[1]}) "
                f"both state {pair[0]} to {pair[1]}",
                remedy="keep the one that the report is to use",
            )
        seen[pair] = at
