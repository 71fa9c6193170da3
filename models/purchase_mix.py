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

Over years with a law of need each, a layer takes the cheapest sequence of terms. That is the least cost of all mixes
where terms are one year and the whole horizon, as what is bought can then always be laid in layers; terms between those
need a linear programme (models/purchase_programme.py). All prices stay as they are; money has no interest; later
purchases are planned today, not adapted to what is known by then, so that short terms are worth a bit more than here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidInput
from models.mix_year import MixYear, mix_year
from models.need_law import NeedLaw, mixed
from models.purchase_offers import (
    ExistingCommitment,
    PurchaseOptions,
    ReservedOffer,
    covered_years,
    standing,
)
from models.purchase_plans import Contract, layered, one_a_term
from models.purchase_programme import programmed

Array = NDArray[np.float64]

MOST_YEARS = 6
_SAME = 1e-9
"""Of the price on demand: what a commitment must spare at least. A tie commits to nothing, and to the shorter term."""


@dataclass(frozen=True, kw_only=True)
class Purchase:
    """GPUs of one offer, bought at the beginning of a year of the horizon (0 is now)."""

    offer: ReservedOffer
    year: int
    gpus: int
    avoided_per_hour: tuple[float, ...]
    """In each year that it covers: what these GPUs would cost on demand and as spot."""


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
        return counts | {each.offer.name: each.gpus for each in self.purchases if each.year == 0}

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
    first_purchase: int = 0,
) -> PurchaseMix:
    """The cheapest mix for the need of each year; a single law holds for each year of the longest term.

    Nothing is bought before the year `first_purchase`.
    """
    laws = horizon(laws, options)
    values = _values(laws, options, existing)
    purchases = _purchases(_counts(options, values, first_purchase), values)
    return PurchaseMix(
        purchases=purchases,
        years=tuple(
            mix_year(law, standing(existing, y), _committed(purchases, y), options) for y, law in enumerate(laws)
        ),
        reserved_per_hour=sum(_price(each) for each in purchases) / len(laws),
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


def _committed(purchases: Sequence[Purchase], year: int) -> int:
    """GPUs of all purchases that cover a year."""
    return sum(each.gpus for each in purchases if each.year <= year < each.year + len(each.avoided_per_hour))


def _price(purchase: Purchase) -> float:
    """An hour's price times the years that it is paid."""
    return purchase.offer.price_per_gpu_hour * purchase.gpus * len(purchase.avoided_per_hour)


def _values(laws: Sequence[NeedLaw], options: PurchaseOptions, existing: Sequence[ExistingCommitment]) -> Array:
    """What the first, second … GPU committed spares in an hour of each year, beyond existing commitments."""
    most = math.ceil(max(law.peak for law in laws))
    price, spot = options.on_demand_per_gpu_hour, options.spot_in_use
    rows = []
    for year, law in enumerate(laws):
        parts = standing(existing, year)
        if spot is None:
            rows.append(price * _beyond(law, parts).use(most))
            continue
        without_spot = law.mapped(lambda gpus: gpus - options.most_spot(gpus))
        use, sure = _beyond(law, parts).use(most), _beyond(without_spot, parts).use(most)
        rows.append(spot.price_of_use * use + (price - spot.price_of_use) * sure)
    return np.array(rows)


def _beyond(law: NeedLaw, parts: Sequence[tuple[float, int]]) -> NeedLaw:
    """What is needed beyond the existing commitments of each part of a year."""
    return mixed([law.beyond(stands) for _, stands in parts], [share for share, _ in parts])


def _counts(options: PurchaseOptions, values: Array, first: int) -> Counter[Contract]:
    """GPUs of each contract: layer by layer, or all together where terms overlap and that is cheaper."""
    offers, tie = one_a_term(options), options.on_demand_per_gpu_hour * _SAME
    counts = layered(offers, values, first=first, tie=tie)
    if not any(1 < covered_years(offer) < values.shape[0] for offer in offers):
        return counts
    other = programmed(offers, values, first=first)
    return other if _cost(other, values) < _cost(counts, values) * (1.0 - _SAME) else counts


def _cost(counts: Counter[Contract], values: Array) -> float:
    """Of an hour of each year together: the contracts, and what GPUs beyond them spare nothing of."""
    covered = [
        sum(n for (o, begin), n in counts.items() if begin <= y < begin + covered_years(o)) for y in range(len(values))
    ]
    paid = sum(offer.price_per_gpu_hour * covered_years(offer) * number for (offer, _), number in counts.items())
    return paid + sum(float(values[year, count:].sum()) for year, count in enumerate(covered))


def _purchases(counts: Counter[Contract], values: Array) -> tuple[Purchase, ...]:
    """The contracts with what they spare: those of long terms carry the need that is most constant."""
    below = [0] * values.shape[0]
    purchases = []
    for (offer, begin), gpus in sorted(counts.items(), key=lambda item: (-item[0][0].term_years, item[0][1])):
        years = range(begin, begin + covered_years(offer))
        avoided = tuple(float(values[year, below[year] : below[year] + gpus].sum()) for year in years)
        purchases.append(Purchase(offer=offer, year=begin, gpus=gpus, avoided_per_hour=avoided))
        for year in years:
            below[year] += gpus
    return tuple(sorted(purchases, key=lambda each: (each.year, each.offer.term_years)))
