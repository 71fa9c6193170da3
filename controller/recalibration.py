"""The profile's speed held against what is measured now, and put right within limits."""

from __future__ import annotations

from dataclasses import dataclass

SLOWEST, FASTEST = 1.5, 0.75
"""Bounds of the factor on step times: beyond them the profile is of another engine, and is not stretched to fit."""
NOTABLE = 0.15
"""A difference worth telling of."""
_WEIGHT = 0.2
"""Of a new measurement, against those before."""


@dataclass(frozen=True, kw_only=True)
class Drift:
    """Measured over predicted time."""

    measured: float
    """Smoothed, without limits."""

    @property
    def applied(self) -> float:
        """What step times are multiplied by. Within what is notable the profile stands as it is."""
        if abs(self.measured - 1.0) < NOTABLE:
            return 1.0
        return min(SLOWEST, max(FASTEST, self.measured))

    @property
    def fresh(self) -> bool:
        """Whether the profile still tells the truth."""
        return abs(self.measured - 1.0) < NOTABLE

    @property
    def beyond_limits(self) -> bool:
        """Whether the limits do not reach what is measured."""
        return not FASTEST <= self.measured <= SLOWEST


def updated(before: float | None, ratio: float | None) -> Drift:
    """The drift with one more measurement (measured over predicted); None measures nothing."""
    past = 1.0 if before is None else before
    if ratio is None:
        return Drift(measured=past)
    return Drift(measured=past + _WEIGHT * (ratio - past))
