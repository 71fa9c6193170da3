"""Wait for what a control plane does in its own time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")


def eventually(look: Callable[[], Seen], holds: Callable[[Seen], bool] = bool, *, within_s: float = 60.0) -> Seen:
    """What `look` saw when it first held. Raises AssertionError with what it saw last."""
    deadline = time.monotonic() + within_s
    while True:
        seen = look()
        if holds(seen):
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s; seen last: {seen}")
        time.sleep(0.1)
