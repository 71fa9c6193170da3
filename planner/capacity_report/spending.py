"""Where the money goes: the cost cut into work, idle time by its cause, and what is not explained."""

from __future__ import annotations

from planner.capacity_report.document import CapacityReport, Column, Kind, Table
from planner.capacity_report.measures import CAUSES

_COLUMNS = (
    Column(key="part", title="Part"),
    Column(key="cost", title="Cost", kind=Kind.MONEY, summed=True),
    Column(key="share", title="Share", kind=Kind.SHARE, summed=True,
           meaning="of the cost; of the GPU-hours where no price is known"),
    Column(key="gpu_h", title="GPU-h", kind=Kind.GPU_HOURS, summed=True),
    Column(key="meaning", title="What it is"),
)  # fmt: skip


def spending(report: CapacityReport) -> Table:
    """The parts in the order in which GPU-hours are given to them; they add up to the cost of the ledger."""
    ledger = report.table("ledger")
    whole_cost, whole_gpu_h = ledger.total("allocated_cost"), ledger.total("allocated_gpu_h")
    idle_cost, unexplained_cost = ledger.total("idle_cost"), ledger.total("unexplained_cost")
    used_cost = None if whole_cost is None else whole_cost - (idle_cost or 0.0) - (unexplained_cost or 0.0)
    parts = [
        ("used", "work", "GPU-hours of work, at the greatest rate that a replica carries", used_cost),
        *((cause, title, meaning, ledger.total(f"{cause}_cost")) for cause, (title, meaning) in CAUSES.items()),
        ("unexplained", "unexplained", ledger.column("unexplained_gpu_h").meaning, unexplained_cost),
    ]
    rows = []
    for key, title, meaning, cost in parts:
        gpu_h = ledger.total(f"{key}_gpu_h")
        share = _share(gpu_h, whole_gpu_h) if whole_cost is None else _share(cost, whole_cost)
        name = f"idle: {title}" if key in CAUSES else title
        rows.append({"part": name, "cost": cost, "share": share, "gpu_h": gpu_h, "meaning": meaning})
    return Table(name="spending", title="Where the money goes", columns=_COLUMNS, rows=tuple(rows))


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole
