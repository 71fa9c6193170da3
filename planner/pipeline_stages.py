"""A stage of a pipeline and its law: what so many replicas of it do under what arrives there."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.batcher import DispatchRule
from models.call_stream import CallStream
from models.latency_law import LatencyLaw
from models.neighbour_slowdown import Stretch
from models.prediction import Routing
from models.workload import MAX_BURSTINESS, OpenArrivals, Workload
from planner.batching_answer import BURSTIEST
from planner.node_count import paid_gpus
from planner.profile import EngineProfile
from planner.service import Service, ServiceAnswer

Array = NDArray[np.float64]

SATURATED = 0.995
"""Load beyond which nothing is predicted."""


@dataclass(frozen=True, kw_only=True)
class Delay:
    """A lognormal time without a queue: median in seconds, and deviation of its logarithm (0: fixed)."""

    median_s: float
    sigma: float = 0.0

    @classmethod
    def of_mean(cls, mean_s: float, cv: float) -> Delay:
        """By mean and coefficient of variation."""
        variance = math.log1p(cv * cv)
        return cls(median_s=mean_s * math.exp(-0.5 * variance), sigma=math.sqrt(variance))

    @classmethod
    def of_percentiles(cls, median_s: float, tail_s: float, deviate: float) -> Delay:
        """By the median and the percentile of a standard normal deviate."""
        return cls(median_s=median_s, sigma=math.log(tail_s / median_s) / deviate)

    @property
    def spread_s(self) -> float:
        """Standard deviation."""
        variance = self.sigma * self.sigma
        return self.median_s * math.exp(0.5 * variance) * math.sqrt(math.expm1(variance))

    def quantiles(self, shares: Array) -> Array:
        """Seconds that these shares do not exceed."""
        from scipy.special import ndtri

        return np.asarray(self.median_s * np.exp(self.sigma * ndtri(shares)), dtype=float)


@dataclass(frozen=True, kw_only=True, eq=False)
class PipelineStage:
    """A service or a delay, and how many calls a request makes there at once."""

    name: str
    service: Service | None
    delay: Delay | None
    calls: int = 1
    gpu_price_per_h: float | None = None
    min_replicas: int = 1
    max_replicas: int = 1000

    @cached_property
    def call_capacity_per_s(self) -> float:
        """Calls a second that one replica carries alone on its GPUs."""
        assert self.service is not None
        return self.service.capacity_per_s

    @property
    def may_slow_with_replicas(self) -> bool:
        """Whether more replicas may make requests slower: where they wait for a batch to fill, or calls go in turn."""
        if self.service is None or self.service.makes_tokens:
            return False
        batcher = self.service.profile.to_batcher()
        waits = batcher.max_queue_delay_s > 0.0 or batcher.wanted != (batcher.max_batch_size,)
        return waits or (self.calls > 1 and self.service.routing is Routing.ROUND_ROBIN)

    @property
    def gpus_per_replica(self) -> int:
        """Of one replica; 0 of a delay."""
        return 0 if self.service is None else self.service.profile.spec.gpu.per_replica

    @property
    def gpus_paid(self) -> int:
        """Of a replica: whole nodes where it spans them."""
        return 0 if self.service is None else paid_gpus(self.service.profile.spec.gpu, 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class StageAnswer:
    """What a stage does with so many replicas; an unstable one has no laws."""

    replicas: int
    stable: bool
    utilization: float
    leaving: CallStream
    e2e: LatencyLaw | None = None
    """Of a request: arrival to the end of its last call."""
    ttft: LatencyLaw | None = None
    mean_batch: float | None = None
    rule: DispatchRule = DispatchRule.WHEN_IDLE
    """Of the two ways to dispatch the slower one."""
    delay: Delay | None = None
    calls: int = 1
    read: dict[str, Array] = field(default_factory=dict, repr=False)
    """Latencies already read, by metric: all evaluations of a pipeline read at the same shares."""

    def latencies(self, shares: Array) -> Array:
        """The latency of requests at these shares, seconds."""
        if self.delay is not None:
            return self.delay.quantiles(shares ** (1.0 / self.calls))
        return _interpolated(self.e2e, shares)

    def first_tokens(self, shares: Array) -> Array:
        """The same of first tokens."""
        return _interpolated(self.ttft, shares)


def _interpolated(law: LatencyLaw | None, shares: Array) -> Array:
    if law is None:
        return np.full(shares.shape, np.inf)
    return np.asarray(np.interp(shares, law.cdf, law.values_s), dtype=float)


def answer_of(stage: PipelineStage, stream: CallStream, replicas: int, stretch: Stretch | None) -> StageAnswer:
    """What so many replicas of a stage do under a stream; `stretch` where others share its GPUs."""
    if stage.delay is not None:
        spread = stage.delay.spread_s
        return StageAnswer(
            replicas=0, stable=True, utilization=0.0, leaving=stream.dispersed(spread), delay=stage.delay,
            calls=stage.calls,
        )  # fmt: skip
    assert stage.service is not None
    service = (
        stage.service if stretch is None else replace(stage.service, profile=stretched(stage.service.profile, stretch))
    )
    load = stream.rate_per_s * stage.calls / (service.capacity_per_s * replicas)
    if load >= SATURATED:
        return StageAnswer(replicas=replicas, stable=False, utilization=load, leaving=stream)
    if service.makes_tokens:
        return _of_tokens(stage, service, stream, replicas)
    return _of_batches(stage, service, stream, replicas, load)


def mean_batch_of(stage: PipelineStage, stream: CallStream, replicas: int, stretch: Stretch) -> float:
    """Requests of a batch in the mean, of a stage whose batches are stretched; full ones where it cannot keep up."""
    from models.simulation.clumped_batching import clumped_batching

    assert stage.service is not None
    batcher = stretched(stage.service.profile, stretch).to_batcher()
    if stream.rate_per_s * stage.calls >= SATURATED * replicas * batcher.capacity_per_s:
        return float(batcher.full_batch)
    return clumped_batching(batcher, stream, calls=stage.calls, replicas=replicas).mean_batch


def stretched(profile: EngineProfile, stretch: Stretch) -> EngineProfile:
    """The profile of a batcher whose batches take longer, by a factor that varies."""
    times = tuple(
        time.model_copy(update={"mean": time.mean * stretch.factor, "cv": math.hypot(time.cv, stretch.cv)})
        for time in profile.spec.service_time
    )
    spec = profile.spec.model_copy(update={"service_time": times})
    return EngineProfile(apiVersion=profile.api_version, kind=profile.kind, metadata=profile.metadata, spec=spec)


def _of_tokens(stage: PipelineStage, service: Service, stream: CallStream, replicas: int) -> StageAnswer:
    """Engines that make tokens see the variability of about the time that they keep a request.

    Where requests come several at once that is more for first tokens, which are soon there, than for whole answers.
    """

    def under(burstiness: float) -> ServiceAnswer:
        arrivals = OpenArrivals(rate_per_s=stream.rate_per_s * stage.calls, burstiness=min(burstiness, MAX_BURSTINESS))
        return replace(service, arrivals=arrivals).predict(replicas)

    found = under(stream.long_scv)
    if not found.stable:
        return StageAnswer(replicas=replicas, stable=False, utilization=found.utilization, leaving=stream)
    if stage.calls > 1:
        return _of_fan_out(stage, service, stream, found)
    e2e, ttft = found.laws["e2e"], found.laws["ttft"]
    if stream.is_clumped:
        e2e = under(stream.scv_over(e2e.mean_s)).laws["e2e"]
        ttft = under(stream.scv_over(ttft.mean_s)).laws["ttft"]
    return StageAnswer(
        replicas=replicas,
        stable=True,
        utilization=found.utilization,
        leaving=stream.unclumped(),
        e2e=e2e,
        ttft=ttft,
    )


def _of_fan_out(stage: PipelineStage, service: Service, stream: CallStream, alone: ServiceAnswer) -> StageAnswer:
    """Calls that come together, by a sample of the steps."""
    from models.simulation.clumped_steps import clumped_steps

    assert service.lengths is not None
    workload = Workload(arrivals=service.arrivals, lengths=service.lengths, prefix_hit_rate=service.prefix_hit_rate)
    found = clumped_steps(
        service.profile.to_engine(), workload, stream, calls=stage.calls, replicas=alone.replicas,
        routing=service.routing, load=alone.utilization,
    )  # fmt: skip
    return StageAnswer(
        replicas=alone.replicas,
        stable=True,
        utilization=alone.utilization,
        leaving=stream.unclumped(),
        e2e=found.e2e,
        ttft=found.ttft,
    )


def _of_batches(stage: PipelineStage, service: Service, stream: CallStream, replicas: int, load: float) -> StageAnswer:
    from models.simulation.clumped_batching import clumped_batching

    batcher = service.profile.to_batcher()
    in_turn = service.routing is Routing.ROUND_ROBIN
    rules = tuple(DispatchRule) if batcher.max_queue_delay_s > 0.0 else (DispatchRule.WHEN_IDLE,)
    by_rule = {
        rule: clumped_batching(batcher, stream, calls=stage.calls, replicas=replicas, in_turn=in_turn, rule=rule)
        for rule in rules
    }
    slower = max(rules, key=lambda rule: by_rule[rule].e2e.mean_s)
    alone = by_rule[slower]
    law = alone.e2e
    if stage.calls == 1 and not stream.is_clumped and stream.gap_scv <= BURSTIEST:
        arrivals = OpenArrivals(rate_per_s=stream.rate_per_s, burstiness=stream.gap_scv)
        found = replace(service, arrivals=arrivals).predict(replicas)
        if not found.stable:
            return StageAnswer(replicas=replicas, stable=False, utilization=found.utilization, leaving=stream)
        law = found.laws["e2e"]
    return StageAnswer(
        replicas=replicas,
        stable=True,
        utilization=load,
        leaving=alone.leaving,
        e2e=law,
        mean_batch=alone.mean_batch,
        rule=slower,
    )
