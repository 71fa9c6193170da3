"""The load that a serving benchmark was asked to offer, and whether the engine kept up with it."""

from __future__ import annotations

import math
from typing import Any

AT_ONCE = "every request was sent at once: only the throughput is used"
KEEPS_UP = 0.9
"""Completions below this share of the rate asked for: the engine was past saturation, or the client too slow."""

FULL = 0.9
"""With so large a share of the allowed requests in flight in the mean it is the limit that sends, not the rate."""


def is_endless(rate: Any) -> bool:
    """Whether a rate says that nothing was held back: `inf`, as a number or a word."""
    try:
        return float(rate) == math.inf
    except (TypeError, ValueError):
        return False


def falls_behind(rate_per_s: float | None, served_per_s: float | None) -> bool:
    """Whether fewer requests ended than were asked for; unknown is no."""
    return rate_per_s is not None and served_per_s is not None and served_per_s < KEEPS_UP * rate_per_s
