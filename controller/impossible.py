"""Readings that cannot be, looked at once more before anything is decided on them, wherever they come from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields

from controller.readings import LEAST_TOKENS
from controller.snapshot import EngineReadings
from models.token_lengths import MAX_TOKENS

MOST = 1e9
"""Requests, requests a second, and seconds: no target has more."""
_TOKENS = ("prompt_tokens", "output_tokens")
_EITHER_WAY = ("growth_per_s",)
_TIMES = ("newest_s", "oldest_s")


def impossible(readings: EngineReadings) -> Iterator[str]:
    """What is wrong, each with its name."""
    for name in (each.name for each in fields(EngineReadings)):
        value, said = getattr(readings, name), name.removesuffix("_per_s").removesuffix("_s").replace("_", " ")
        if value is None or name in _TIMES:
            continue
        if not math.isfinite(value):
            yield f"{said} is {'not a number' if math.isnan(value) else 'endless'}"
        elif value < 0.0 and name not in _EITHER_WAY:
            yield f"{said} is negative ({value:g})"
        elif name in _TOKENS and not LEAST_TOKENS <= value <= MAX_TOKENS:
            yield f"the mean of {said} is {value:g}"
        elif abs(value) > MOST and name not in _TOKENS:
            yield f"{said} is {value:g}"
