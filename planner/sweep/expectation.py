"""What to expect of an engine before the sweep: from a profile of it or its like, or from data sheets alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

from models.engine import EngineLimits
from models.errors import InvalidInput
from models.step_prior import StepPrior
from models.step_time import StepTime
from planner.hardware import find_gpu, find_model, precision_of, step_prior
from planner.memory_budget import memory_budget
from planner.profile import EngineProfile

_LEAST_TERM_S = 1e-10
"""For terms that a fit left at zero: a prior has none."""
SPREAD_OF_A_PROFILE = 0.5
"""A sweep is made because the profile is not trusted far; as wide as data sheets."""


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """The step time and limits that a sweep is designed for, and the longest sequence."""

    prior: StepPrior
    limits: EngineLimits
    longest: int


def of_profile(
    profile: EngineProfile, *, max_num_seqs: int | None = None, max_num_batched_tokens: int | None = None
) -> Expectation:
    """Of the engine in a profile: its step time, made a straight line, and its limits unless others are stated."""
    engine = profile.to_engine()
    limits = replace(
        engine.limits,
        max_num_seqs=max_num_seqs or engine.limits.max_num_seqs,
        max_num_batched_tokens=max_num_batched_tokens or engine.limits.max_num_batched_tokens,
    )
    shape = find_model(profile.spec.model)
    longest = shape.max_positions if shape is not None else engine.limits.kv_cache_tokens or 131_072
    return Expectation(
        prior=straight_line(engine.step_time, source=f"profile {profile.name}"),
        limits=limits,
        longest=min(longest, engine.limits.kv_cache_tokens or longest),
    )


def in_catalogue(gpu_name: str, model: str) -> bool:
    """Whether data sheets of both are known."""
    return find_gpu(gpu_name) is not None and find_model(model) is not None


def of_data_sheets(
    *,
    gpu_name: str,
    model: str,
    quantization: str,
    gpus: int,
    max_num_seqs: int | None = None,
    max_num_batched_tokens: int | None = None,
) -> Expectation:
    """Of a model on GPUs that the catalogue knows. Raises InvalidInput where it does not, or the model does not fit."""
    gpu, shape = find_gpu(gpu_name), find_model(model)
    for what, name, found in (("GPU", gpu_name, gpu), ("model", model, shape)):
        if found is None:
            raise InvalidInput(
                f"the catalogue has no {what} {name[:120]!r}, so nothing tells what to expect of it",
                remedy="give --profile of a like engine, or state the loads with --concurrency or --qps",
            )
    assert gpu is not None
    assert shape is not None
    precision = precision_of(quantization)
    prior = step_prior(gpu, shape, precision=precision, gpus_per_replica=gpus)
    defaults = EngineLimits()
    limits = EngineLimits(
        max_num_seqs=max_num_seqs or defaults.max_num_seqs,
        max_num_batched_tokens=max_num_batched_tokens or defaults.max_num_batched_tokens,
    )
    budget = memory_budget(gpu, shape, precision=precision, limits=limits, gpus=gpus)
    if prior is None or budget is None:
        raise InvalidInput(
            f"the catalogue does not say enough of {shape.name} at {precision} to expect anything of it",
            remedy="give --profile of a like engine, or state the loads with --concurrency or --qps",
        )
    tokens = budget.kv_tokens
    if tokens == 0:
        raise InvalidInput(
            f"{shape.name} at {precision} does not fit on {gpus} × {gpu.name}, each: {budget.arithmetic()}",
            remedy="give more --gpus-per-replica, or a smaller --quantization",
        )
    return Expectation(
        prior=prior, limits=replace(limits, kv_cache_tokens=tokens), longest=min(shape.max_positions, tokens)
    )


def straight_line(step: StepTime, *, source: str) -> StepPrior:
    """The straight line through a step time at one sequence, at a large batch, a long prompt and much KV."""
    single = float(step.seconds(0.0, 1.0, 0.0))
    prompt = (float(step.seconds(2048.0, 1.0, 0.0)) - single) / 2048.0
    batch = float(step.seconds(0.0, 64.0, 0.0))
    kv = (float(step.seconds(0.0, 64.0, 1e5)) - batch) / 1e5
    return StepPrior(
        base_s=max(single, _LEAST_TERM_S),
        per_prefill_token_s=max(prompt, _LEAST_TERM_S),
        per_decode_s=max((batch - single) / 63.0, _LEAST_TERM_S),
        per_kv_token_s=max(kv, _LEAST_TERM_S),
        spread=SPREAD_OF_A_PROFILE,
        source=source,
    )
