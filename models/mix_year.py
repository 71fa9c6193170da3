"""One year of a mix of commitments, on demand and spot: who carries the need, slot by slot, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.need_law import NeedLaw
from models.purchase_offers import PurchaseOptions

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class MixYear:
    """One year of a mix. Means over its slots, in GPUs, but for what is most."""

    existing_gpus: float
    reserved_gpus: float
    on_demand_gpus: float
    spot_gpus: float
    most_on_demand_gpus: float
    most_spot_gpus: float
    idle_gpus: float
    """Committed and not needed: wasted."""
    running_per_hour: float
    """Of on demand and spot."""
    all_on_demand_per_hour: float

    @property
    def short_gpus(self) -> float:
        """Needed beyond what is committed."""
        return self.on_demand_gpus + self.spot_gpus


def mix_year(law: NeedLaw, parts: Sequence[tuple[float, int, int]], options: PurchaseOptions) -> MixYear:
    """What a year comes to, slot by slot of its law.

    Of each part of the year: its share, GPUs committed before that still stand, and GPUs reserved since.
    """
    share, stands, reserved = (np.array(column, dtype=float)[:, None] for column in zip(*parts, strict=True))
    usable = np.array([[float(options.usable(before))] for _, before, _ in parts])
    unmet = np.maximum(law.gpus - usable, 0.0)
    beyond = np.maximum(unmet - reserved, 0.0)
    spot = np.minimum(beyond, options.most_spot(law.gpus))
    idle = stands + reserved - (law.gpus - beyond)

    def mean(gpus: Array) -> float:
        return float((share * gpus * law.share).sum())

    price, cheap = options.on_demand_per_gpu_hour, options.spot_in_use
    return MixYear(
        existing_gpus=float((share * stands).sum()),
        reserved_gpus=float((share * reserved).sum()),
        on_demand_gpus=mean(beyond - spot),
        spot_gpus=mean(spot),
        most_on_demand_gpus=float((beyond - spot).max()),
        most_spot_gpus=float(spot.max()),
        idle_gpus=mean(idle),
        running_per_hour=mean(beyond - spot) * price + (mean(spot) * cheap.price_of_use if cheap else 0.0),
        all_on_demand_per_hour=mean(unmet) * price,
    )
