"""One row of a comparison: a profile, its plan or why there is none, with cost, headroom and set-up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.objective import Objective
from models.prediction import Routing
from models.workload import OpenArrivals, Workload
from planner.prices import FoundPrice
from planner.profile import EngineProfile
from planner.sizing import MAX_REPLICAS
from planner.uncertainty import ReplicaRange

_HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class Load:
    """What every profile of a comparison is asked to carry: tokens, or whole requests for dynamic batchers."""

    workload: Workload | None
    """None for dynamic batchers."""
    arrivals: OpenArrivals | None
    """Of dynamic batchers, and of open workloads."""
    objectives: tuple[Objective, ...]
    routing: Routing = Routing.RANDOM
    max_replicas: int = MAX_REPLICAS
    assumptions: tuple[str, ...] = ()

    @property
    def rate_per_s(self) -> float | None:
        """Requests per second that arrive; None of a closed loop."""
        return None if self.arrivals is None else self.arrivals.rate_per_s


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A profile in the comparison, and where it comes from."""

    name: str
    profile: EngineProfile | None
    """None of a variant that cannot be."""
    estimated: bool = False
    error: float = 0.0
    """Of an estimated step time, beside what its base states."""
    basis: str = ""
    base: EngineProfile | None = None
    """The measured profile of an estimated one."""
    gpu: str = ""
    reason: str = ""
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class SetUp:
    """How long until it serves: seconds from a raised replica count to Ready, and hours to build an engine before."""

    cold_start_p50_s: float | None
    cold_start_p95_s: float | None
    compile_hours: float
    note: str

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "cold_start": {"p50": self.cold_start_p50_s, "p95": self.cold_start_p95_s},
            "compile_hours": self.compile_hours,
            "note": self.note,
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """A candidate and its plan, or the reason why there is none."""

    candidate: Candidate
    fields: Mapping[str, Any]
    """What `planner size -o json` says of it."""
    price: FoundPrice
    nodes: int | None
    between: ReplicaRange | None
    max_rate_per_s: float | None
    """The most that the same replicas carry within the objectives; None of closed loops."""
    set_up: SetUp
    requests_per_s: float | None
    builds_per_hour: float = 0.0
    """Dollars to build each version's engines, spread over the hours that it serves."""
    builds_gpus: float = 0.0
    """GPUs that build at a time, on average."""

    @property
    def name(self) -> str:
        """How the row is called."""
        return self.candidate.name

    @property
    def feasible(self) -> bool:
        """Whether there is a plan."""
        return bool(self.fields["feasible"])

    @property
    def gpus(self) -> int:
        """GPUs of all replicas; 0 without a plan."""
        return int(self.fields["gpus"] or 0)

    @property
    def per_hour(self) -> float | None:
        """Dollars an hour for GPUs; None without a plan or a price."""
        return self.price.usd_per_h * self.gpus if self.feasible and self.price.usd_per_h is not None else None

    @property
    def per_hour_with_builds(self) -> float | None:
        """Dollars an hour for GPUs and for building the engines of every version: what rows are ranked by."""
        return None if self.per_hour is None else self.per_hour + self.builds_per_hour

    @property
    def per_hour_between(self) -> tuple[float, float] | None:
        """Dollars an hour for GPUs if steps are as fast or slow as they may be; infinite where no number would do."""
        cost = self.per_hour
        if cost is None or self.between is None:
            return None
        replica = cost / int(self.fields["replicas"])
        high = self.between.high
        return replica * self.between.low, math.inf if high is None else replica * high

    @property
    def headroom(self) -> float | None:
        """How much more than the asked rate the same replicas carry within the objectives, as a share of it."""
        rate = self.requests_per_s
        return None if self.max_rate_per_s is None or rate is None else max(0.0, self.max_rate_per_s / rate - 1.0)

    def latency(self, metric: str, statistic: str) -> float | None:
        """A predicted statistic, seconds."""
        if not self.feasible:
            return None
        value = self.fields["predicted"].get(metric, {}).get(statistic)
        return None if value is None else float(value)

    def costs(self) -> dict[str, Any]:
        """Every cost, null where it is not known, and why."""
        hour = self.per_hour
        throughput = self.fields["predicted"]["throughput"] if self.feasible else {}
        between = self.per_hour_between
        return {
            "per_hour": hour,
            "builds_per_hour": None if hour is None else self.builds_per_hour,
            "per_hour_with_builds": self.per_hour_with_builds,
            "per_hour_low": None if between is None else between[0],
            "per_hour_high": None if between is None or math.isinf(between[1]) else between[1],
            "per_million_output_tokens": _per(hour, throughput.get("output_tokens_per_s"), 1e6),
            "per_thousand_requests": _per(hour, throughput.get("requests_per_s"), 1e3),
            "gpu_per_hour": self.price.usd_per_h,
            "price": self.price.told,
        }


def _per(per_hour: float | None, per_s: float | None, many: float) -> float | None:
    return None if per_hour is None or not per_s else per_hour / (per_s * _HOUR) * many
