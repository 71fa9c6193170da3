"""A fleet whose names are traps for spreadsheets: patterns, comparisons, formulas, other cases of the same letters."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from planner.capacity_report.assembled import Material, capacity_report
from planner.capacity_report.document import CapacityReport
from planner.capacity_report.price_list import PriceLine
from planner.capacity_report.service_record import record
from tests.planner.capacity_report.small_fleet import OCTOBER, accounted, daily, history

NAMES = (
    "a", "A", "*", "?", "~", "a*", "<5", "<>", "=x", "=1+1", "+1", "-1", "@SUM(A1)", "\tcmd", "5", "5.0", "TRUE",
    "#N/A", "2026-10", "'quoted'", '"', "&amp;", "_x0041_", "é", "e\u0301", "🙂", " a", "a ", "(none)", "l" * 200,
)  # fmt: skip


def trap_report(*, factor: float = 1.0) -> CapacityReport:
    """Each name is a team, a service and a cluster, with a price of its own; the third's is not known."""
    day = record(accounted("chat"), history(daily(10.0, 120.0), 5.0), OCTOBER)
    records, prices = [], {}
    for count, name in enumerate(NAMES):
        fields = day.accounted.fields.model_copy(update={"name": name, "team": name, "cluster": name})
        one = replace(day, accounted=replace(day.accounted, fields=fields))
        cluster, gpu = one.accounted.pool
        records.append(one)
        prices[name] = (
            PriceLine(
                key=name, cluster=cluster, gpu=gpu, start_s=OCTOBER.start_s, end_s=OCTOBER.end_s,
                list_price=None if count == 2 else factor * (1.0 + count), discount=0.01 * count, pricing="=on+demand",
                told="stated by the test",
            ),
        )  # fmt: skip
    return capacity_report(
        Material(
            period=OCTOBER, covered=OCTOBER.slots, records=records, prices=prices, currency="EUR",
            made_on=date(2026, 11, 1),
        )
    )  # fmt: skip
