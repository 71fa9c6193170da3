"""What GPUs can be had for: on demand, reserved for a term, as spot; and what has been bought already."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.demand_scenario import DAYS_PER_YEAR
from models.errors import InvalidInput

Array = NDArray[np.float64]

_WHOLE = 1e-9


@dataclass(frozen=True, kw_only=True)
class ReservedOffer:
    """GPUs that are paid for the whole term, used or not."""

    name: str
    term_years: float
    price_per_gpu_hour: float
    """Effective: everything that is paid for a GPU over the term, by its hours."""
    upfront_share: float = 0.0
    """Of all that, what is paid at the beginning."""

    def __post_init__(self) -> None:
        _positive(self.price_per_gpu_hour, f"the price of {self.name}")
        _positive(self.term_years, f"the term of {self.name}")
        _share(self.upfront_share, f"the share of {self.name} that is paid upfront")


@dataclass(frozen=True, kw_only=True)
class SpotOffer:
    """GPUs that the provider may take back at any time."""

    price_per_gpu_hour: float
    greatest_share: float
    """Of the GPUs that run in a slot, how many may be spot; rounded down to whole ones."""
    extra_hours: float = 0.0
    """GPU-hours that interruptions cost (starts, lost work), for each GPU-hour of use."""

    def __post_init__(self) -> None:
        _positive(self.price_per_gpu_hour, "the spot price")
        _share(self.greatest_share, "the greatest share of spot")
        if not 0.0 <= self.extra_hours < math.inf:
            raise InvalidInput(f"what interruptions of spot cost must not be negative, is {self.extra_hours}")

    @property
    def price_of_use(self) -> float:
        """Of an hour in which a GPU works."""
        return self.price_per_gpu_hour * (1.0 + self.extra_hours)


@dataclass(frozen=True, kw_only=True)
class PurchaseOptions:
    """Everything there is to choose from. What has no known price is left out, never guessed."""

    on_demand_per_gpu_hour: float
    reserved: tuple[ReservedOffer, ...] = ()
    spot: SpotOffer | None = None
    replica_gpus: int = 1
    """GPUs of a replica, where all have as many: everything is bought, and may be taken away, in whole replicas."""

    def __post_init__(self) -> None:
        _positive(self.on_demand_per_gpu_hour, "the price on demand")
        if self.replica_gpus < 1:
            raise InvalidInput(f"a replica of {self.replica_gpus} GPUs means nothing")
        names = [offer.name for offer in self.reserved]
        if len(set(names)) < len(names):
            raise InvalidInput(f"two reserved offers have the same name: {', '.join(sorted(names))}")

    @property
    def spot_in_use(self) -> SpotOffer | None:
        """Spot where it is cheaper than on demand with all that its interruptions cost."""
        cheaper = self.spot is not None and self.spot.price_of_use < self.on_demand_per_gpu_hour
        return self.spot if cheaper else None

    def most_spot(self, gpus: Array) -> Array:
        """Of so many that run in a slot, how many may be spot: whole replicas."""
        spot = self.spot_in_use
        if spot is None:
            return np.zeros_like(gpus)
        return np.floor(gpus / self.replica_gpus * spot.greatest_share + _WHOLE) * self.replica_gpus

    def replicas(self, gpus: float) -> int:
        """That so many GPUs are, a part of one for a whole one."""
        return math.ceil(gpus / self.replica_gpus - _WHOLE)

    def usable(self, gpus: int) -> int:
        """Of GPUs that are committed already, those that make whole replicas."""
        return gpus - gpus % self.replica_gpus

    def break_even_use(self, offer: ReservedOffer) -> float | None:
        """The share of the time that a GPU must be needed for the offer to cost less than on demand.

        The critical ratio r / p (Arrow, Harris and Marschak 1951); None where no use is enough.
        """
        ratio = offer.price_per_gpu_hour / self.on_demand_per_gpu_hour
        return ratio if ratio <= 1.0 else None


@dataclass(frozen=True, kw_only=True)
class ExistingCommitment:
    """GPUs that are paid for already, for so long yet: their cost is sunk, and they are used first."""

    gpus: int
    days_left: float = math.inf
    """From now; a commitment that ends on the day after tomorrow has two."""

    def __post_init__(self) -> None:
        if self.gpus < 0 or not self.days_left >= 0.0:
            raise InvalidInput(f"a commitment of {self.gpus} GPUs for {self.days_left} days means nothing")

    @property
    def years_left(self) -> float:
        """From now."""
        return self.days_left / DAYS_PER_YEAR


def covered_years(offer: ReservedOffer) -> int:
    """For how many years one purchase is planned; a term of less than a year is renewed within it."""
    years = max(1.0, offer.term_years)
    if abs(years - round(years)) > _WHOLE:
        raise InvalidInput(
            f"{offer.name} lasts {offer.term_years:g} years", remedy="terms are whole years, or less than one"
        )
    return round(years)


def standing(existing: Sequence[ExistingCommitment], begin: float, end: float) -> list[tuple[float, int]]:
    """The parts of a stretch of time (in years) between the ends of what was bought before.

    Of each its share of the stretch and the GPUs that still stand.
    """
    cuts = sorted({begin, end, *(each.years_left for each in existing if begin < each.years_left < end)})
    return [
        ((to - since) / (end - begin), sum(each.gpus for each in existing if each.years_left >= to - _WHOLE))
        for since, to in itertools.pairwise(cuts)
    ]


def _positive(value: float, what: str) -> None:
    if not 0.0 < value < math.inf:
        raise InvalidInput(f"{what} must be above 0, is {value}")


def _share(value: float, what: str) -> None:
    if not 0.0 <= value <= 1.0:
        raise InvalidInput(f"{what} must lie between 0 and 1, is {value}")
