"""How a file of several services (pack, pipeline, topology) says what one of them is, and under which load."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from models.errors import InvalidInput
from models.prediction import Routing
from models.token_lengths import TokenLengths
from models.workload import OpenArrivals
from planner.file_model import NAME_PATTERN, FileModel
from planner.profile import EngineProfile, load_profile
from planner.service import Service

Name = Annotated[str, Field(min_length=1, max_length=63, pattern=NAME_PATTERN)]
"""As Kubernetes names things, so that a plan can be rendered."""
Rate = Annotated[float, Field(gt=0.0, le=1e7, allow_inf_nan=False)]
Tokens = Annotated[float, Field(ge=1.0, le=1e8, allow_inf_nan=False)]
Variation = Annotated[float, Field(ge=0.0, le=20.0, allow_inf_nan=False)]
Burstiness = Annotated[float, Field(ge=0.0, le=100.0, allow_inf_nan=False)]
Price = Annotated[float, Field(ge=0.0, le=1e6, allow_inf_nan=False)]
"""Of one GPU for an hour."""


def _in_seconds(value: Any) -> Any:
    """A plain number is a number of seconds."""
    return f"{value}s" if isinstance(value, int | float) and not isinstance(value, bool) else value


Duration = Annotated[str, Field(max_length=40), BeforeValidator(_in_seconds)]
ProfileName = Annotated[str, Field(min_length=1, max_length=1000)]
"""A file (relative to the file that names it), or a shipped profile."""


class RequestFields(FileModel):
    """What requests are like; the rate and the engine are said elsewhere."""

    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    input_cv: Variation = 0.0
    output_cv: Variation = 0.0
    prefix_hit_rate: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    routing: Routing = Routing.RANDOM

    def service_of(
        self,
        profile: EngineProfile,
        rate_per_s: float,
        *,
        burstiness: float = 1.0,
        gpu_price_per_h: float | None = None,
    ) -> Service:
        """Such requests at a rate, served by a profile. Raises InvalidInput for what does not fit."""
        if profile.spec.gpu.per_replica < 1:
            raise InvalidInput(
                f"profile {profile.name} is of a model on the CPU (gpu.perReplica 0), and plans of several services "
                "count GPUs",
                remedy="size it alone, with `planner size --profile`, or as a delay of a pipeline",
            )
        return Service(
            profile=profile,
            arrivals=OpenArrivals(rate_per_s=rate_per_s, burstiness=burstiness),
            lengths=self._lengths(),
            prefix_hit_rate=self.prefix_hit_rate,
            routing=self.routing,
            gpu_price_per_h=gpu_price_per_h,
        )

    def _lengths(self) -> TokenLengths | None:
        if self.input_tokens is None and self.output_tokens is None:
            return None
        if self.input_tokens is None or self.output_tokens is None:
            raise InvalidInput(
                "of inputTokens and outputTokens one is missing", remedy="give both, or none for a dynamic batcher"
            )
        return TokenLengths.of(self.input_tokens, self.output_tokens, prompt_cv=self.input_cv, output_cv=self.output_cv)


class ServiceFields(RequestFields):
    """A profile, and what its requests are like; the rate is said elsewhere. Files extend it."""

    profile: ProfileName

    def service(
        self, rate_per_s: float, *, base: Path, burstiness: float = 1.0, gpu_price_per_h: float | None = None
    ) -> Service:
        """The service at a rate; `base` is the folder of the file. Raises InvalidInput for what does not fit."""
        profile = profile_beside(base, self.profile)
        return self.service_of(profile, rate_per_s, burstiness=burstiness, gpu_price_per_h=gpu_price_per_h)


def profile_beside(base: Path, name: str) -> EngineProfile:
    """The profile that a file in folder `base` names: a file beside it, else as the command line would read it."""
    beside = base / name
    return load_profile(str(beside) if beside.is_file() else name)
