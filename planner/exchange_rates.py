"""Exchange rates that the price book states: used as they stand, never inverted, chained or guessed."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Self

from pydantic import Field, model_validator

from planner.currencies import Currency
from planner.file_model import FileModel
from planner.price_fields import Day, Source


class ExchangeRate(FileModel):
    """What one unit of a currency is worth in another."""

    from_currency: Currency = Field(alias="from")
    to_currency: Currency = Field(alias="to")
    rate: Annotated[float, Field(gt=0.0, le=1e9, allow_inf_nan=False)]
    as_of: Day
    source: Source

    @model_validator(mode="after")
    def _of_two(self) -> Self:
        if self.from_currency == self.to_currency:
            raise ValueError(f"is from {self.from_currency} to itself")
        return self

    @property
    def factor(self) -> Decimal:
        """The rate as it is written."""
        return Decimal(repr(self.rate))

    def __str__(self) -> str:
        return f"1 {self.from_currency} is {self.rate:g} {self.to_currency}, as of {self.as_of} ({self.source})"


def rate_between(rates: Sequence[ExchangeRate], from_currency: str, to_currency: str) -> ExchangeRate | None:
    """The stated rate, None where there is none."""
    pair = from_currency, to_currency
    return next((each for each in rates if (each.from_currency, each.to_currency) == pair), None)


def missing_rate(rates: Sequence[ExchangeRate], from_currency: str, to_currency: str) -> str:
    """In words, that a rate is missing, and what there is that does not stand in for it."""
    inverse = rate_between(rates, to_currency, from_currency)
    other = f"the one from {to_currency} to {from_currency} is not turned round; " if inverse else ""
    return f"no exchange rate from {from_currency} to {to_currency} ({other}state it under exchangeRates)"
