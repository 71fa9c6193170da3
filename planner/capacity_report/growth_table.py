"""Growth: how demand may go on in three scenarios, and the day on which committed capacity runs out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from models.capacity_exhaustion import exhaustion
from models.demand_growth import require_plausible, trend_growth
from models.demand_scenario import DAYS_PER_YEAR, BegunBefore, DemandScenario, GrowthScenarios, stated_growth
from models.errors import InvalidInput
from models.need_curve import NeedAt
from models.need_law import NeedLaw
from models.purchase_offers import ExistingCommitment
from planner.capacity_report.document import Column, Kind, Table, rows_of
from planner.capacity_report.period import Period
from planner.capacity_report.pools import RECENT_DAYS, Pool
from planner.fleet_file import CommitmentFields, FleetFile

_ALREADY = "it is too little already"
QUANTILE = 0.99
"""Of the slots, in which what is committed must be enough."""
_COLUMNS = (
    Column(key="pool", title="Pool"),
    Column(key="scenario", title="Scenario"),
    Column(key="yearly_growth", title="Growth a year", kind=Kind.SHARE),
    Column(key="needed_gpus", title="Needed now", kind=Kind.COUNT,
           meaning="GPUs that were enough in 99 % of the slots of the period's last 28 days, as the ledger has them, "
                   "minimum replicas included"),
    Column(key="committed_gpus", title="Committed now", kind=Kind.COUNT),
    Column(key="runs_out", title="Runs out on", kind=Kind.DATE,
           meaning="the first day on which 1 % of the slots need more than is committed"),
    Column(key="needed_then", title="Needed then", kind=Kind.COUNT),
    Column(key="cause", title="Why"),
    Column(key="basis", title="Basis"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PoolGrowth:
    """The scenarios of a pool, and what they rest on."""

    scenarios: GrowthScenarios
    basis: str
    known: bool = True
    """Whether somebody or something told of them; else demand stays as it is."""
    is_trend: bool = False
    """Of the period's own days; else growth begins at the end of the period."""

    @property
    def rates(self) -> str:
        """What demand grows by, in words."""
        if not self.known:
            return "no growth of demand is known, none is assumed"
        each = (f"{each.name} {each.yearly_rate:,.0%}" for each in self.scenarios.each)
        return f"growth a year: {', '.join(each)} ({'the trend' if self.is_trend else 'stated'})"

    @property
    def trend(self) -> DemandScenario | None:
        """What the period itself grew by."""
        return self.scenarios.base if self.is_trend else None

    def seen_from(self, day: date, history_ends: date) -> tuple[DemandScenario, ...]:
        """The scenarios (one where none is known) from a day on, which may be later than the end of the history."""
        years = max(0, (day - history_ends).days) / DAYS_PER_YEAR
        each = self.scenarios.each if self.known else (self.scenarios.base,)
        return tuple(BegunBefore(scenario=scenario, years=years) for scenario in each)


def growth_of(pool: Pool, fleet: FleetFile, period: Period) -> PoolGrowth:
    """As the fleet file says, else by the trend of the period's days, else none."""
    if fleet.growth is not None:
        low, base, high = fleet.growth.low, fleet.growth.base, fleet.growth.high
        return PoolGrowth(
            scenarios=stated_growth(low=low, base=base, high=high),
            basis=f"stated in the fleet file; from demand of {_recent(pool, period)} on",
        )
    try:
        trend = trend_growth(*pool.daily_requests(period))
        require_plausible(trend)
    except InvalidInput as error:
        return PoolGrowth(
            scenarios=stated_growth(low=0.0, base=0.0, high=0.0),
            basis=f"demand of {_recent(pool, period)}: {error}; state `growth:` in the fleet file",
            known=False,
        )
    days = f"{trend.days_used} days" + (f", {trend.days_missing} missing" if trend.days_missing else "")
    return PoolGrowth(
        scenarios=trend,
        is_trend=True,
        basis=f"trend of {days}; low and high: 1 and 9 chances in 10 that growth is no more. "
        "Less than a year cannot tell growth from season",
    )


def _recent(pool: Pool, period: Period) -> str:
    return f"the last {RECENT_DAYS} days" if pool.recent(period).start else "the whole period"


def commitments_of(pool: Pool, fleet: FleetFile, today: date) -> list[ExistingCommitment]:
    """What is bought already for a pool, from a day on."""

    def is_of(each: CommitmentFields) -> bool:
        return each.cluster == pool.cluster and each.gpu.lower() == pool.gpu.lower()

    return [
        ExistingCommitment(gpus=each.gpus, days_left=(each.until - today).days)
        for each in fleet.commitments
        if is_of(each) and each.until > today
    ]


def growth_table(pools: Sequence[Pool], fleet: FleetFile, period: Period, *, today: date) -> Table:
    """A row for each pool and scenario."""
    rows = [row for pool in pools for row in _rows(pool, fleet, period, today)]
    return Table(
        name="growth", title="When capacity runs out", columns=_COLUMNS, rows=rows_of(_COLUMNS, rows),
        note="; ".join(sorted({as_of(pool, period, today) for pool in pools})),
    )  # fmt: skip


def as_of(pool: Pool, period: Period, today: date) -> str:
    """The day that is today for advice, and what is taken to have been since the history ended."""
    ends = pool.history_ends(period)
    if today <= ends:
        return f"As of {today}, where the history ends."
    return f"As of {today}: the history ends on {ends}, and demand is taken to have grown since as each scenario says."


def _rows(pool: Pool, fleet: FleetFile, period: Period, today: date) -> list[dict[str, Any]]:
    growth = growth_of(pool, fleet, period)
    committed = commitments_of(pool, fleet, today)
    rates = {each.name: each.yearly_rate for each in growth.scenarios.each}
    need_at = pool.need_at(growth.trend, period)
    needed_now = NeedLaw.of_slots(pool.needed[pool.recent(period)]).quantile(QUANTILE)
    rows = []
    for scenario in growth.seen_from(today, pool.history_ends(period)):
        row: dict[str, Any] = {
            "pool": pool.name,
            "scenario": scenario.name,
            "yearly_growth": rates[scenario.name],
            "needed_gpus": needed_now,
            "committed_gpus": sum(each.gpus for each in committed),
            "basis": growth.basis,
        }
        try:
            found = _run_out(need_at, scenario, committed, today)
            if found["cause"] == _ALREADY and needed_now <= row["committed_gpus"]:
                found["cause"] = f"{_ALREADY} with what demand is taken to have grown"
            rows.append({**row, **found})
        except InvalidInput as error:  # such as a need beyond all measure after years of growth
            rows.append({**row, "cause": told(error)})
    return rows


def _run_out(
    need_at: NeedAt, scenario: DemandScenario, committed: Sequence[ExistingCommitment], today: date
) -> dict[str, Any]:
    if not committed:
        return {"cause": "nothing is committed"}
    found = exhaustion(need_at, scenario, committed, quantile=QUANTILE)
    return {
        "runs_out": None if found.day is None else today + timedelta(days=found.day),
        "needed_then": found.needed_gpus,
        "cause": _cause(found.cause, horizon_days=found.horizon_days),
    }


def told(error: InvalidInput) -> str:
    """What is wrong and what helps, where something does."""
    return "; ".join(each for each in (str(error), error.remedy) if each)


def _cause(cause: str | None, *, horizon_days: int) -> str:
    if cause is None:
        return f"enough for {horizon_days} days"
    return {"already": _ALREADY, "growth": "growth"}.get(cause, cause)
