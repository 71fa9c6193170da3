"""Draws over ranges that span orders of magnitude."""

from __future__ import annotations

import math

import numpy as np


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number from `low` to `high`, every order of magnitude as likely as any other."""
    return float(np.exp(rng.uniform(math.log(low), math.log(high))))
