"""Prices of the report: which held for which pool and when, and the table that the spreadsheet's costs look up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from planner.capacity_report.document import Column, Kind, Table, rows_of
from planner.capacity_report.ledger import Stretch, iso
from planner.discounts import Discount

_COLUMNS = (
    Column(key="price_key", title="Price key"),
    Column(key="cluster", title="Cluster"),
    Column(key="gpu", title="GPU"),
    Column(key="start", title="From"),
    Column(key="end", title="To"),
    Column(key="list_price", title="List price", kind=Kind.PRICE, meaning="of a GPU for an hour"),
    Column(key="discount", title="Discount", kind=Kind.SHARE),
    Column(key="price", title="Effective price", kind=Kind.PRICE, meaning="list price × (1 − discount)",
           formula="{list_price} * (1 - {discount})"),
    Column(key="pricing", title="Terms"),
    Column(key="term_years", title="Term in years", kind=Kind.NUMBER, meaning="of a reservation"),
    Column(key="on_demand_list_price", title="List price on demand", kind=Kind.PRICE,
           meaning="of the same GPU there, beside a reserved price: what FOCUS calls the list price"),
    Column(key="on_demand_price", title="Price on demand", kind=Kind.PRICE,
           meaning="that list price after its discounts: what FOCUS calls contracted"),
    Column(key="commitment", title="Commitment", meaning="whose price it is, held or not"),
    Column(key="cloud", title="Cloud"),
    Column(key="region", title="Region"),
    Column(key="told", title="Where from, as of when"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PriceLine:
    """A price of one pool in a stretch of time."""

    key: str
    cluster: str
    gpu: str
    start_s: float
    end_s: float
    list_price: float | None
    discount: float
    """As a share of the list price."""
    pricing: str
    told: str
    cloud: str = ""
    """Whose price it is."""
    region: str = ""
    term_years: int | None = None
    """Of a reservation."""
    on_demand_list_price: float | None = None
    """Of the same GPU there, beside a reserved price; None where it is not known."""
    on_demand_price: float | None = None
    """The same after its discounts."""
    commitment: str = ""
    """Whose price it is, where it is one of the fleet file's commitments."""
    discounts: frozenset[Discount] = field(default=frozenset(), compare=False)
    """Those of the price book that are off it, or off the price on demand beside it."""

    @property
    def effective(self) -> float | None:
        """What is paid; None where the list price is not known."""
        return None if self.list_price is None else self.list_price * (1.0 - self.discount)

    @property
    def stretch(self) -> Stretch:
        """For the ledger."""
        return Stretch(key=self.key, start_s=self.start_s, end_s=self.end_s, price=self.effective)


PriceList = Mapping[str, Sequence[PriceLine]]
"""By service; the lines of each cover the period without gap or overlap. Services of a pool share theirs."""


def _order(line: PriceLine) -> tuple[str, str, float, str]:
    return line.cluster, line.gpu, line.start_s, line.key


def prices_table(prices: PriceList, commitments: Iterable[PriceLine] = ()) -> Table:
    """All prices that a line of the ledger names, those of commitments among them."""
    every = [*(line for lines in prices.values() for line in lines), *commitments]
    rows = [
        {
            "price_key": line.key,
            "cluster": line.cluster,
            "gpu": line.gpu,
            "start": iso(line.start_s),
            "end": iso(line.end_s),
            "list_price": line.list_price,
            "discount": line.discount,
            "price": line.effective,
            "pricing": line.pricing,
            "term_years": line.term_years,
            "on_demand_list_price": line.on_demand_list_price,
            "on_demand_price": line.on_demand_price,
            "commitment": line.commitment or None,
            "cloud": line.cloud,
            "region": line.region,
            "told": line.told,
        }
        for line in sorted({line.key: line for line in every}.values(), key=_order)
    ]
    return Table(name="prices", title="Prices", columns=_COLUMNS, rows=rows_of(_COLUMNS, rows))
