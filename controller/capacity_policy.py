"""The CapacityPolicy custom resource: what a team asks of the controller for one target."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from models.errors import InvalidInput
from models.objective import Objective
from planner.file_model import FileModel
from planner.objective import parse_objectives
from planner.service_fields import Tokens

API_VERSION = "replicast.dev/v1alpha1"
MAX_REPLICAS = 100_000
LEAST_MONEY = 1e-4
"""Exclusive: an API server compares a whole number with the whole part of a bound, and 0 would be no less than 0."""

Text = Annotated[str, Field(min_length=1, max_length=253)]
Replicas = Annotated[int, Field(ge=0, le=MAX_REPLICAS)]
Seconds = Annotated[int, Field(ge=0, le=3600)]
Clock = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
End = Annotated[str, Field(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]
Day = Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
DAYS: tuple[Day, ...] = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class TargetRef(FileModel):
    """What is scaled, by its `/scale` subresource, in the policy's namespace."""

    api_version: Text
    """apps/v1, or leaderworkerset.x-k8s.io/v1."""
    kind: Text
    """Deployment, StatefulSet or LeaderWorkerSet."""
    name: Text


class NameRef(FileModel):
    """An object of a known kind in the policy's namespace."""

    name: Text


LABEL_NAME = "^[a-zA-Z_][a-zA-Z0-9_]{0,199}$"
LabelName = Annotated[str, Field(pattern=LABEL_NAME)]
Labels = Annotated[dict[LabelName, Text], Field(min_length=1, max_length=16)]


