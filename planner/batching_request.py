"""From what a user says of a load to a question to Triton's batchers."""

from __future__ import annotations

from collections.abc import Sequence

from models.errors import InvalidInput
from models.objective import Objective
from models.prediction import Routing
from models.workload import MAX_BURSTINESS, MAX_RATE_PER_S, OpenArrivals
from planner.batching_answer import BatchingQuestion
from planner.profile import EngineProfile
from planner.sizing import require_known
from planner.workload import WorkloadOptions

_OF_TOKENS = (
    "concurrency", "think_time_s", "trace", "trace_window_s", "input_tokens", "output_tokens", "input_cv", "output_cv",
    "prefix_hit_rate",
)  # fmt: skip


def batching_question(
    profile: EngineProfile,
    options: WorkloadOptions,
    objectives: Sequence[Objective],
    *,
    routing: Routing,
    gpu_price_per_h: float | None,
) -> BatchingQuestion:
    """The question that the options ask. Raises InvalidInput for those that mean nothing here."""
    unsaid = WorkloadOptions()
    said = [name for name in _OF_TOKENS if getattr(options, name) != getattr(unsaid, name)]
    if said:
        raise InvalidInput(
            f"--{said[0].removesuffix('_s').replace('_', '-')}: profile {profile.name} is of a dynamic batcher, whose "
            "requests have no tokens and arrive at a rate",
            remedy="give --qps and, where arrivals are not Poisson, --burstiness",
        )
    rate, burstiness = options.qps, options.burstiness
    if rate is None and options.needs_rate:
        raise InvalidInput("no load is given", remedy="add --qps RATE")
    if rate is not None and not 1e-9 <= rate <= MAX_RATE_PER_S:
        raise InvalidInput(f"--qps {rate:g} is out of range", remedy=f"give 1e-9 to {MAX_RATE_PER_S:g} a second")
    if burstiness is not None and not 0.0 <= burstiness <= MAX_BURSTINESS:
        raise InvalidInput(f"--burstiness {burstiness:g} is out of range", remedy=f"give 0 to {MAX_BURSTINESS:g}")
    require_known(objectives)
    return BatchingQuestion(
        profile=profile,
        arrivals=OpenArrivals(
            rate_per_s=1.0 if rate is None else rate, burstiness=1.0 if burstiness is None else burstiness
        ),
        objectives=tuple(objectives),
        routing=routing,
        gpu_price_per_h=gpu_price_per_h,
        assumptions=("arrivals are Poisson (--burstiness 1)",) if burstiness is None else (),
    )
