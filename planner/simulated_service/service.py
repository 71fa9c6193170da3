"""A profile's service under a load that may change, as replicas that come and go."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.errors import InvalidInput
from models.prediction import Routing
from models.simulation.live.fleet import Fleet
from models.simulation.live.live_batcher import LiveBatcher
from models.simulation.live.live_replica import LiveReplica
from models.simulation.live.request_stream import requests_of
from models.workload import MAX_RATE_PER_S, OpenArrivals, Workload
from planner.profile import EngineProfile
from planner.simulated_service import trtllm_page
from planner.simulated_service.triton_page import triton_page
from planner.simulated_service.vllm_page import vllm_buckets, vllm_page

MAX_REPLICAS = 1000
"""More are not simulated at a time."""


@dataclass(frozen=True, kw_only=True)
class SimulatedService:
    """The replicas and what each shows."""

    profile: EngineProfile
    model_name: str
    fleet: Fleet[Any]
    _page: Callable[[Any], str]

    def page(self, name: str) -> str | None:
        """What the replica of that name shows at /metrics, as of now; None where there is none."""
        replica = self.fleet.replicas.get(name)
        return None if replica is None else self._page(replica)

    def keep(self, names: Iterable[str]) -> None:
        """From now on exactly these replicas. Raises InvalidInput for too many."""
        wanted = list(dict.fromkeys(names))
        if len(wanted) > MAX_REPLICAS:
            raise InvalidInput(f"{len(wanted):,} replicas are too many to simulate", remedy=f"at most {MAX_REPLICAS:,}")
        self.fleet.keep(wanted)

    def load(self, rate_per_s: float) -> None:
        """From now on so many requests arrive per second. Raises InvalidInput."""
        if not 0.0 <= rate_per_s <= MAX_RATE_PER_S:
            raise InvalidInput(f"qps {rate_per_s:g} is out of range", remedy=f"give 0 to {MAX_RATE_PER_S:g} a second")
        self.fleet.rate_per_s = rate_per_s

    def advance(self, until_s: float) -> None:
        """Go on until then."""
        self.fleet.advance(until_s)

    def state(self) -> dict[str, Any]:
        """Where it stands, for people."""
        return {
            "profile": self.profile.name,
            "engine": self.profile.spec.engine,
            "model": self.model_name,
            "time_s": round(self.fleet.now_s, 3),
            "qps": self.fleet.rate_per_s,
            "lost": self.fleet.lost,
            "replicas": {name: {"outstanding": each.outstanding} for name, each in self.fleet.replicas.items()},
        }


def simulated_tokens(
    profile: EngineProfile,
    workload: Workload,
    *,
    routing: Routing,
    seed: int,
    model_name: str | None = None,
    oldest_names: bool = False,
) -> SimulatedService:
    """A service of a token-making engine, without replicas yet. Raises InvalidInput for a closed workload."""
    if not isinstance(workload.arrivals, OpenArrivals):
        raise InvalidInput("users who wait for their answers are not simulated live", remedy="give --qps")
    engine, rng = profile.to_engine(), np.random.default_rng(seed)
    requests = requests_of(engine, workload, rng)
    name = model_name or (profile.spec.model if profile.spec.engine == "vllm" else "tensorrt_llm")
    vllm = profile.spec.engine == "vllm"
    buckets = vllm_buckets(engine.limits.kv_cache_tokens) if vllm else trtllm_page.BUCKETS

    def hand_over(replica: LiveReplica, when_s: float) -> None:
        replica.accept(when_s, next(requests))

    def page(replica: LiveReplica) -> str:
        if vllm:
            return vllm_page(replica, name, oldest_names=oldest_names)
        return trtllm_page.trtllm_page(replica, name)

    fleet = Fleet(lambda: LiveReplica(engine, buckets), hand_over, workload.arrivals, routing=routing, rng=rng)
    return SimulatedService(profile=profile, model_name=name, fleet=fleet, _page=page)


def simulated_batchers(
    profile: EngineProfile, arrivals: OpenArrivals, *, routing: Routing, seed: int, model_name: str | None = None
) -> SimulatedService:
    """A service of a dynamic batcher, without replicas yet."""
    batcher, rng = profile.to_batcher(), np.random.default_rng(seed)
    name = model_name or profile.spec.model
    fleet = Fleet(lambda: LiveBatcher(batcher, rng.spawn(1)[0]), LiveBatcher.accept, arrivals, routing=routing, rng=rng)
    return SimulatedService(
        profile=profile, model_name=name, fleet=fleet, _page=lambda replica: triton_page(replica, name)
    )
