"""The plan: what `planner size`, `predict` and `simulate` answer, as data in SI units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from models.errors import NoFeasiblePlan
from models.objective import METRICS, Objective
from models.prediction import Prediction
from models.workload import OpenArrivals, Workload
from planner.node_count import NodeCount, node_count, node_fields, paid_gpus, paid_note
from planner.profile import EngineProfile
from planner.serving import serving_fields
from planner.sizing import Sizing, binding, violated
from planner.uncertainty import ReplicaRange

STATISTICS: tuple[tuple[str, float | None], ...] = (
    ("mean", None),
    ("p50", 0.5),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A prediction or simulation of `replicas` replicas, with what was asked and assumed."""

    profile: EngineProfile
    workload: Workload
    objectives: tuple[Objective, ...]
    replicas: int
    prediction: Prediction
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]
    gpu_price_per_h: float | None = None

    @property
    def gpus(self) -> int:
        """GPUs of all replicas."""
        return self.replicas * self.profile.spec.gpu.per_replica

    @property
    def nodes(self) -> NodeCount | None:
        """Nodes that hold nothing else; None where it is not known how many GPUs a node has."""
        return node_count(self.profile.spec.gpu, self.replicas)

    def cost(self) -> dict[str, Any]:
        """Cost per hour and per million output tokens; null without a price. Nodes that are held are paid whole."""
        if self.gpu_price_per_h is None:
            return {"per_hour": None, "per_million_output_tokens": None, "note": "no price given (--gpu-price)"}
        gpu = self.profile.spec.gpu
        per_hour = paid_gpus(gpu, self.replicas) * self.gpu_price_per_h
        note = paid_note(gpu, self.replicas)
        tokens_per_h = self.prediction.output_tokens_per_s * 3600.0
        return {
            "per_hour": per_hour,
            "per_million_output_tokens": per_hour / tokens_per_h * 1e6 if tokens_per_h > 0.0 else None,
            "gpu_per_hour": self.gpu_price_per_h,
            **({} if note is None else {"note": note}),
        }

    def as_dict(self) -> dict[str, Any]:
        """The fields of `predict` and `simulate`."""
        return {
            "profile": self.profile.name,
            "replicas": self.replicas,
            "gpus": self.gpus,
            **node_fields(self.nodes),
            "utilization": self.prediction.utilization,
            "stable": self.prediction.stable,
            "cost": self.cost(),
            "objectives": objective_rows(self.prediction, self.objectives),
            "predicted": predicted(self.prediction, self.gpus, self.objectives),
            "capacity": capacity_dict(self.prediction, self.replicas),
            "assumptions": list(self.assumptions),
            "warnings": list(self.warnings),
            "serving": serving_fields(self.profile),
        }


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The least replicas, and what one fewer would do."""

    answer: Answer
    sizing: Sizing
    between: ReplicaRange | None = None
    """Replicas if the profile's step time is wrong; None where its error is not known, or not asked for."""
    no_range: str = ""
    """Why there is none, where the profile is not the reason."""

    @property
    def binding(self) -> Objective:
        """The objective nearest to its limit: of one replica fewer where that breaks one, else of the plan."""
        fewer = self.sizing.one_fewer
        broken = violated(fewer, self.answer.objectives) if fewer is not None else ()
        return binding(self.answer.prediction, broken or self.answer.objectives)

    @property
    def constraint(self) -> str:
        """What made the count what it is: `throughput` where one fewer could not carry the load, or an objective."""
        fewer = self.sizing.one_fewer
        return "throughput" if fewer is not None and not fewer.stable else "objective"

    def as_dict(self) -> dict[str, Any]:
        """The fields of `size`."""
        answer = self.answer
        fields = answer.as_dict()
        fields["feasible"] = True
        fields["binding"] = {
            "constraint": self.constraint,
            "objective": str(self.binding),
            "predicted": answer.prediction.value(self.binding),
            "bottleneck": answer.prediction.capacity.bottleneck.value,
        }
        fields["range"] = None if self.between is None else asdict(self.between)
        if self.between is None:
            fields["range_note"] = self.no_range or "the profile states no error of its step time"
        fewer = self.sizing.one_fewer
        fields["one_fewer"] = None
        if fewer is not None:
            gpus = (answer.replicas - 1) * answer.profile.spec.gpu.per_replica
            fields["one_fewer"] = {
                "replicas": answer.replicas - 1,
                "stable": fewer.stable,
                "utilization": fewer.utilization,
                "violates": [str(objective) for objective in violated(fewer, answer.objectives)],
                "predicted": predicted(fewer, gpus, answer.objectives),
            }
        return fields


