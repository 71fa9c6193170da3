"""The fit of a profile's own measurements."""

from __future__ import annotations

from models.errors import InvalidInput
from models.step_fit import StepFit, fit
from planner.hardware import find_gpu, find_model, known_of, precision_of
from planner.profile import EngineProfile


def fit_profile(profile: EngineProfile) -> StepFit:
    """The step time that explains the measurements. Raises InvalidInput where there are none that do."""
    if not profile.spec.measurements:
        raise InvalidInput(
            f"profile {profile.name} holds no measurements", remedy="add spec.measurements, or import benchmark results"
        )
    usable = [point.to_measurement() for point in profile.spec.measurements if not point.capacity_only]
    spec = profile.spec
    prior, experts = known_of(
        find_gpu(spec.gpu.type),
        find_model(spec.model),
        precision=precision_of(spec.quantization),
        gpus_per_replica=spec.gpu.per_replica,
    )
    return fit(usable, limits=spec.limits.to_limits(), prior=prior, experts=experts)
