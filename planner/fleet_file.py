"""The fleet file: many workloads, how each is sized, whose each is, and where its history is told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from models.errors import InvalidInput
from models.prediction import Routing
from planner.file_model import FileModel, first_problem
from planner.files import parse_document, read_text
from planner.service_fields import Duration, Price, Rate, Tokens, Variation


def _with_zone(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("needs a time zone, such as 2026-10-01T00:00:00Z")
    return value


Label = Annotated[str, Field(min_length=1, max_length=200)]
Place = Annotated[str, Field(min_length=1, max_length=1000)]
"""A file, relative to the fleet's."""
Moment = Annotated[datetime, AfterValidator(_with_zone)]
Growth = Annotated[float, Field(gt=-1.0, le=100.0, allow_inf_nan=False)]
"""Of a year: 0.4 is 40 % more."""
Share = Annotated[float, Field(ge=0.0, le=1.0)]


_KINDS = ("prometheus", "table", "trace", "decisions", "replicas", "qps")


class HistorySource(FileModel):
    """Where one figure or more of a workload's history is told; one of its kinds."""

    prometheus: Annotated[dict[Label, Label], Field(max_length=20)] | None = None
    """Labels that select the engine's series."""
    gpus: Annotated[dict[Label, Label], Field(max_length=20)] | None = None
    """With `prometheus`: labels that select its pods among kube-state-metrics' GPU requests."""
    table: Place | None = None
    """A CSV file with `time` and any of `requests`, `input_tokens`, `output_tokens`, `replicas`, `met`."""
    trace: Place | None = None
    """Single requests, as `planner size --trace` reads them."""
    start: Moment | None = None
    """When the trace begins."""
    repeat: bool = False
    """Whether the trace is played again and again to the end of the period."""
    scale: Annotated[float, Field(gt=0.0, le=1e6, allow_inf_nan=False)] = 1.0
    """Factor on the trace's requests."""
    decisions: Place | None = None
    """A decision log of the controller."""
    policy: Label | None = None
    """Its policy, `namespace/name`."""
    replicas: Annotated[float, Field(ge=0.0, le=1e7, allow_inf_nan=False)] | None = None
    """The same number at all times, as somebody says."""
    qps: Rate | None = None
    """The same demand at all times, as a plan says, with the workload's inputTokens and outputTokens."""

    @model_validator(mode="after")
    def _one_kind(self) -> HistorySource:
        kinds = [name for name in _KINDS if self._is_given(name)]
        if len(kinds) != 1:
            raise ValueError(f"needs one of {', '.join(_KINDS)}")
        if self.gpus is not None and self.prometheus is None:
            raise ValueError("needs `prometheus:` beside `gpus:`")
        if self.trace is not None and self.start is None:
            raise ValueError("needs `start:`, when the trace begins")
        if self.decisions is not None and self.policy is None:
            raise ValueError("needs `policy:`, a policy of the log as namespace/name")
        return self

    def _is_given(self, name: str) -> bool:
        return getattr(self, name) is not None


class ScaleDownFields(FileModel):
    """How capacity is taken away; the defaults are those of a CapacityPolicy."""

    stabilization_window: Duration = "300s"
    replicas: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    period: Duration = "60s"


class WorkloadFields(FileModel):
    """One workload."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    profile: str | None = None
    qps: Rate | None = None
    concurrency: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    think_time: Duration = "0s"
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    input_cv: Variation = 0.0
    output_cv: Variation = 0.0
    burstiness: Annotated[float, Field(ge=0.0, le=100.0)] | None = None
    prefix_hit_rate: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    routing: Routing | None = None
    objectives: tuple[str, ...] = ()
    gpu_price: Price | None = None
    # For reports; `planner size` does not look at them.
    team: Label = "(none)"
    environment: Label = "(none)"
    cluster: Label = "(none)"
    min_replicas: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    scale_down: ScaleDownFields = ScaleDownFields()
    history: Annotated[tuple[HistorySource, ...], Field(max_length=10)] = ()


class ClusterFields(FileModel):
    """Where a cluster's GPUs are bought."""

    cloud: Label | None = None
    region: Label | None = None
    pricing: Annotated[tuple[Label, ...], Field(max_length=10)] = ("on_demand",)
    """In order of preference."""


class CommitmentFields(FileModel):
    """GPUs that are bought or reserved already: paid whether they are held or not."""

    cluster: Label = "(none)"
    gpu: Label
    gpus: Annotated[int, Field(ge=1, le=10_000_000)]
    until: date
    """The first day without them."""
    per_gpu_hour: Price | None = None
    """What one costs for an hour, in the price book's currency; without it the book is asked."""
    pricing: Literal["reserved", "owned"] | None = None
    """Which of the book's prices is theirs."""
    term_years: Literal[1, 3] | None = None
    """Of a reservation."""

    @model_validator(mode="after")
    def _one_price(self) -> CommitmentFields:
        if self.term_years is not None and self.pricing != "reserved":
            raise ValueError("has termYears, which only pricing: reserved has")
        if self.pricing == "reserved" and self.term_years is None and self.per_gpu_hour is None:
            raise ValueError("is reserved for a term that it does not say: add termYears (1 or 3), or perGpuHour")
        return self


class GrowthFields(FileModel):
    """Yearly growth of demand in three scenarios."""

    low: Growth
    base: Growth
    high: Growth

    @model_validator(mode="after")
    def _in_order(self) -> GrowthFields:
        if not self.low <= self.base <= self.high:
            raise ValueError("needs low ≤ base ≤ high")
        return self


class SpotFields(FileModel):
    """What may run on capacity that can be taken away."""

    most_share: Share
    overhead: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    """GPU-hours lost to interruptions, for each GPU-hour."""


class FleetFile(FileModel):
    """A fleet file."""

    profile: str | None = None
    objectives: tuple[str, ...] = ()
    workloads: Annotated[tuple[WorkloadFields, ...], Field(min_length=1, max_length=100_000)]
    clusters: Annotated[dict[Label, ClusterFields], Field(max_length=1000, default_factory=dict)]
    commitments: Annotated[tuple[CommitmentFields, ...], Field(max_length=10_000)] = ()
    growth: GrowthFields | None = None
    spot: SpotFields | None = None
    breach_minute_cost: Price | None = None
    """What a minute in which an objective does not hold is worth, in the price book's currency."""
    variants: Annotated[tuple[Label, ...], Field(max_length=20)] = ()
    """What-if variants, as `planner compare --variants` has them."""

    @property
    def by_name(self) -> Mapping[str, WorkloadFields]:
        """Its workloads."""
        return {each.name: each for each in self.workloads}


def read_fleet_file(path: Path) -> FleetFile:
    """A fleet file whose fields are right. Raises InvalidInput that names the place of the first mistake."""
    text = read_text(path, what="fleet")
    document = parse_document(text, name=str(path), what="fleet")
    try:
        fleet = FleetFile.model_validate(document)
    except ValidationError as error:
        raise first_problem(error, FleetFile, text, f"fleet {path}") from None
    seen: set[str] = set()
    for workload in fleet.workloads:
        if workload.name in seen:
            raise InvalidInput(
                f"fleet {path}, workload {workload.name!r} is there twice",
                remedy="give each workload a name of its own",
            )
        seen.add(workload.name)
    return fleet
