"""Replicas that a policy for scaling down still holds after the need has fallen."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MOST_STEPS = 200
"""A deeper fall is followed in so many steps of several replicas each."""


@dataclass(frozen=True, kw_only=True)
class ScaleDownPolicy:
    """As `behavior.scaleDown` of autoscaling/v2: after a window without need, so many replicas a period."""

    window_s: float = 300.0
    replicas: int = 1
    period_s: float = 60.0


def held_replicas(needed: NDArray[np.float64], policy: ScaleDownPolicy, *, slot_s: float) -> NDArray[np.float64]:
    """Mean replicas over each slot that a scaler under this policy runs, at least the need; NaN where that is NaN.

    The need changes between slots. Of a fall by d the replica that is the k-th to go is held for
    `window + floor(k / replicas) · period` seconds, and no longer than until the need rises to it again. Falls whose
    holds overlap are followed one by one, which counts a replica twice at most until the first is gone; the result
    never exceeds the highest need within the longest hold.
    """
    known = np.nan_to_num(needed)
    fall = np.maximum(np.concatenate(([0.0], known[:-1] - known[1:])), 0.0)
    # After a slot that is not known there is nothing to have fallen from.
    fall[1:][np.isnan(needed[:-1]) | np.isnan(needed[1:])] = 0.0
    deepest = int(fall.max(initial=0.0))
    width = max(1, math.ceil(deepest / _MOST_STEPS))
    extra = np.zeros_like(known)
    longest = 0
    for gone in range(0, deepest, width):
        hold_s = policy.window_s + (gone // policy.replicas) * policy.period_s
        falling = np.clip(fall - gone, 0.0, width)
        slots = math.ceil(hold_s / slot_s)
        longest = max(longest, slots)
        for later in range(min(slots, len(known))):
            share = min(1.0, (hold_s - later * slot_s) / slot_s)
            extra[later:] += share * falling[: len(known) - later]
    highest = _highest_of_last(known, longest)
    return np.where(np.isnan(needed), np.nan, np.minimum(known + extra, highest))


def _highest_of_last(values: NDArray[np.float64], slots: int) -> NDArray[np.float64]:
    """The highest of each slot and so many before it."""
    from scipy.ndimage import maximum_filter1d

    if slots == 0 or not len(values):
        return values
    size = min(slots, len(values)) + 1
    return np.asarray(maximum_filter1d(values, size, origin=(size - 1) // 2, mode="nearest"), dtype=float)
