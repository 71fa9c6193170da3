"""Several replicas on one GPU: what a share of its time does to a replica, and what interference leaves of the GPU.

Processor sharing with guaranteed shares (generalised processor sharing; Parekh and Gallager, IEEE/ACM Transactions
on Networking 1(3), 1993, §II): a replica that is granted the share `s` of a GPU's time gets at least that much of it,
whatever its neighbours do. It is predicted as if it got no more: every batch and every step takes 1/s as long as
alone. While neighbours idle it is faster, so latencies are on the safe side as long as the GPU honours the shares
(CUDA MPS with an active thread percentage does; plain time slicing gives equal turns to whoever is busy).

Interference (caches, memory bandwidth, switching) makes everybody slower by a factor f(q) where q replicas share. A
replica that needs the effective share v then takes v·f(q), so that q replicas fit where Σ v ≤ 1/f(q).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from models.errors import InvalidInput

STEPS = 50
"""Shares are granted in steps of 1/STEPS of a GPU (CUDA MPS takes whole per cents)."""


@dataclass(frozen=True, kw_only=True)
class Interference:
    """How much slower everything runs on a GPU, by the number of replicas that share it."""

    slowdowns: tuple[float, ...]
    """f(1), f(2) …; the last holds for more. The first is 1, and none is less than the one before."""

    def __post_init__(self) -> None:
        steps = self.slowdowns
        if not steps or steps[0] != 1.0 or any(b < a for a, b in pairwise(steps)):
            raise InvalidInput("slowdowns must begin with 1 and never fall as more replicas share a GPU")
        if not all(math.isfinite(each) and each <= 100.0 for each in steps):
            raise InvalidInput("a slowdown must be finite and at most 100")

    @classmethod
    def flat(cls, factor: float) -> Interference:
        """The same factor for any number of replicas above one."""
        return cls(slowdowns=(1.0, factor))

    def slowdown(self, replicas: int) -> float:
        """f(q)."""
        return self.slowdowns[min(max(replicas, 1), len(self.slowdowns)) - 1]

    def capacity(self, replicas: int) -> float:
        """What effective shares of so many replicas may sum to."""
        return 1.0 / self.slowdown(replicas)


def stretch(share: float) -> float:
    """How many times as long a batch or a step takes with a share of the GPU's time."""
    if not 0.0 < share <= 1.0:
        raise InvalidInput(f"a share of a GPU lies above 0 and at most at 1, got {share}")
    return 1.0 / share
