"""The figures of a ledger line and of every sum of lines: their columns, and how the derived ones come about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from planner.capacity_report.column_formula import value_of
from planner.capacity_report.document import Column, Kind

CAUSES = {
    "burst_headroom": ("burst headroom", "what the objective needs above the work itself, in parts of replicas"),
    "fragmentation": ("whole replicas", "what whole replicas take above parts of them"),
    "minimum": ("minimum replicas", "above the need, up to the least replicas that are always kept"),
    "stabilisation": ("stabilisation", "above those, what the policy for scaling down still held"),
    "over_provisioned": ("over-provisioning", "all other allocated GPU-hours without work"),
}
"""Of idle time: a name for the reader, and its meaning."""

QUANTITIES = (
    Column(key="requests", title="Requests", kind=Kind.COUNT, summed=True, meaning="arrivals that are known"),
    Column(key="input_tokens", title="Input tokens", kind=Kind.COUNT, summed=True),
    Column(key="output_tokens", title="Output tokens", kind=Kind.COUNT, summed=True),
    Column(key="used_gpu_h", title="Used GPU-h", kind=Kind.GPU_HOURS, summed=True,
           meaning="GPU-hours of work: rate / the greatest rate that a replica carries"),
    Column(key="needed_gpu_h", title="Needed GPU-h", kind=Kind.GPU_HOURS, summed=True,
           meaning="whole replicas that the queueing model asks for at the objectives, in each slot"),
    Column(key="allocated_gpu_h", title="Allocated GPU-h", kind=Kind.GPU_HOURS, summed=True,
           meaning="GPU-hours that replicas held"),
    Column(key="idle_gpu_h", title="Idle GPU-h", kind=Kind.GPU_HOURS, summed=True,
           meaning="allocated − used − unexplained; the causes beside it add up to it",
           formula="{allocated_gpu_h} - {used_gpu_h} - {unexplained_gpu_h}"),
    *(Column(key=f"{cause}_gpu_h", title=f"Idle: {title}", kind=Kind.GPU_HOURS, summed=True, meaning=meaning)
      for cause, (title, meaning) in CAUSES.items()),
    Column(key="unexplained_gpu_h", title="Unexplained GPU-h", kind=Kind.GPU_HOURS, summed=True,
           meaning="allocated while the demand, or what it needs, is not known: neither work nor idle"),
    Column(key="shortfall_gpu_h", title="Short GPU-h", kind=Kind.GPU_HOURS, summed=True,
           meaning="needed and not allocated"),
    Column(key="request_gpu_h", title="GPU-h with requests", kind=Kind.GPU_HOURS, summed=True,
           meaning="allocated in the slots whose requests are known"),
    Column(key="costed_requests", title="Requests with cost", kind=Kind.COUNT, summed=True,
           meaning="of the slots whose replicas and price are known"),
    Column(key="token_gpu_h", title="GPU-h with tokens", kind=Kind.GPU_HOURS, summed=True,
           meaning="allocated in the slots whose tokens are known"),
    Column(key="costed_tokens", title="Tokens with cost", kind=Kind.COUNT, summed=True,
           meaning="input and output, of the slots whose replicas and price are known"),
)  # fmt: skip

MONEY = (
    Column(key="allocated_cost", title="Cost", kind=Kind.MONEY, summed=True, meaning="allocated GPU-hours × price",
           formula="{allocated_gpu_h} * {price}"),
    Column(key="needed_cost", title="Needed cost", kind=Kind.MONEY, summed=True, meaning="needed GPU-hours × price",
           formula="{needed_gpu_h} * {price}"),
    Column(key="idle_cost", title="Idle cost", kind=Kind.MONEY, summed=True, meaning="idle GPU-hours × price",
           formula="{idle_gpu_h} * {price}"),
    *(Column(key=f"{cause}_cost", title=f"Idle cost: {title}", kind=Kind.MONEY, summed=True,
             meaning=f"{title} GPU-hours × price", formula=f"{{{cause}_gpu_h}} * {{price}}")
      for cause, (title, _) in CAUSES.items()),
    Column(key="unexplained_cost", title="Unexplained cost", kind=Kind.MONEY, summed=True,
           meaning="unexplained GPU-hours × price", formula="{unexplained_gpu_h} * {price}"),
    Column(key="request_cost", title="Cost with requests", kind=Kind.MONEY, summed=True,
           meaning="GPU-h with requests × price", formula="{request_gpu_h} * {price}"),
    Column(key="token_cost", title="Cost with tokens", kind=Kind.MONEY, summed=True,
           meaning="GPU-h with tokens × price", formula="{token_gpu_h} * {price}"),
)  # fmt: skip

SERVICE_LEVEL = (
    Column(key="breach_minutes", title="Breach minutes", kind=Kind.MINUTES, summed=True,
           meaning="minutes of the slots in which an objective did not hold: measured where it was measured, else "
                   "where fewer replicas ran than it needs"),
    Column(key="judged_minutes", title="Judged minutes", kind=Kind.MINUTES, summed=True,
           meaning="minutes of the slots of which that is known"),
)  # fmt: skip

RATIOS = (
    Column(key="attainment", title="SLO attainment", kind=Kind.SHARE,
           meaning="1 − breach minutes / judged minutes", formula="1 - {breach_minutes} / {judged_minutes}"),
    Column(key="utilisation", title="Utilisation", kind=Kind.SHARE,
           meaning="used / (allocated − unexplained) GPU-hours",
           formula="{used_gpu_h} / ({allocated_gpu_h} - {unexplained_gpu_h})"),
    Column(key="per_million_tokens", title="Cost of 1M tokens", kind=Kind.PRICE,
           meaning="cost with tokens / tokens with cost × 1,000,000: both of the same slots",
           formula="{token_cost} / {costed_tokens} * 1000000"),
    Column(key="per_thousand_requests", title="Cost of 1k requests", kind=Kind.PRICE,
           meaning="cost with requests / requests with cost × 1,000: both of the same slots",
           formula="{request_cost} / {costed_requests} * 1000"),
)  # fmt: skip

SUMMED = tuple(each.key for each in (*QUANTITIES, *MONEY, *SERVICE_LEVEL))


def with_ratios(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with its ratios; None where what it is divided by is not known or 0."""
    return {**row, **{each.key: value_of(each.formula, row) for each in RATIOS}}


def priced(row: Mapping[str, Any], price: float | None) -> dict[str, Any]:
    """The row with its money; None without a price."""
    known = {**row, "price": price}
    return {**row, **{each.key: value_of(each.formula, known) for each in MONEY}}


def summed(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Sums of all that can be summed, None where no row knows it; with their ratios."""
    kept = list(rows)
    sums: dict[str, Any] = {}
    for key in SUMMED:
        known = [row[key] for row in kept if row[key] is not None]
        sums[key] = sum(known) if known else None
    return with_ratios(sums)
