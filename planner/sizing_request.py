"""A whole question to `planner size`, and the plan that answers it."""

from __future__ import annotations

from dataclasses import dataclass

from models.continuous_batching import predict
from models.engine import Engine
from models.errors import InvalidInput, NoFeasiblePlan
from models.objective import Objective
from models.prediction import Routing
from models.workload import Workload
from planner.caveats import caveats
from planner.objective import unit_warnings
from planner.plan import Answer, Plan, load_assumptions
from planner.profile import EngineProfile
from planner.sizing import MAX_REPLICAS, Sizing, size
from planner.uncertainty import replica_range, replicas_if_slower, slowdown_at, step_time_error


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
    confidence: float | None = None
    """Chance that the steps of the real engine are no slower than those sized for; None: the profile's own steps."""
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
    sizing, prudence = _prudent(request, engine, sizing)
    answer = Answer(
        profile=request.profile,
        workload=request.workload,
        objectives=request.objectives,
        replicas=sizing.replicas,
        prediction=sizing.prediction,
        assumptions=(*request.assumptions, *prudence, *load_assumptions(request.profile, request.workload)),
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


def _prudent(request: SizingRequest, engine: Engine, sizing: Sizing) -> tuple[Sizing, tuple[str, ...]]:
    """The sizing for steps as slow as the confidence asks, with what was assumed; as it is without a confidence."""
    if request.confidence is None:
        return sizing, ()
    error = step_time_error(request.profile, request.workload, sizing.prediction)
    if error is None:
        raise InvalidInput(
            f"--confidence: profile {request.profile.name} states no error of its step time",
            remedy="give it measurements, or drop --confidence",
        )
    slower = slowdown_at(request.confidence, error)
    replicas = replicas_if_slower(
        engine,
        request.workload,
        request.objectives,
        slower=slower,
        routing=request.routing,
        max_replicas=request.max_replicas,
    )
    share = f"{100.0 * request.confidence:g}%"
    note = f"steps take {slower:.1%} longer than the profile says: {share} are no slower (--confidence)"
    if replicas is None:
        raise NoFeasiblePlan(
            f"with steps {slower:.1%} longer than the profile says nothing meets the objectives",
            remedy="lower --confidence, loosen an objective, or measure the profile better",
        )
    if replicas <= sizing.replicas:
        return sizing, (note,)
    at, below = (
        predict(engine, request.workload, replicas=count, routing=request.routing) for count in (replicas, replicas - 1)
    )
    return Sizing(replicas=replicas, prediction=at, one_fewer=below), (note,)
