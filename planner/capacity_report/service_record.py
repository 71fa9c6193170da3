"""One service of the report: its names, its history, and what the queueing model says it needed, slot by slot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.errors import InvalidInput, NoFeasiblePlan
from models.idle_capacity import CapacityUse, capacity_use
from models.objective import Objective
from models.prediction import Routing
from models.scale_down_hold import ScaleDownPolicy, held_replicas
from models.token_lengths import TokenLengths
from models.workload import OpenArrivals
from planner.capacity_curve import CapacityCurve, capacity_curve
from planner.capacity_report.history import History, Slots
from planner.capacity_report.period import Period
from planner.fleet_file import ScaleDownFields, WorkloadFields
from planner.profile import EngineProfile
from planner.service import Service
from planner.units import parse_seconds


@dataclass(frozen=True, kw_only=True)
class Accounted:
    """What a service is, and whose."""

    fields: WorkloadFields
    profile: EngineProfile
    objectives: tuple[Objective, ...]

    @property
    def name(self) -> str:
        """Of the service."""
        return self.fields.name

    @property
    def gpu(self) -> str:
        """Type of its GPUs."""
        return self.profile.spec.gpu.type

    @property
    def pool(self) -> tuple[str, str]:
        """Cluster and GPU type: what capacity is bought for."""
        return self.fields.cluster, self.gpu

    @property
    def scale_down(self) -> ScaleDownPolicy:
        """Of its autoscaler."""
        return scale_down_of(self.fields.scale_down)


def scale_down_of(fields: ScaleDownFields) -> ScaleDownPolicy:
    """The policy that the fields say."""
    return ScaleDownPolicy(
        window_s=parse_seconds(fields.stabilization_window, what="scaleDown.stabilizationWindow"),
        replicas=fields.replicas,
        period_s=parse_seconds(fields.period, what="scaleDown.period"),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class ServiceRecord:
    """A service over the period."""

    accounted: Accounted
    history: History
    rate_per_s: Slots
    use: CapacityUse
    """In GPUs."""
    curve: CapacityCurve | None
    """None where no number of replicas meets the objectives, or where the demand is not known at all."""
    service: Service | None
    """Under the mean rate of the period; None where the demand is not known at all."""
    met: Slots
    """1 where the objectives held, 0 where not: measured, else as the replicas that the model asks for were there."""
    contradicted: int
    """Slots in which fewer replicas than the model asks for were measured to meet the objectives."""
    broken: int
    """Slots in which as many as the model asks for were measured to break one."""
    problem: str = ""
    """Why the need is not known."""


def record(accounted: Accounted, history: History, period: Period) -> ServiceRecord:
    """Account for one service. What is missing stays unknown, and `problem` says why."""
    rate = history.requests / period.slot_s
    per_replica = accounted.profile.spec.gpu.per_replica
    service, curve, problem = _modelled(accounted, history, rate)
    unknown = np.full(period.slots, np.nan)
    nothing = np.where(rate == 0.0, 0.0, unknown)
    work = nothing if service is None else rate / service.capacity_per_s
    parts = needed = nothing
    if curve is not None:
        parts, needed = curve.parts(rate), curve.replicas(rate)
    # A measurement says more than the model: with what ran the objective held.
    fewer = (history.met == 1.0) & (history.replicas < needed)
    needed = np.where(fewer, history.replicas, needed)
    # And where it broke with as many as the model asks for, more are needed: nobody knows how many.
    more = (history.met == 0.0) & (history.replicas >= needed)
    needed = np.where(more, np.nan, needed)
    parts = np.where(more, np.nan, np.fmin(parts, needed))
    use = capacity_use(
        work=np.where(fewer, np.fmin(work, needed), work) * per_replica,
        parts=parts * per_replica,
        needed=needed * per_replica,
        allocated=history.replicas * per_replica,
        floor=float(accounted.fields.min_replicas * per_replica),
        held=held_replicas(
            np.fmax(needed, accounted.fields.min_replicas), accounted.scale_down, slot_s=float(period.slot_s)
        )
        * per_replica,
    )
    enough = np.where(np.isnan(use.shortfall), np.nan, (use.shortfall <= 1e-9).astype(float))
    return ServiceRecord(
        accounted=accounted,
        history=history,
        rate_per_s=rate,
        use=use,
        curve=curve,
        service=service,
        met=np.where(np.isnan(history.met), enough, history.met),
        contradicted=int(np.count_nonzero(fewer)),
        broken=int(np.count_nonzero(more)),
        problem=problem,
    )


def _modelled(accounted: Accounted, history: History, rate: Slots) -> tuple[Service | None, CapacityCurve | None, str]:
    if not np.any(rate > 0.0):
        known = not np.all(np.isnan(rate))
        return None, None, "" if known else "its demand is not known in any part of the period"
    try:
        service = service_of(accounted, history, float(np.nanmean(rate)))
        return service, capacity_curve(service, accounted.objectives, highest_per_s=float(np.nanmax(rate))), ""
    except NoFeasiblePlan as error:
        return service, None, f"{error}: {error.remedy}"
    except InvalidInput as error:
        return None, None, f"{error}: {error.remedy}"


def service_of(accounted: Accounted, history: History, rate_per_s: float) -> Service:
    """The service at a rate; lengths as stated, else the means of the history. Raises InvalidInput for neither."""
    fields = accounted.fields
    lengths = None
    if accounted.profile.spec.engine != "triton":
        prompt = fields.input_tokens or _mean_length(history.input_tokens, history.requests)
        output = fields.output_tokens or _mean_length(history.output_tokens, history.requests)
        if prompt is None or output is None:
            raise InvalidInput(
                "the lengths of its requests are not known", remedy="give inputTokens and outputTokens, or a history"
            )
        lengths = TokenLengths.of(prompt, output, prompt_cv=fields.input_cv, output_cv=fields.output_cv)
    arrivals = OpenArrivals(rate_per_s=rate_per_s, burstiness=1.0 if fields.burstiness is None else fields.burstiness)
    return Service(
        profile=accounted.profile,
        arrivals=arrivals,
        lengths=lengths,
        prefix_hit_rate=fields.prefix_hit_rate,
        routing=fields.routing or Routing.RANDOM,
    )


def _mean_length(tokens: Slots, requests: Slots) -> float | None:
    known = ~np.isnan(tokens) & (requests > 0.0)
    if not np.any(known):
        return None
    mean = float(tokens[known].sum() / requests[known].sum())
    return mean if mean >= 1.0 else None
