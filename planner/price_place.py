"""Where and for whom a GPU is paid: what a price and a discount are looked up by."""

from __future__ import annotations

from dataclasses import dataclass

from planner.price_fields import Pricing


@dataclass(frozen=True, kw_only=True)
class Place:
    """What is None is not asked for: every cloud, region, cluster or team will do."""

    cloud: str | None = None
    region: str | None = None
    cluster: str | None = None
    team: str | None = None
    pricing: tuple[Pricing, ...] = (Pricing.ON_DEMAND,)
    """In order of preference."""

    def __str__(self) -> str:
        named = (("cloud", self.cloud), ("region", self.region), ("cluster", self.cluster))
        return ", else ".join(kind.value for kind in self.pricing) + "".join(
            f", {name} {value}" for name, value in named if value
        )


def same(wanted: str | None, found: str | None) -> bool:
    """Whether a name is the one that is asked for, whatever the case; None asks for nothing."""
    return wanted is None or (found or "").lower() == wanted.strip().lower()
