"""Mixed prices: what part of a line's GPU-hours is paid at which price, and the one price that this comes to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from planner.capacity_report.document import Column, Kind, Table, rows_of

NAME = "price_mix"
_COLUMNS = (
    Column(key="mix", title="Mixed price", meaning="the price key of the ledger's lines that are paid so"),
    Column(key="price_key", title="Price key", meaning="the row of the table of prices"),
    Column(key="gpu_h", title="GPU-h", kind=Kind.GPU_HOURS, summed=True,
           meaning="that the service of the mixed price held at this price"),
    Column(key="price", title="Price of a GPU-h", kind=Kind.PRICE, meaning="effective price of the price key"),
    Column(key="cost", title="Cost", kind=Kind.MONEY, summed=True, meaning="GPU-hours × price",
           formula="{gpu_h} * {price}"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class MixPart:
    """GPU-hours at one of the prices of a mix."""

    mix: str
    price_key: str
    gpu_h: float
    price: float | None

    @property
    def cost(self) -> float | None:
        """None where the price is not known."""
        return None if self.price is None else self.gpu_h * self.price


def mixed_price(parts: Sequence[MixPart]) -> float | None:
    """Cost over GPU-hours; None where a part's price is not known."""
    costs = [each.cost for each in parts if each.cost is not None]
    return sum(costs) / sum(each.gpu_h for each in parts) if len(costs) == len(parts) else None


def services_by_price(ledger: Iterable[Mapping[str, Any]], parts: Iterable[MixPart]) -> dict[str, set[str]]:
    """Whose cost rests on each price of the table of prices: services of the ledger by price key."""
    found: dict[str, set[str]] = {}
    mixes: dict[str, list[str]] = {}
    for part in parts:
        mixes.setdefault(part.mix, []).append(part.price_key)
    for row in ledger:
        for key in mixes.get(row["price_key"], [row["price_key"]]):
            found.setdefault(key, set()).add(row["service"])
    return found


def price_mix_table(parts: Sequence[MixPart]) -> Table:
    """A row for each part."""
    rows = [
        {"mix": each.mix, "price_key": each.price_key, "gpu_h": each.gpu_h, "price": each.price, "cost": each.cost}
        for each in parts
    ]
    return Table(
        name=NAME, title="Mixed prices", columns=_COLUMNS, rows=rows_of(_COLUMNS, rows),
        note="What services hold is paid at the commitments' prices up to the committed number, slot by slot, and "
             "beyond at the pool's price: in a slot every service has the same part of either. A mixed price is one "
             "service's in a stretch of time, the cost of its rows over their GPU-hours.",
    )  # fmt: skip