class ArrivalsCounter(FileModel):
    """A counter of requests before they reach an engine, such as the gateway's: the only one that sees them at zero."""

    metric: Annotated[str, Field(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]{0,199}$")]
    """Its name in Prometheus."""
    match_labels: Labels
    """Labels that select this target's requests."""


class MetricsSource(FileModel):
    """Which series are the target's."""

    match_labels: Labels
    """Labels that select this target's series, such as namespace and model_name."""
    arrivals: ArrivalsCounter | None = None
    """A counter of requests before the engines, such as the gateway's; needed to scale from zero."""


class StatedWorkload(FileModel):
    """Lengths of requests where the engine's own histograms are not to be used."""

    input_tokens: Tokens | None = None
    """Mean prompt tokens; with outputTokens, or neither."""
    output_tokens: Tokens | None = None
    """Mean output tokens."""
    input_cv: Annotated[float, Field(ge=0.0, le=20.0)] = 0.0
    """Coefficient of variation of the prompt tokens, until the histograms tell it; 0 is fixed length."""
    output_cv: Annotated[float, Field(ge=0.0, le=20.0)] = 1.0
    """Coefficient of variation of the output tokens, until the histograms tell it."""
    burstiness: Annotated[float, Field(ge=0.0, le=100.0)] = 1.0
    """Squared coefficient of variation of the times between arrivals; Poisson is 1."""

    @model_validator(mode="after")
    def _both_or_none(self) -> StatedWorkload:
        if (self.input_tokens is None) != (self.output_tokens is None):
            raise ValueError("give inputTokens and outputTokens, or neither")
        return self


class Schedule(FileModel):
    """Other bounds for hours of a week, in a time zone; an end that is not after its start is on the next day."""

    name: Text
    days: Annotated[tuple[Day, ...], Field(min_length=1, max_length=7)] = DAYS
    start: Clock
    """HH:MM, on the days named."""
    end: End
    """HH:MM, or 24:00 for midnight; before `start` it is on the next day, and equal to it a whole day later."""
    time_zone: Annotated[str, Field(min_length=1, max_length=64)] = "UTC"
    """A name of the IANA time zone database, such as Europe/Berlin."""
    min: Replicas | None = None
    """In place of bounds.min."""
    max: Replicas | None = None
    """In place of bounds.max."""

    @field_validator("time_zone")
    @classmethod
    def _known(cls, name: str) -> str:
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{name!r} is no time zone; such as Europe/Berlin or UTC") from None
        return name


class Bounds(FileModel):
    """What no decision passes."""

    min: Replicas = 1
    """Least replicas; 0 needs metrics.arrivals."""
    max: Annotated[int, Field(ge=1, le=MAX_REPLICAS)]
    """Most replicas."""
    max_gpus: Annotated[int, Field(ge=1, le=10_000_000)] | None = Field(default=None, alias="maxGPUs")
    """Most GPUs of all replicas together."""
    budget_per_hour: Annotated[float, Field(gt=LEAST_MONEY, le=1e9, allow_inf_nan=False)] | None = None
    """Most that all replicas may cost an hour, in the currency of gpuPricePerHour."""
    gpu_price_per_hour: Annotated[float, Field(gt=LEAST_MONEY, le=1e6, allow_inf_nan=False)] | None = Field(
        default=None, alias="gpuPricePerHour"
    )
    """Price of one GPU for an hour."""
    schedules: Annotated[tuple[Schedule, ...], Field(max_length=50)] = ()
    """Other bounds at certain hours."""

    @model_validator(mode="after")
    def _in_order(self) -> Bounds:
        if self.min > self.max:
            raise ValueError(f"min {self.min} is more than max {self.max}")
        if self.budget_per_hour is not None and self.gpu_price_per_hour is None:
            raise ValueError("budgetPerHour needs gpuPricePerHour")
        for each in self.schedules:
            low = self.min if each.min is None else each.min
            high = self.max if each.max is None else each.max
            if low > high:
                raise ValueError(f"in schedule {each.name} min {low} is more than max {high}")
        return self


class ScalingPolicy(FileModel):
    """So much in so long, as in autoscaling/v2."""

    type: Literal["Pods", "Percent"]
    value: Annotated[int, Field(ge=1, le=100_000)]
    """Pods, or percent of the replicas."""
    period_seconds: Annotated[int, Field(ge=1, le=1800)]


class ScalingRules(FileModel):
    """Speed in one direction, as in autoscaling/v2: the most of the policies (`Max`), the least (`Min`) or none."""

    stabilization_window_seconds: Seconds = 0
    """For so long a change must be wanted without a break."""
    policies: Annotated[tuple[ScalingPolicy, ...], Field(min_length=1, max_length=10)]
    """How much in how long."""
    select_policy: Literal["Max", "Min", "Disabled"] = "Max"
    """Which of the policies counts; Disabled: never in this direction."""


def _each_minute(kind: str, value: int) -> tuple[ScalingPolicy, ...]:
    return (ScalingPolicy.model_validate({"type": kind, "value": value, "periodSeconds": 60}),)


class ScaleUpRules(ScalingRules):
    """Speed of growth: at most twice as many a minute, at once, where nothing else is said."""

    policies: Annotated[tuple[ScalingPolicy, ...], Field(min_length=1, max_length=10)] = _each_minute("Percent", 100)


class ScaleDownRules(ScalingRules):
    """Speed of shrinking: one pod a minute after five minutes, where nothing else is said."""

    stabilization_window_seconds: Seconds = 300
    policies: Annotated[tuple[ScalingPolicy, ...], Field(min_length=1, max_length=10)] = _each_minute("Pods", 1)


class Forecast(FileModel):
    """How far ahead, and with which caution, load is planned for."""

    quantile: Annotated[float, Field(ge=0.5, le=0.999)] = 0.95
    """Of the load's forecast: higher is more cautious."""
    horizon: Literal["coldStart"] | Annotated[int, Field(ge=0, le=7200)] = "coldStart"
    """Seconds, or the profile's cold start (p95)."""


class Behavior(FileModel):
    """How fast the target moves."""

    scale_up: ScaleUpRules = ScaleUpRules()
    scale_down: ScaleDownRules = ScaleDownRules()
    forecast: Forecast = Forecast()


class PolicySpec(FileModel):
    """What is asked."""

    target_ref: TargetRef
    hpa_ref: NameRef | None = None
    """The HorizontalPodAutoscaler on the target: its minReplicas and maxReplicas are moved, not the target."""
    scaled_object_ref: NameRef | None = None
    """The KEDA ScaledObject on the target: its bounds are moved, never those of the HPA that it owns."""
    profile_ref: NameRef
    """The EngineProfile of the target."""
    metrics: MetricsSource
    workload: StatedWorkload = StatedWorkload()
    objectives: Annotated[tuple[Annotated[str, Field(max_length=100)], ...], Field(min_length=1, max_length=20)]
    """Such as ttft:p99<=500ms; all must hold. Metrics: ttft, itl, tpot, e2e, queue; statistics: mean, p50 to p99.9."""
    bounds: Bounds
    behavior: Behavior = Behavior()
    mode: Literal["Advise", "Enforce"] = "Advise"
    """Advise writes the status only; Enforce writes the replicas too."""
    paused: bool = False
    """Decides and tells, writes no replicas."""

    @field_validator("objectives")
    @classmethod
    def _meant(cls, objectives: tuple[str, ...]) -> tuple[str, ...]:
        try:
            parse_objectives(objectives)
        except InvalidInput as error:
            raise ValueError(str(error)) from None
        return objectives

    @model_validator(mode="after")
    def _one_scaler(self) -> PolicySpec:
        if self.hpa_ref is not None and self.scaled_object_ref is not None:
            raise ValueError("hpaRef and scaledObjectRef exclude each other: KEDA owns its HPA")
        at_times = any(each.min == 0 for each in self.bounds.schedules)
        if (self.bounds.min == 0 or at_times) and self.metrics.arrivals is None:
            raise ValueError("bounds.min 0 needs metrics.arrivals: with no replica no engine counts what arrives")
        return self

    @property
    def parsed_objectives(self) -> tuple[Objective, ...]:
        """The same in the models' terms."""
        return _parsed(self.objectives)


@lru_cache(maxsize=4096)
def _parsed(objectives: tuple[str, ...]) -> tuple[Objective, ...]:
    return parse_objectives(objectives)


class PolicyMetadata(FileModel):
    """What of the object's metadata is used."""

    model_config = FileModel.model_config | {"extra": "ignore"}

    name: Text
    namespace: Text
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    deletion_timestamp: str = ""
    """Since when it is being deleted: a finalizer keeps it meanwhile."""


class CapacityPolicy(FileModel):
    """The object."""

    model_config = FileModel.model_config | {"extra": "ignore"}

    api_version: Literal["replicast.dev/v1alpha1"]
    kind: Literal["CapacityPolicy"]
    metadata: PolicyMetadata
    spec: PolicySpec
    status: dict[str, Any] = Field(default_factory=dict)
    """As it is there, whoever wrote it."""

    @field_validator("status", mode="before")
    @classmethod
    def _none_is_empty(cls, status: Any) -> Any:
        return status if isinstance(status, dict) else {}

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.metadata.namespace}/{self.metadata.name}"


def parse_policy(document: dict[str, Any]) -> CapacityPolicy:
    """The policy of an object as the API server has it. Raises pydantic's ValidationError."""
    return CapacityPolicy.model_validate(document)