def no_plan(profile: EngineProfile, objectives: Sequence[Objective], error: NoFeasiblePlan) -> dict[str, Any]:
    """The fields of `size` and of `predict --max-qps` where nothing meets the objectives."""
    return {
        "profile": profile.name,
        "replicas": None,
        "gpus": None,
        "feasible": False,
        "reason": str(error),
        "remedy": error.remedy,
        "objectives": [_unmet(each, error.predicted.get(str(each))) for each in objectives],
    }


def _unmet(objective: Objective, nearest_s: float | None) -> dict[str, Any]:
    """An objective where there is no plan, with what came nearest to one where that is known."""
    met, limit_s = nearest_s is not None and nearest_s <= objective.limit_s, objective.limit_s
    margin = None if nearest_s is None else 1.0 - nearest_s / limit_s
    return {"objective": str(objective), "limit": limit_s, "predicted": nearest_s, "met": met, "margin": margin}


def predicted(prediction: Prediction, gpus: int, objectives: Sequence[Objective]) -> dict[str, Any]:
    """Every metric's statistics (and those that objectives ask for), seconds; null when unstable."""
    fields: dict[str, Any] = {}
    for metric in METRICS:
        law = prediction.laws.get(metric)
        asked = [(o.statistic, o.quantile) for o in objectives if o.metric == metric]
        statistics = dict([*STATISTICS, *asked])
        fields[metric] = {name: None if law is None else law.statistic(q) for name, q in statistics.items()}
    # An overloaded replica carries what its capacity is, for an unlimited time.
    served = min(1.0, 1.0 / prediction.utilization) if not prediction.stable else 1.0
    carried = prediction.requests_per_s * served
    tokens = prediction.output_tokens_per_s * served
    fields["throughput"] = {
        "requests_per_s": carried,
        "output_tokens_per_s": tokens,
        "output_tokens_per_s_per_gpu": None if gpus < 1 else tokens / gpus,
    }
    fields["running_per_replica"] = prediction.running
    fields["kv_occupancy"] = prediction.kv_occupancy
    fields["preemptions_per_request"] = prediction.preemptions_per_request
    return fields


def objective_rows(prediction: Prediction, objectives: Sequence[Objective]) -> list[dict[str, Any]]:
    """Each objective with its predicted value, whether it holds and its margin (a share of the limit)."""
    rows = []
    for objective in objectives:
        value = prediction.value(objective)
        rows.append(
            {
                "objective": str(objective),
                "limit": objective.limit_s,
                "predicted": value,
                "met": prediction.meets(objective),
                "margin": None if value is None else 1.0 - value / objective.limit_s,
            }
        )
    return rows


def capacity_dict(prediction: Prediction, replicas: int) -> dict[str, Any]:
    """The highest rate of all replicas together and of one, and what stops it."""
    top = prediction.capacity
    return {
        "requests_per_s": top.requests_per_s * replicas,
        "requests_per_s_per_replica": top.requests_per_s,
        "bottleneck": top.bottleneck.value,
    }


def load_assumptions(profile: EngineProfile, workload: Workload) -> tuple[str, ...]:
    """What every answer on this profile assumes."""
    limits = profile.spec.limits
    memory = f"{limits.kv_cache_tokens:,} KV tokens" if limits.kv_cache_tokens else "ample KV memory"
    notes = [
        (
            f"a replica runs at most {limits.max_num_seqs:,} sequences, {limits.max_num_batched_tokens:,} tokens a "
            f"step, {memory}, chunked prefill {'on' if limits.chunked_prefill else 'off'}"
        )
    ]
    if isinstance(workload.arrivals, OpenArrivals) and workload.prefix_hit_rate == 0.0:
        notes.append("no prompt tokens are found in a prefix cache (--prefix-hit-rate 0)")
    for entry in profile.spec.provenance:
        notes += [f"profile: {note}" for note in entry.notes]
    return tuple(notes)
