"""One line of usage that money is paid for: what FOCUS rows are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from models.errors import InvalidInput
from planner.capacity_report import price_mix
from planner.capacity_report.committed_use import NOT_HELD
from planner.capacity_report.document import CapacityReport, number
from planner.price_fields import Pricing

NOT_STATED = "(none)"
"""What the fleet file takes for a name that nobody gave."""


@dataclass(frozen=True, kw_only=True)
class Provider:
    """Whose the GPUs are, and where."""

    name: str
    region: str | None = None


@dataclass(frozen=True, kw_only=True)
class UsageLine:
    """GPUs that one service held from a moment to another, at one price."""

    service: str
    team: str
    model: str
    environment: str
    cluster: str
    gpu: str
    provider: Provider
    start: datetime
    end: datetime
    gpu_hours: Decimal
    """Allocated."""
    list_per_h: Decimal
    """Of a GPU for an hour, in `currency`; beside a reservation the one on demand, where it is known."""
    effective_per_h: Decimal
    """After discounts."""
    pricing: Pricing
    currency: str
    contracted_per_h: Decimal | None = None
    """Beside a reservation the price on demand after discounts; None where it is what is paid."""
    term_years: int | None = None
    """Of a reservation."""
    commitment: str = ""
    """Name of the commitment that is used here."""
    held: bool = True
    """Whether a service held it; a commitment is paid without that too."""

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None or not self.start < self.end:
            raise InvalidInput(
                f"usage of {self.service} from {self.start} to {self.end}", remedy="give moments in order, with a zone"
            )
        if min(self.gpu_hours, self.list_per_h, self.effective_per_h) < 0:
            raise InvalidInput(f"usage of {self.service} is negative", remedy="hours and prices are at least 0")


def usage_lines(report: CapacityReport) -> Iterator[UsageLine]:
    """The lines of the report's ledger that have hours and a price; the others are among the report's holes.

    The provider is whose price it is; where nobody says so, the cluster.
    """
    prices = {str(row["price_key"]): row for row in report.table("prices").rows}
    mixes = _mixes(report)
    for row in report.table("ledger").rows:
        shares = mixes.get(str(row["price_key"])) or {str(row["price_key"]): 1.0}
        if row["allocated_gpu_h"] is None or any(prices[key]["list_price"] is None for key in shares):
            continue
        for key, share in shares.items():
            part = {**row, "allocated_gpu_h": number(row["allocated_gpu_h"]) * share}
            yield _line(part, prices[key], report.currency)


def _mixes(report: CapacityReport) -> dict[str, dict[str, float]]:
    """What part of the GPU-hours of each mixed price is paid at which price."""
    found: dict[str, dict[str, float]] = {}
    for row in report.table(price_mix.NAME).rows if report.has(price_mix.NAME) else ():
        found.setdefault(str(row["mix"]), {})[str(row["price_key"])] = number(row["gpu_h"])
    return {mix: {key: part / sum(parts.values()) for key, part in parts.items()} for mix, parts in found.items()}


def _line(row: Mapping[str, Any], priced: Mapping[str, Any], currency: str) -> UsageLine:
    on_demand = priced["on_demand_list_price"]
    return UsageLine(
        service=row["service"],
        team=row["team"],
        model=row["model"],
        environment=row["environment"],
        cluster=row["cluster"],
        gpu=row["gpu"],
        provider=Provider(name=priced["cloud"] or row["cluster"], region=priced["region"] or None),
        start=datetime.fromisoformat(row["start"]),
        end=datetime.fromisoformat(row["end"]),
        gpu_hours=_exact(row["allocated_gpu_h"]),
        list_per_h=_exact(priced["list_price"] if on_demand is None else on_demand),
        effective_per_h=_exact(priced["price"]),
        pricing=Pricing(priced["pricing"]),
        currency=currency,
        contracted_per_h=None if priced["on_demand_price"] is None else _exact(priced["on_demand_price"]),
        term_years=priced["term_years"],
        commitment=priced["commitment"] or "",
        held=row["service"] != NOT_HELD,
    )


def _exact(value: float) -> Decimal:
    """To a billionth: digits beyond are a float's."""
    return Decimal(repr(round(float(value), 9)))
