"""Stages that share the GPUs of one server: how much longer a batch takes while others run.

Processor sharing between models: while K others have a batch running, a batch proceeds at 1/(1 + K) of its speed, so
that shares add up to 1 at any moment. Beside batches much longer than its own a batch sees K as it finds it, and takes
1 + K times as long; beside much shorter ones it sees them come and go, and is left what they do not need, as in M/G/1
under processor sharing (Kleinrock 1976, Queueing Systems II, §4.4: 1/(1 − ρ)). In between is in between. That others
run independently of it is an approximation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_ROUNDS = 200
_CLOSE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Running:
    """A stage's batches, were it alone on the GPU."""

    share: float
    """Of the time that one runs."""
    batch_s: float
    """How long one takes."""


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """How much longer batches take beside those of others, and by how much that varies."""

    factor: float = 1.0
    cv: float = 0.0


def stretches(alone: Sequence[Running]) -> tuple[Stretch, ...] | None:
    """By stage; None where their shares add up to 1 or more. A fixed point: longer batches run more of the time."""
    if sum(each.share for each in alone) >= 1.0:
        return None
    found = tuple(Stretch() for _ in alone)
    for _ in range(_ROUNDS):
        busy = [min(1.0, each.share * stretch.factor) for each, stretch in zip(alone, found, strict=True)]
        last, found = found, tuple(_stretch(alone, busy, own) for own in range(len(alone)))
        if max(abs(new.factor - old.factor) for new, old in zip(found, last, strict=True)) < _CLOSE:
            break
    return found


def _stretch(alone: Sequence[Running], busy: Sequence[float], own: int) -> Stretch:
    found, taken, spread = 1.0, 0.0, 0.0
    for other, each in enumerate(alone):
        if other != own:
            lasting = each.batch_s / (each.batch_s + alone[own].batch_s)
            found += lasting * busy[other]
            spread += lasting * busy[other] * (1.0 - busy[other])
            taken += (1.0 - lasting) * each.share
    # Always busy it would still get what the others leave: that bounds it, and keeps together what fits together.
    most = 1.0 / (1.0 - sum(each.share for other, each in enumerate(alone) if other != own))
    return Stretch(factor=min(found / (1.0 - taken), most), cv=math.sqrt(spread) / found)
