"""Replicas behind a balancer, which come and go while a load that may change arrives at them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

import numpy as np

from models.errors import InvalidInput
from models.prediction import Routing
from models.simulation.live.arrival_stream import ArrivalStream
from models.workload import OpenArrivals


class Replica(Protocol):
    """What a fleet needs of one."""

    @property
    def outstanding(self) -> int:
        """Requests inside."""
        ...

    def advance(self, until_s: float) -> object:
        """Go on until then."""
        ...


R = TypeVar("R", bound=Replica)


class Fleet(Generic[R]):
    """Replicas by name under one load; time only goes on by `advance`."""

    def __init__(
        self,
        new: Callable[[], R],
        hand_over: Callable[[R, float], None],
        arrivals: OpenArrivals,
        *,
        routing: Routing,
        rng: np.random.Generator,
    ) -> None:
        """`hand_over` gives a replica the next request, at its time."""
        self.replicas: dict[str, R] = {}
        self.now_s = 0.0
        self.lost = 0
        """Requests that found no replica, or whose replica was taken away."""
        self._new, self._hand_over, self._routing, self._rng = new, hand_over, routing, rng
        self._stream = ArrivalStream(arrivals.rate_per_s, arrivals.burstiness, rng)
        self._turn = 0

    @property
    def rate_per_s(self) -> float:
        """Requests that arrive per second, at all replicas together."""
        return self._stream.rate_per_s

    @rate_per_s.setter
    def rate_per_s(self, rate_per_s: float) -> None:
        self._stream.rate_per_s = rate_per_s

    def keep(self, names: Iterable[str]) -> None:
        """From now on exactly these: new ones start empty, those not named are gone with what they were serving."""
        kept = {name: self.replicas.get(name) for name in names}
        for name, known in kept.items():
            if known is None:
                kept[name] = fresh = self._new()
                fresh.advance(self.now_s)
        self.lost += sum(replica.outstanding for name, replica in self.replicas.items() if name not in kept)
        self.replicas = {name: replica for name, replica in kept.items() if replica is not None}

    def time_of(self, choices: int) -> float:
        """Seconds in which the balancer looks at about so many replicas: how long an advance takes depends on that."""
        looks = len(self.replicas) if self._routing is Routing.LEAST_OUTSTANDING else 1
        return choices / max(self.rate_per_s * max(looks, 1), 1e-9)

    def advance(self, until_s: float) -> None:
        """Go on until then. Raises InvalidInput where that is in the past."""
        if until_s < self.now_s:
            raise InvalidInput(f"a simulation at {self.now_s} s does not go back to {until_s} s")
        members = list(self.replicas.values())
        for when_s in self._stream.until(until_s):
            if members:
                self._hand_over(self._chosen(members, when_s), when_s)
            else:
                self.lost += 1
        for replica in members:
            replica.advance(until_s)
        self.now_s = until_s

    def _chosen(self, members: list[R], when_s: float) -> R:
        if self._routing is Routing.RANDOM:
            return members[int(self._rng.integers(len(members)))]
        if self._routing is Routing.ROUND_ROBIN:
            self._turn += 1
            return members[self._turn % len(members)]
        for replica in members:
            replica.advance(when_s)
        least = min(replica.outstanding for replica in members)
        fewest = [replica for replica in members if replica.outstanding == least]
        return fewest[int(self._rng.integers(len(fewest)))]
