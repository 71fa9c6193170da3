"""Which GPUs to commit to: on demand, reserved for a term and spot, at the least expected cost.

The k-th GPU is needed in a share `u_k` of the time, which falls with k. Reserved it costs its price always, on demand
`u_k·p`: it is reserved where `u_k > r/p`, so that what is committed is the quantile of the need at the critical ratio
`1 − r/p` (the newsvendor: Arrow, Harris & Marschak 1951, Optimal Inventory Policy, Econometrica 19, 250-272). With
several prices these are the screening curves of power systems: each layer of the load duration curve is supplied by
what is cheapest for the hours that it runs (Phillips, Jenkin, Pritchard & Rybicki 1969, A Mathematical Model for
Determining Generating Plant Mix, 3rd Power Systems Computation Conference, Rome).

Of `N` GPUs that run in a slot at most the whole part `m` of the greatest share may be spot, so that a sudden loss of
all of it leaves the rest. Beyond `c` committed ones `(N − c)⁺` are taken, `min((N − c)⁺, m)` of them as spot, at its
price with what interruptions cost, `s`. So the k-th committed GPU spares `s·P(N ≥ k) + (p − s)·P(N − m ≥ k)`, which
falls with k as long as `s ≤ p`: cost is convex, and layers can be judged one by one.

Terms begin today, on the day on which an existing commitment ends, or whole years after those; of a term that reaches
beyond the horizon the part inside counts, in cost and in what it spares (models/purchase_times.py). Over years with a
law of need each, a layer takes the cheapest sequence of terms. That is the least cost of all mixes where what is bought
can always be laid in layers; else it takes a linear programme (models/purchase_programme.py). Replicas of several GPUs
are bought whole: layers are replicas.

Not considered: purchases on other days, so that a growing need is met once a year and where commitments end; days on
which commitments end beyond the six of most GPUs; prices that change; interest. Later purchases are planned today, not
adapted to what is known by then, so that short terms, and waiting, are worth a bit more than here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidInput
from models.mix_year import MixYear, mix_year
from models.need_law import NeedLaw
from models.purchase_offers import (
    ExistingCommitment,
    PurchaseOptions,
    ReservedOffer,
    covered_years,
    standing,
)
from models.purchase_plans import Contract, layered, lies_in_layers, one_a_term
from models.purchase_programme import programmed
from models.purchase_times import Start, Timeline, timeline
from models.purchase_values import spared

Array = NDArray[np.float64]

MOST_YEARS = 6
_SAME = 1e-9
"""Of the price on demand: what a commitment must spare at least. A tie commits to nothing, and to the shorter term."""


@dataclass(frozen=True, kw_only=True)
class Purchase:
    """GPUs of one offer, whose term begins on one day."""

    offer: ReservedOffer
    start: Start
    years: float
    """Of the term, those inside the horizon; a term of less than a year is renewed within it."""
    gpus: int
    avoided_per_hour: tuple[float, ...]
    """In each year of the term inside the horizon: what these GPUs would cost on demand and as spot."""

    @property
    def is_now(self) -> bool:
        """Whether the term begins today."""
        return self.start.time == 0.0

    @property
    def price_per_hour(self) -> float:
        """Of all its GPUs."""
        return self.offer.price_per_gpu_hour * self.gpus


@dataclass(frozen=True, kw_only=True)
class PurchaseMix:
    """The mix of least expected cost. What was bought before costs nothing here, in both comparisons."""

    purchases: tuple[Purchase, ...]
    years: tuple[MixYear, ...]
    reserved_per_hour: float
    """Mean over the horizon, like every cost here."""
    options: PurchaseOptions = field(repr=False)

    @property
    def bought_now(self) -> dict[str, int]:
        """GPUs to commit to today, by the name of the offer; those that are not worth it at 0."""
        counts = {offer.name: 0 for offer in self.options.reserved}
        return counts | {each.offer.name: each.gpus for each in self.purchases if each.is_now}

    @property
    def cost_per_hour(self) -> float:
        """Everything that is yet to be paid."""
        return self.reserved_per_hour + sum(year.running_per_hour for year in self.years) / len(self.years)

    @property
    def all_on_demand_per_hour(self) -> float:
        """The same need, all of it beyond existing commitments on demand."""
        return sum(year.all_on_demand_per_hour for year in self.years) / len(self.years)

    @property
    def saving_per_hour(self) -> float:
        """Never negative."""
        return self.all_on_demand_per_hour - self.cost_per_hour


def best_mix(
    laws: Sequence[NeedLaw],
    options: PurchaseOptions,
    existing: Sequence[ExistingCommitment] = (),
    *,
    buys_today: bool = True,
) -> PurchaseMix:
    """The cheapest mix for the need of each year; a single law holds for each year of the longest term.

    What is decided today already is among the `existing`, where nothing else is bought today.
    """
    laws = horizon(laws, options)
    time = timeline(existing, len(laws))
    values = spared(laws, options, existing, time)
    contracts = _contracts(options, values, time, 0 if buys_today else 1)
    purchases = _purchases(contracts, values, time, options.replica_gpus)
    return PurchaseMix(
        purchases=purchases,
        years=tuple(
            mix_year(law, _parts(contracts, existing, time, year, options), options) for year, law in enumerate(laws)
        ),
        reserved_per_hour=sum(each.price_per_hour * each.years for each in purchases) / len(laws),
        options=options,
    )


def horizon(laws: Sequence[NeedLaw], options: PurchaseOptions) -> list[NeedLaw]:
    """A law for each year of the horizon, which is as long as the longest term at least."""
    longest = max((covered_years(offer) for offer in options.reserved), default=1)
    years = longest if len(laws) == 1 else len(laws)
    if not longest <= years <= MOST_YEARS:
        raise InvalidInput(
            f"the need is given for {len(laws)} years, and the longest term is {longest}",
            remedy=f"give the need of each year of the longest term, of {MOST_YEARS} at most, or one for all years",
        )
    return list(laws) * years if len(laws) == 1 else list(laws)


def _contracts(options: PurchaseOptions, values: Array, time: Timeline, first: int) -> Counter[Contract]:
    """Replicas of each contract: layer by layer, or all together where terms overlap."""
    if not options.reserved or not values.size:
        return Counter()
    offers = [
        replace(offer, price_per_gpu_hour=offer.price_per_gpu_hour * options.replica_gpus)
        for offer in one_a_term(options)
    ]
    tie = options.on_demand_per_gpu_hour * options.replica_gpus * _SAME
    solve = layered if lies_in_layers(offers, time, first) else programmed
    priced = solve(offers, values, time, first=first, tie=tie)
    named = {offer.name: offer for offer in options.reserved}
    return Counter({(named[offer.name], begin): replicas for (offer, begin), replicas in priced.items()})


def _purchases(contracts: Counter[Contract], values: Array, time: Timeline, replica_gpus: int) -> tuple[Purchase, ...]:
    """The contracts with what they spare: those of long terms carry the need that is most constant."""
    below = [0] * values.shape[0]
    purchases = []
    for (offer, begin), replicas in sorted(contracts.items(), key=lambda item: (-item[0][0].term_years, item[0][1])):
        covered = time.covered(offer, begin)
        avoided = [float(values[each, below[each] : below[each] + replicas].sum()) for each in covered]
        purchases.append(
            Purchase(
                offer=offer,
                start=time.starts[begin],
                years=time.lasts(covered),
                gpus=replicas * replica_gpus,
                avoided_per_hour=_by_year(avoided, time, covered),
            )
        )
        for each in covered:
            below[each] += replicas
    return tuple(sorted(purchases, key=lambda each: (each.start.time, each.offer.term_years)))


def _by_year(avoided: Sequence[float], time: Timeline, covered: range) -> tuple[float, ...]:
    """The mean of each year of a term, from prices of an hour times years in each stretch that it covers."""
    since = time.cuts[covered.start : covered.stop] - time.cuts[covered.start]
    years = (since + _SAME).astype(int)
    lasted = np.bincount(years, time.lengths[covered.start : covered.stop])
    return tuple((np.bincount(years, avoided) / lasted).tolist())


def _parts(
    contracts: Counter[Contract],
    existing: Sequence[ExistingCommitment],
    time: Timeline,
    year: int,
    options: PurchaseOptions,
) -> list[tuple[float, int, int]]:
    """Of each part of a year its share, GPUs that still stand and GPUs bought since."""
    parts = []
    for stretch, lasts in enumerate(time.lengths):
        if time.year(stretch) != year:
            continue
        replicas = sum(n for (offer, begin), n in contracts.items() if stretch in time.covered(offer, begin))
        stands = standing(existing, float(time.cuts[stretch]), float(time.cuts[stretch + 1]))
        parts += [(share * float(lasts), before, replicas * options.replica_gpus) for share, before in stands]
    return parts
