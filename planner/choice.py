"""Which row of a comparison to choose: the cheapest, and whether the difference is more than the profiles' errors.

Ranked by cost an hour, of GPUs and of building engines for every version (`--releases-per-month`). Where no price is
known but all GPUs are of one type, by GPUs, those that build included.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from planner.comparison_row import Row
from planner.units import format_share

_SAME = 1e-9


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which to choose, why, and how sure that is."""

    name: str | None
    decided: bool
    reason: str
    runner_up: str | None = None
    saving_per_hour: float | None = None
    saving_share: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "name": self.name,
            "decided": self.decided,
            "reason": self.reason,
            "runner_up": self.runner_up,
            "saving_per_hour": self.saving_per_hour,
            "saving_share": self.saving_share,
        }


def ranked_rows(rows: Sequence[Row]) -> list[tuple[Row, float]]:
    """Rows with what they are ranked by: dollars an hour, or GPUs where all are of one type and none has a price."""
    planned = [row for row in rows if row.feasible]
    ranked = [(row, cost) for row in planned if (cost := row.per_hour_with_builds) is not None]
    if not ranked and len({row.candidate.gpu.lower() for row in planned}) == 1:
        ranked = [(row, row.gpus + row.builds_gpus) for row in planned]
    return sorted(ranked, key=lambda each: each[1])


def choose(rows: Sequence[Row]) -> Choice:
    """The cheapest plan, why, and whether the rest is dearer by more than the profiles' errors."""
    ranked = ranked_rows(rows)
    if not ranked:
        planned = any(row.feasible for row in rows)
        reason = (
            "no price is known of GPUs of different types: give --gpu-price TYPE=USD or --prices FILE"
            if planned
            else "no profile meets every objective"
        )
        return Choice(name=None, decided=False, reason=reason)
    best, cost = ranked[0]
    unpriced = sorted(row.name for row in rows if row.feasible and row not in [each for each, _ in ranked])
    hole = f"; not ranked, for want of a price: {', '.join(unpriced)}" if unpriced else ""
    if len(ranked) == 1:
        alone = "the only one with a plan" if not unpriced else "the only one with a plan and a price"
        return Choice(name=best.name, decided=not unpriced, reason=f"{alone}{hole}")
    second, other = ranked[1]
    decided, doubt = _decided(best, [row for row, _ in ranked[1:]])
    if math.isclose(cost, other, rel_tol=_SAME):
        alike = [row for row, each in ranked if math.isclose(each, cost, rel_tol=_SAME)]
        best, second, why = _of_equals(alike)
        reason = f"it costs the same as {second.name}, and {why}"
        return Choice(
            name=best.name, decided=False, reason=reason + hole, runner_up=second.name,
            saving_per_hour=0.0, saving_share=0.0,
        )  # fmt: skip
    share = 1.0 - cost / other
    builds = ", builds included," if any(row.builds_gpus or row.builds_per_hour for row, _ in ranked[:2]) else ""
    unit = f"less an hour{builds}" if best.per_hour is not None else f"fewer GPUs{builds}"
    reason = f"{format_share(share)} {unit} than {second.name}, the next{doubt}{hole}"
    saving = None if best.per_hour is None else other - cost
    return Choice(
        name=best.name, decided=decided and not unpriced, reason=reason, runner_up=second.name,
        saving_per_hour=saving, saving_share=share,
    )  # fmt: skip


def _of_equals(rows: Sequence[Row]) -> tuple[Row, Row, str]:
    """Of rows that cost the same the surest, the quickest to set up, or the one that carries most more; the next; why.

    What is measured goes before what is estimated: a saving of nothing is no reason to trust an estimate, nor to build.
    """

    def worth(row: Row) -> tuple[bool, float, float]:
        return not row.candidate.estimated, -row.set_up.compile_hours, row.headroom or 0.0

    best, second = sorted(rows, key=worth, reverse=True)[:2]
    if best.candidate.estimated != second.candidate.estimated:
        return best, second, "is measured, not estimated"
    if best.set_up.compile_hours < second.set_up.compile_hours:
        return best, second, "needs no engine to be built"
    if best.headroom is None:
        return best, second, "nothing here tells them apart"
    return best, second, f"carries more with it ({format_share(best.headroom)} above the asked rate)"


def _decided(best: Row, others: Sequence[Row]) -> tuple[bool, str]:
    """Whether the best is cheapest throughout its own and the others' ranges; a doubt in words where it is not."""
    own = _between(best, priced=best.per_hour is not None)
    if own is None:
        return False, f"; how sure that is is not known: {best.name} states no error of its step time"
    for other in others:
        theirs = _between(other, priced=best.per_hour is not None)
        if theirs is None:
            return False, f"; how sure that is is not known: {other.name} states no error of its step time"
        if theirs[0] <= own[1]:
            return False, f"; not decided: within the profiles' errors {other.name} may cost no more"
    return True, "; more than the profiles' errors can turn round"


def _between(row: Row, *, priced: bool) -> tuple[float, float] | None:
    """What the row is ranked by, if steps are as much faster or slower as they may be."""
    if not priced:
        return _gpus_between(row)
    cost = row.per_hour_between
    return None if cost is None else (cost[0] + row.builds_per_hour, cost[1] + row.builds_per_hour)


def _gpus_between(row: Row) -> tuple[float, float] | None:
    if row.between is None:
        return None
    per_replica = row.gpus / int(row.fields["replicas"])
    high = row.between.high
    most = math.inf if high is None else high * per_replica
    return row.between.low * per_replica + row.builds_gpus, most + row.builds_gpus
