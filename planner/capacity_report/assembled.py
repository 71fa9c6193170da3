"""The whole report of records and prices: the ledger, its sums, and all that explains them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import planner
from planner.capacity_report.assumptions import (
    Assumption,
    assumptions_of,
    assumptions_table,
    method,
    provenance,
)
from planner.capacity_report.checks import checks_table
from planner.capacity_report.commitments import Commitment
from planner.capacity_report.committed_use import committed_use
from planner.capacity_report.days import days_table
from planner.capacity_report.document import CapacityReport, Kind, Row, Table
from planner.capacity_report.holes import Hole, holes_of, holes_table, price_holes
from planner.capacity_report.ledger import GROUPINGS, grouped, iso, ledger_table, lines
from planner.capacity_report.measures import summed
from planner.capacity_report.period import Period
from planner.capacity_report.price_list import PriceList, prices_table
from planner.capacity_report.price_mix import price_mix_table, services_by_price
from planner.capacity_report.service_record import ServiceRecord


@dataclass(frozen=True, kw_only=True)
class Material:
    """What a report is made of."""

    period: Period
    covered: int
    """Slots that are over."""
    records: Sequence[ServiceRecord]
    prices: PriceList
    currency: str
    made_on: date
    assumptions: Sequence[Assumption] = ()
    """Beside those of every report."""
    holes: Sequence[Hole] = ()
    commitments: Sequence[Commitment] = ()
    advice: Sequence[Table] = ()
    """What-if, growth, purchases, risk, decisions."""


def capacity_report(material: Material) -> CapacityReport:
    """The report."""
    period, covered = material.period, material.covered
    ledger: list[dict[str, Any]] = []
    holes = list(material.holes)
    assumptions = [*method(period), *material.assumptions]
    committed = committed_use(material.commitments, material.records, material.prices, period, covered=covered)
    for record in material.records:
        name = record.accounted.name
        stretches = committed.stretches.get(name) or [line.stretch for line in material.prices[name]]
        ledger += lines(record, period, stretches, covered=covered)
        holes += holes_of(record, period, covered=covered)
        assumptions += assumptions_of(record)
    ledger += committed.lines
    of_pools = [line for each in material.prices.values() for line in each]
    of_commitments = [line for each in material.commitments for line in each.every_line]
    holes += [*price_holes(of_pools, services_by_price(ledger, committed.mixes)), *committed.holes]
    assumptions += provenance(record.accounted.profile for record in material.records)
    sums = [grouped(ledger, key) for key in GROUPINGS]
    days = days_table(material.records, period, covered=covered, beside=committed.not_held)
    tables = (
        *sums,
        days,
        *material.advice,
        ledger_table(ledger),
        prices_table(material.prices, of_commitments),
        *([price_mix_table(committed.mixes)] if committed.mixes else []),
        assumptions_table(assumptions),
        holes_table(holes),
        checks_table(ledger, [*sums, days]),
    )
    return CapacityReport(
        title=f"GPU capacity, {period.name}",
        period=period.name,
        start=iso(period.start_s),
        end=iso(period.end_s),
        time_zone=period.time_zone,
        hours=period.hours,
        covered_hours=covered * period.slot_s / 3600.0,
        currency=material.currency,
        made_on=material.made_on,
        version=planner.__version__,
        headline=_headline(summed(ledger), holes),
        tables=tables,
    )


def _headline(whole: Mapping[str, Any], holes: Sequence[Hole]) -> tuple[Row, ...]:
    def figure(key: str, label: str, kind: Kind, note: str = "") -> Row:
        return {"key": key, "label": label, "value": whole[key], "kind": kind.value, "note": note}

    idle = None if not whole["allocated_cost"] else (whole["idle_cost"] or 0.0) / whole["allocated_cost"]
    return (
        figure("allocated_cost", "Cost", Kind.MONEY, "allocated GPU-hours × price"),
        figure("idle_cost", "Idle cost", Kind.MONEY,
               "" if idle is None else f"{idle:.0%} of the cost; its causes are told below"),
        figure("over_provisioned_cost", "Over-provisioning", Kind.MONEY,
               "idle for no cause that an objective or a policy gives"),
        figure("allocated_gpu_h", "Allocated GPU-hours", Kind.GPU_HOURS, "where the replicas are known"),
        figure("needed_gpu_h", "Needed GPU-hours", Kind.GPU_HOURS,
               "at the objectives, by the queueing model, where the demand is known"),
        figure("shortfall_gpu_h", "Short GPU-hours", Kind.GPU_HOURS, "needed and not there"),
        figure("attainment", "SLO attainment", Kind.SHARE),
        figure("breach_minutes", "Breach minutes", Kind.MINUTES),
        figure("per_million_tokens", "Cost of 1M tokens", Kind.PRICE),
        figure("per_thousand_requests", "Cost of 1k requests", Kind.PRICE),
        {"key": "holes", "label": "Holes", "value": len(holes), "kind": Kind.COUNT.value,
         "note": "what is not known, by name; see the table"},
    )  # fmt: skip
