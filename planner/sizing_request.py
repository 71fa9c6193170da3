"""A whole question to `planner size`, and the plan that answers it."""

from __future__ import annotations

from dataclasses import dataclass

from models.objective import Objective
from models.prediction import Routing
from models.workload import Workload
from planner.caveats import caveats
from planner.objective import unit_warnings
from planner.plan import Answer, Plan, load_assumptions
from planner.profile import EngineProfile
from planner.sizing import MAX_REPLICAS, size
from planner.uncertainty import replica_range, step_time_error


@dataclass(frozen=True, kw_only=True)
class SizingRequest:
    """What to size, for which load, to which objectives."""

    profile: EngineProfile
    workload: Workload
    objectives: tuple[Objective, ...]
    routing: Routing = Routing.RANDOM
    max_replicas: int = MAX_REPLICAS
    gpu_price_per_h: float | None = None
    assumptions: tuple[str, ...] = ()
    with_range: bool = True
    """Whether to size twice more for the range that the profile's error leaves."""


def make_plan(request: SizingRequest) -> Plan:
    """The plan. Raises NoFeasiblePlan where there is none."""
    engine = request.profile.to_engine()
    sizing = size(
        engine,
        request.workload,
        request.objectives,
        routing=request.routing,
        max_replicas=request.max_replicas,
    )
    answer = Answer(
        profile=request.profile,
        workload=request.workload,
        objectives=request.objectives,
        replicas=sizing.replicas,
        prediction=sizing.prediction,
        assumptions=(*request.assumptions, *load_assumptions(request.profile, request.workload)),
        warnings=(
            *unit_warnings(request.objectives),
            *caveats(request.profile, request.workload, request.objectives, sizing.prediction, request.routing),
        ),
        gpu_price_per_h=request.gpu_price_per_h,
    )
    error = step_time_error(request.profile, request.workload, sizing.prediction) if request.with_range else None
    between = None
    if error is not None:
        between = replica_range(
            engine,
            request.workload,
            request.objectives,
            error=error,
            routing=request.routing,
            max_replicas=request.max_replicas,
        )
    no_range = "" if request.with_range else "not computed for a fleet of so many: size it alone, or in a smaller file"
    return Plan(answer=answer, sizing=sizing, between=between, no_range=no_range)
