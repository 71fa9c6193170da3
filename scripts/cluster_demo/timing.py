"""How long each thing takes in a demonstration of so many seconds: the load's ten minutes pass faster, nothing else.

Engines, Kubernetes, Prometheus and the controller share the wall's clock, so that rates and latencies are what they
say. What a real cluster does in minutes (cold starts, stabilisation) is set as much shorter as the load's curve is.
"""

from __future__ import annotations

from dataclasses import dataclass

CURVE_S = 600.0
"""The load's curve as it would be without haste."""
SPEED = 4.0
SHORTEST_S, LONGEST_S = 20.0, 1200.0
SCRAPE_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Of one demonstration."""

    seconds: float
    """Of the wall's clock, from the first load to the last."""

    @property
    def speed(self) -> float:
        """How much faster the load changes than its curve says."""
        return CURVE_S / self.seconds

    @property
    def cold_start_s(self) -> int:
        """From a pod's start to Ready."""
        return max(3, round(self.seconds / 18.0))

    @property
    def window_s(self) -> int:
        """Of the rates that the controller reads; the least that it takes is 5 s."""
        return max(5, round(self.seconds / 15.0))

    @property
    def tick_s(self) -> int:
        """Between two looks of the controller."""
        return 2 if self.seconds >= 90.0 else 1

    @property
    def settle_s(self) -> int:
        """Stabilisation before anything is scaled down."""
        return max(3, round(self.seconds / 7.5))

    @property
    def line_every_s(self) -> float:
        """Between two lines where no terminal shows a picture."""
        return max(3.0, self.seconds / 30.0)
