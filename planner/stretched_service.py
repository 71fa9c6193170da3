"""A service whose replicas have a share of a GPU: its profile with every batch or step drawn out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from models.gpu_sharing import stretch
from models.step_terms import terms_of
from models.step_time import ExpertsStepTime
from planner.profile import EngineProfile, StepTimeTerms
from planner.service import Service

_FIELDS = {
    "base_s": "base",
    "per_prefill_token_s": "perPrefillToken",
    "per_decode_s": "perDecodeSequence",
    "per_kv_token_s": "perKvToken",
    "per_sqrt_decode_s": "perSqrtDecode",
    "per_expert_s": "perExpert",
}


def with_share(service: Service, share: float) -> Service:
    """The service where each replica gets this share of the GPU it was measured on (processor sharing, 1/share).

    Queue delays, and what comes before a first token outside the steps, are not the GPU's and stay as they are.
    """
    if share >= 1.0:
        return service
    return replace(service, profile=stretched(service.profile, stretch(share)))


def with_kv_tokens(service: Service, tokens: int) -> Service:
    """The service with no more KV memory than this in a replica."""
    limits = service.profile.spec.limits
    if limits.kv_cache_tokens is not None and limits.kv_cache_tokens <= tokens:
        return service
    spec = service.profile.spec.model_copy(
        update={"limits": limits.model_copy(update={"kv_cache_tokens": max(limits.kv_block_size, tokens)})}
    )
    return replace(service, profile=_of(service.profile, spec))


def stretched(profile: EngineProfile, factor: float) -> EngineProfile:
    """The profile of an engine that takes so many times as long for every batch or step."""
    spec = profile.spec
    update: dict[str, Any] = {"measurements": (), "step_time_uncertainty": None}
    if spec.engine == "triton":
        update["service_time"] = tuple(
            each.model_copy(update={"mean": each.mean * factor}) for each in spec.service_time
        )
    else:
        update["step_time"] = _drawn_out(profile, factor)
    return _of(profile, spec.model_copy(update=update))


def _drawn_out(profile: EngineProfile, factor: float) -> StepTimeTerms:
    stated = profile.spec.step_time
    if stated is not None:
        times = {name: value * factor for name, value in stated if isinstance(value, float)}
        return stated.model_copy(update=times)
    fitted = profile.fitted.step_time
    terms: dict[str, Any] = {_FIELDS[name]: value * factor for name, value in terms_of(fitted).items()}
    if isinstance(fitted, ExpertsStepTime):
        terms |= {"experts": fitted.experts, "expertsPerToken": fitted.experts_per_token}
    return StepTimeTerms.model_validate(terms)


def _of(profile: EngineProfile, spec: Any) -> EngineProfile:
    """A profile anew: a copy would keep what the old one has computed of itself."""
    return EngineProfile.model_construct(
        api_version=profile.api_version, kind=profile.kind, metadata=profile.metadata, spec=spec
    )
