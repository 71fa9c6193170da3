"""What a model or a simulation says of a set of replicas under a workload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from models.latency_law import LatencyLaw
from models.objective import Metric, Objective


class Routing(StrEnum):
    """How the load balancer picks a replica."""

    RANDOM = "random"
    ROUND_ROBIN = "round-robin"
    LEAST_OUTSTANDING = "least-outstanding"


class Bottleneck(StrEnum):
    """What a replica runs out of first as the rate grows."""

    COMPUTE = "compute"
    MAX_NUM_SEQS = "max_num_seqs"
    TOKEN_BUDGET = "max_num_batched_tokens"  # noqa: S105 -- the engine's own name of the limit
    KV_CACHE = "kv_cache"
    WHOLE_PROMPTS = "whole_prompts"
    """With chunked prefill off: long prompts wait until decodes leave them room in a step."""


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """The highest rate one replica carries, and what stops it there."""

    requests_per_s: float
    bottleneck: Bottleneck
    running: float
    """Mean decoding sequences at that rate."""
    seats: float
    """Decoding sequences that fit at a time: the sequence limit, or what KV memory holds of them."""
    memory_bound: bool
    """Whether it is KV memory that limits the seats."""
    preemptions_per_request: float
    """Preemptions per request at that rate."""
    packing: float = 1.0
    """Share of a step's room that prompts fill while more wait: 1 where they may be split."""
    familiarity: float = 1.0
    """How near short KV memory is to what its cost was learned from: 1 within, 0 far outside."""
    waste: float = 1.0
    """How many times longer short KV memory makes the work of a request at that rate."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """Laws of every metric over all requests of all replicas; rates are of all replicas together.

    An unstable system has `stable` False and no laws.
    """

    stable: bool
    utilization: float
    """Arrival rate over capacity; for a closed workload, throughput over capacity."""
    requests_per_s: float
    output_tokens_per_s: float
    capacity: Capacity
    running: float
    """Mean running sequences in one replica: admitted and not ended, their prompts computed or being computed
    (Little's law: rate × (e2e − queue)). Beyond capacity those of a saturated replica that decode."""
    kv_occupancy: float
    """Mean share of KV memory in use; 0 where memory is ample."""
    preemptions_per_request: float
    laws: Mapping[Metric, LatencyLaw]
    analytic: Mapping[Metric, LatencyLaw] = field(default_factory=dict)
    """The same laws before what they miss was put right, where that was tried: open workloads below capacity."""
    familiarity: float | None = None
    """How far the laws carry the learned correction: 1 for questions as simulated in training, 0 for the analytic laws
    alone; None where there is no correction (closed loops, answers of one token)."""

    def value(self, objective: Objective) -> float | None:
        """The predicted value of an objective's statistic, seconds; None when unstable."""
        law = self.laws.get(objective.metric)
        return None if law is None else law.statistic(objective.quantile)

    def meets(self, objective: Objective) -> bool:
        """Whether the objective holds. An unstable system meets none."""
        value = self.value(objective)
        return value is not None and value <= objective.limit_s
