"""Fields of a price book: one price of a GPU for an hour, on which terms, from when to when, and who says so."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from planner.file_model import FileModel

Text = Annotated[str, Field(max_length=500)]
Word = Annotated[str, Field(min_length=1, max_length=100)]
Source = Annotated[str, Field(min_length=1, max_length=500)]
Day = Annotated[Text, BeforeValidator(lambda value: value.isoformat() if isinstance(value, date) else value)]
PerHour = Annotated[float, Field(ge=0.0, le=1e6, allow_inf_nan=False)]
Percent = Annotated[float, Field(ge=0.0, le=100.0, allow_inf_nan=False)]


class Pricing(StrEnum):
    """On which terms a GPU is had."""

    ON_DEMAND = "on_demand"
    SPOT = "spot"
    RESERVED = "reserved"
    RENTAL = "rental"
    """What a renter of GPUs asks, no cloud's list price."""
    OWNED = "owned"
    """What our own GPUs cost, amortised."""
    TCO = "tco"
    """An estimate of what owning costs."""
    ROUGH = "rough"
    """A rounded planning figure of somebody's."""


class Upfront(StrEnum):
    """How much of a reservation is paid when it begins."""

    NONE = "none"
    PARTIAL = "partial"
    ALL = "all"


class Dated(FileModel):
    """What holds from a day to another; without them, always."""

    from_day: date | None = Field(default=None, alias="from")
    until: date | None = None
    """The first day on which it no longer holds."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.from_day is not None and self.until is not None and self.until <= self.from_day:
            raise ValueError(
                f"ends before it begins: until {self.until}, the first day without it; from {self.from_day}"
            )
        return self


class Price(Dated):
    """One price of one GPU for an hour; without an amount it is known to be unknown, and the note says why."""

    gpu: Word
    """Type name as profiles have it."""
    cloud: Word
    region: Word | None = None
    cluster: Word | None = None
    """For a contract of one cluster alone."""
    pricing: Pricing
    usd_per_gpu_hour: PerHour | None = None
    per_gpu_hour: PerHour | None = None
    """In the book's currency. Of a reservation: the effective price, what is paid at the start spread over the term."""
    term_years: Literal[1, 3] | None = None
    upfront: Upfront | None = None
    upfront_percent: Percent | None = None
    """Of the whole price of the term, where a part is paid at the start."""
    instance: Word | None = None
    gpus_per_instance: Annotated[int, Field(ge=1, le=4096)] = 1
    as_of: Day
    source: Source
    note: Text | None = None

    @model_validator(mode="after")
    def _one_amount(self) -> Self:
        if self.usd_per_gpu_hour is not None and self.per_gpu_hour is not None:
            raise ValueError("has usdPerGpuHour and perGpuHour: keep one of them")
        return self

    @model_validator(mode="after")
    def _terms_of_a_reservation(self) -> Self:
        terms = self.term_years, self.upfront, self.upfront_percent
        if self.pricing is not Pricing.RESERVED and any(each is not None for each in terms):
            raise ValueError(
                f"has terms of a reservation (termYears, upfront), and its pricing is {self.pricing.value}"
            )
        if self.upfront is not None and self.term_years is None:
            raise ValueError("says how much is paid upfront, and not for how long: add termYears")
        if (self.upfront is Upfront.PARTIAL) != (self.upfront_percent is not None):
            raise ValueError("needs upfrontPercent with upfront: partial, and only with it")
        return self
