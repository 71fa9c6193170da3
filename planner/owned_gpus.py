"""What a GPU of one's own costs an hour: capital as an annuity, power at load and idle, space and operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Self

from pydantic import Field, model_validator

from models.annuity import yearly_capital_cost
from planner.file_model import FileModel
from planner.price_fields import Dated, Day, Percent, Source, Text, Word

HOURS_PER_YEAR = 8766.0
"""365.25 days: a leap year is dearer by its day."""

Money = Annotated[float, Field(ge=0.0, le=1e9, allow_inf_nan=False)]
Kilowatts = Annotated[float, Field(ge=0.0, le=100.0, allow_inf_nan=False)]


class PowerKw(FileModel):
    """Of one GPU with its share of the host, in kilowatts."""

    load: Kilowatts
    idle: Kilowatts

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.idle > self.load:
            raise ValueError(f"has idle {self.idle:g} above load {self.load:g}")
        return self


class OwnedGpus(Dated):
    """GPUs of one's own; money in the book's currency. Nothing has a default that would make it cheaper."""

    gpu: Word
    cloud: Word
    """A name for where they stand."""
    region: Word | None = None
    cluster: Word | None = None
    capex_per_gpu: Money | None = None
    capex_per_node: Money | None = None
    gpus_per_node: Annotated[int, Field(ge=1, le=4096)] | None = None
    years: Annotated[float, Field(gt=0.0, le=30.0)]
    residual_percent: Percent
    """Of the capital, what it is sold for at the end."""
    cost_of_capital_percent: Percent
    """A year."""
    power_kw: PowerKw
    pue: Annotated[float, Field(ge=1.0, le=5.0)]
    """Power usage effectiveness: power of the site over that of its computers (ISO/IEC 30134-2)."""
    price_per_kwh: Annotated[float, Field(ge=0.0, le=1e3, allow_inf_nan=False)]
    space_per_gpu_year: Money
    operations_per_gpu_year: Money
    load_share: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0
    """Share of the time under load, for the price of a GPU-hour; all of it where nobody says."""
    as_of: Day
    source: Source
    note: Text | None = None

    @model_validator(mode="after")
    def _one_capital(self) -> Self:
        if (self.capex_per_gpu is None) == (self.capex_per_node is None):
            raise ValueError("needs either capexPerGpu or capexPerNode")
        if (self.capex_per_node is None) != (self.gpus_per_node is None):
            raise ValueError("needs gpusPerNode with capexPerNode, and only with it")
        return self

    @property
    def capital(self) -> float:
        """Of one GPU."""
        if self.capex_per_node is None:
            return self.capex_per_gpu or 0.0
        return self.capex_per_node / (self.gpus_per_node or 1)

    @property
    def cost(self) -> OwnedCost:
        """Of a GPU-hour, part by part."""
        yearly = yearly_capital_cost(
            self.capital,
            residual=min(self.capital, self.capital * self.residual_percent / 100.0),
            years=self.years,
            cost_of_capital=self.cost_of_capital_percent / 100.0,
        )
        per_kw = self.pue * self.price_per_kwh
        return OwnedCost(
            capital=_exact(yearly / HOURS_PER_YEAR),
            power_at_load=_exact(self.power_kw.load * per_kw),
            power_idle=_exact(self.power_kw.idle * per_kw),
            space=_exact(self.space_per_gpu_year / HOURS_PER_YEAR),
            operations=_exact(self.operations_per_gpu_year / HOURS_PER_YEAR),
            load_share=Decimal(repr(self.load_share)),
        )


@dataclass(frozen=True, kw_only=True)
class OwnedCost:
    """Of one GPU for an hour, in the book's currency, each part to a millionth."""

    capital: Decimal
    power_at_load: Decimal
    power_idle: Decimal
    space: Decimal
    operations: Decimal
    load_share: Decimal

    @property
    def power(self) -> Decimal:
        """At the share of the time that is under load."""
        return self.load_share * self.power_at_load + (1 - self.load_share) * self.power_idle

    @property
    def per_gpu_hour(self) -> Decimal:
        """All of it."""
        return sum(self.parts.values(), Decimal(0))

    @property
    def parts(self) -> Mapping[str, Decimal]:
        """What adds up to it."""
        return {"capital": self.capital, "power": self.power, "space": self.space, "operations": self.operations}

    def __str__(self) -> str:
        parts = " + ".join(f"{name} {_text(amount)}" for name, amount in self.parts.items())
        return (
            f"{parts}; power {_text(self.power_at_load)} at load, {_text(self.power_idle)} idle, "
            f"under load {_text(self.load_share * 100)} % of the time"
        )


def _text(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


def _exact(amount: float) -> Decimal:
    return Decimal(repr(round(amount, 6)))
