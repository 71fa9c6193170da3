"""What each further commitment spares, in each stretch of time: what its GPUs would cost on demand and as spot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.need_law import NeedLaw, mixed
from models.purchase_offers import ExistingCommitment, PurchaseOptions, standing
from models.purchase_times import Timeline

Array = NDArray[np.float64]


def spared(
    laws: Sequence[NeedLaw], options: PurchaseOptions, existing: Sequence[ExistingCommitment], time: Timeline
) -> Array:
    """Of the first, second … replica beyond existing commitments, in each stretch (a row): prices of an hour × years.

    It never grows along a row.
    """
    replicas = options.replicas(max(law.peak for law in laws))
    rows = []
    for stretch, years in enumerate(time.lengths):
        parts = standing(existing, float(time.cuts[stretch]), float(time.cuts[stretch + 1]))
        rows.append(years * _an_hour(laws[time.year(stretch)], options, parts, replicas))
    return np.array(rows)


def _an_hour(law: NeedLaw, options: PurchaseOptions, parts: Sequence[tuple[float, int]], replicas: int) -> Array:
    price, spot = options.on_demand_per_gpu_hour, options.spot_in_use
    use = _use(law, options, parts, replicas)
    if spot is None:
        return price * use
    sure = _use(law.mapped(lambda gpus: gpus - options.most_spot(gpus)), options, parts, replicas)
    return spot.price_of_use * use + (price - spot.price_of_use) * sure


def _use(law: NeedLaw, options: PurchaseOptions, parts: Sequence[tuple[float, int]], replicas: int) -> Array:
    """GPUs in use of the first, second … replica beyond what stands in each part."""
    beyond = mixed([law.beyond(options.usable(stands)) for _, stands in parts], [share for share, _ in parts])
    use: Array = beyond.use(replicas * options.replica_gpus).reshape(replicas, options.replica_gpus).sum(axis=1)
    return use
