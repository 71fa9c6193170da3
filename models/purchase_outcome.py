"""What a commitment comes to: when it has paid for itself, and what it costs where demand turns out another.

Savage's regret (1951, The Theory of Statistical Decision, JASA 46, 55-67): what a decision costs beyond the best that
could have been taken, had the demand been known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.demand_scenario import DAYS_PER_YEAR
from models.errors import InvalidInput
from models.need_law import NeedLaw
from models.purchase_mix import Purchase, PurchaseMix, best_mix, horizon
from models.purchase_offers import ExistingCommitment

HOURS_PER_YEAR = 8760.0
_MONTHS = 12.0
_SAME = 1e-9


@dataclass(frozen=True, kw_only=True)
class Payback:
    """Money of one purchase over its term, and months after it."""

    committed: float
    """To be paid over the term in any case; of a later purchase, over what of the term lies inside the horizon."""
    upfront: float
    """Of that, at once."""
    upfront_months: float | None
    """When what is avoided, less what is still paid by the hour, has come to what was paid upfront."""
    commitment_months: float | None
    """When what is avoided has come to the whole commitment: from then on it cannot lose. None: not in the term."""


def payback(purchase: Purchase) -> Payback:
    """Of one purchase, each year's need spread evenly over the year; of its term, the part inside the horizon."""
    offer, years = purchase.offer, min(purchase.offer.term_years, purchase.years)
    rate = purchase.price_per_hour
    committed = rate * HOURS_PER_YEAR * years
    upfront = committed * offer.upfront_share
    instalment = rate * (1.0 - offer.upfront_share)
    net = [avoided - instalment for avoided in purchase.avoided_per_hour]
    return Payback(
        committed=committed,
        upfront=upfront,
        upfront_months=_months_until(upfront, net, years),
        commitment_months=_months_until(committed, purchase.avoided_per_hour, years),
    )


def _months_until(amount: float, per_hour: Sequence[float], term_years: float) -> float | None:
    """The first month at which the sum of an hourly flow, constant in each year, reaches the amount."""
    total, missing = 0.0, amount * (1.0 - _SAME)
    if missing <= 0.0:
        return 0.0
    for year, flow in enumerate(per_hour):
        lasts = min(1.0, term_years - year)
        if flow > 0.0 and total + flow * HOURS_PER_YEAR * lasts >= missing:
            return _MONTHS * (year + (missing - total) / (flow * HOURS_PER_YEAR))
        total += flow * HOURS_PER_YEAR * lasts
    return None


@dataclass(frozen=True, kw_only=True)
class Regret:
    """What the purchases of today come to under another demand. Costs are means over the horizon."""

    cost_per_hour: float
    """With what is bought today, and later purchases chosen for this demand."""
    best_per_hour: float
    """Of the mix that would have been best for this demand."""
    idle_gpus: float
    """Committed and not needed, in the mean of the first year."""
    short_gpus: float
    """Needed beyond what is committed, and taken on demand or as spot, in the mean of the first year."""
    horizon_years: int

    @property
    def regret_per_hour(self) -> float:
        """Never negative."""
        return max(0.0, self.cost_per_hour - self.best_per_hour)

    @property
    def regret(self) -> float:
        """Over the whole horizon."""
        return self.regret_per_hour * HOURS_PER_YEAR * self.horizon_years


def regret(mix: PurchaseMix, laws: Sequence[NeedLaw], existing: Sequence[ExistingCommitment] = ()) -> Regret:
    """Of a mix where the need follows other laws, as many as the mix has years (or one for all of them)."""
    laws = horizon(list(laws) * len(mix.years) if len(laws) == 1 else laws, mix.options)
    if len(laws) != len(mix.years):
        raise InvalidInput(f"the other demand is given for {len(laws)} years, the mix for {len(mix.years)}")
    now = [each for each in mix.purchases if each.is_now]
    bought = [ExistingCommitment(gpus=each.gpus, days_left=each.years * DAYS_PER_YEAR) for each in now]
    held = best_mix(laws, mix.options, [*existing, *bought], buys_today=False)
    best = best_mix(laws, mix.options, existing)
    paid = sum(each.price_per_hour * each.years for each in now) / len(laws)
    return Regret(
        cost_per_hour=held.cost_per_hour + paid,
        best_per_hour=best.cost_per_hour,
        idle_gpus=held.years[0].idle_gpus,
        short_gpus=held.years[0].short_gpus,
        horizon_years=len(laws),
    )
