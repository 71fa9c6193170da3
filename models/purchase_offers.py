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

    def __post_init__(self) -> None:
        _positive(self.on_demand_per_gpu_hour, "the price on demand")
        names = [offer.name for offer in self.reserved]
        if len(set(names)) < len(names):
            raise InvalidInput(f"two reserved offers have the same name: {', '.join(sorted(names))}")

    @property
    def spot_in_use(self) -> SpotOffer | None:
        """Spot where it is cheaper than on demand with all that its interruptions cost."""
        cheaper = self.spot is not None and self.spot.price_of_use < self.on_demand_per_gpu_hour
        return self.spot if cheaper else None

    def most_spot(self, gpus: Array) -> Array:
        """Of so many that run in a slot, how many may be spot."""
        spot = self.spot_in_use
        return np.floor(gpus * spot.greatest_share + _WHOLE) if spot else np.zeros_like(gpus)

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

    def share_of_year(self, year: int) -> float:
        """Of the first year (0), second …, how much it covers."""
        return min(1.0, max(0.0, self.days_left / DAYS_PER_YEAR - year))


def covered_years(offer: ReservedOffer) -> int:
    """For how many years one purchase is planned; a term of less than a year is renewed within it."""
    years = max(1.0, offer.term_years)
    if abs(years - round(years)) > _WHOLE:
        raise InvalidInput(
            f"{offer.name} lasts {offer.term_years:g} years", remedy="terms are whole years, or less than one"
        )
    return round(years)


def standing(existing: Sequence[ExistingCommitment], year: int) -> list[tuple[float, int]]:
    """The parts of a year between the ends of what was bought before: share of the year, GPUs that still stand."""
    cuts = sorted({0.0, 1.0, *(each.share_of_year(year) for each in existing)})
    return [
        (end - begin, sum(each.gpus for each in existing if each.share_of_year(year) >= end))
        for begin, end in itertools.pairwise(cuts)
    ]


def _positive(value: float, what: str) -> None:
    if not 0.0 < value < math.inf:
        raise InvalidInput(f"{what} must be above 0, is {value}")


def _share(value: float, what: str) -> None:
    if not 0.0 <= value <= 1.0:
        raise InvalidInput(f"{what} must lie between 0 and 1, is {value}")
