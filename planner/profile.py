"""The engine profile: what was measured of one engine, model, GPU and parallelism, as a file."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError

from models.batcher import Batcher
from models.cached_prompts import partly_cached
from models.engine import Engine, EngineLimits
from models.errors import InvalidInput
from models.measurement import LatencySummary, Measurement
from models.sequence_slots import Slots, SlotStrategy
from models.service_time import ServiceTime
from models.step_terms import TermUncertainty, terms_of
from models.step_time import ExpertsStepTime, LinearStepTime, RooflineStepTime, SqrtStepTime, StepTime
from planner.file_model import FileModel, first_problem
from planner.files import parse_document, read_text

if TYPE_CHECKING:
    from planner.checks.finding import Finding

CATALOGUE = Path(__file__).parent / "catalogue" / "profiles"

Positive = Annotated[float, Field(gt=0.0, lt=1e12, allow_inf_nan=False)]
Term = Annotated[float, Field(ge=0.0, le=100.0, allow_inf_nan=False)]
Correlation = Annotated[float, Field(ge=-1.0, le=1.0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=10**12)]
Text = Annotated[str, Field(max_length=2000)]


class Metadata(FileModel):
    """Kubernetes object metadata: only the name and labels matter here."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    namespace: Text | None = None
    labels: dict[str, Text] = Field(default_factory=dict)
    annotations: dict[str, Text] = Field(default_factory=dict)


class Gpu(FileModel):
    """GPUs of one replica; none (0) of a model that Triton runs on the CPU."""

    type: Annotated[str, Field(min_length=1, max_length=100)]
    """Such as A100-SXM4-80GB."""
    per_replica: Annotated[int, Field(ge=0, le=4096)] = 1
    tensor_parallel: Annotated[int, Field(ge=1, le=4096)] = 1
    pipeline_parallel: Annotated[int, Field(ge=1, le=4096)] = 1
    nodes_per_replica: Annotated[int, Field(ge=1, le=4096)] = 1


class Limits(FileModel):
    """What bounds a step; the defaults are vLLM V1's. From maxBatchSize on: what bounds Triton's own batchers."""

    max_num_seqs: Annotated[int, Field(ge=1, le=100_000)] = 256
    max_num_batched_tokens: Annotated[int, Field(ge=1, le=100_000_000)] = 2048
    kv_cache_tokens: Count | None = None
    """Tokens that fit in KV memory, as the engine reports them at start-up."""
    kv_block_size: Annotated[int, Field(ge=1, le=65536)] = 16
    chunked_prefill: bool = True
    max_batch_size: Annotated[int, Field(ge=1, le=100_000)] | None = None
    instances: Annotated[int, Field(ge=1, le=10_000)] = 1
    preferred_batch_sizes: Annotated[tuple[Count, ...], Field(max_length=1000)] = ()
    max_queue_delay: Annotated[float, Field(ge=0.0, le=3600.0)] = 0.0
    """Seconds."""
    sequence_batching: Literal["direct", "oldest"] | None = None
    max_candidate_sequences: Annotated[int, Field(ge=1, le=100_000)] = 1
    decoupled: bool = False

    @property
    def slot_strategy(self) -> SlotStrategy | None:
        """How places are held by sequences or streams; None where requests are batched whole."""
        if self.decoupled:
            return SlotStrategy.STREAM
        return None if self.sequence_batching is None else SlotStrategy(self.sequence_batching)

    def to_limits(self) -> EngineLimits:
        """The same in the models' terms."""
        if self.kv_cache_tokens is not None and self.kv_cache_tokens < self.kv_block_size:
            raise InvalidInput(
                f"spec.limits.kvCacheTokens {self.kv_cache_tokens} is less than one block (kvBlockSize "
                f"{self.kv_block_size})",
                remedy="give the tokens that fit in KV memory, as the engine reports them at start-up",
            )
        if self.max_num_batched_tokens < self.max_num_seqs:
            raise InvalidInput(
                f"spec.limits.maxNumBatchedTokens {self.max_num_batched_tokens} is less than maxNumSeqs "
                f"{self.max_num_seqs}: engines refuse to start so, for every sequence decodes a token a step",
                remedy="give the limits that the engine was started with",
            )
        if self.max_batch_size is not None:
            raise InvalidInput(
                "spec.limits.maxBatchSize is of engine triton, the dynamic batcher",
                remedy="maxNumSeqs bounds the running sequences of vllm and triton-trtllm",
            )
        return EngineLimits(**self.model_dump(include={entry.name for entry in fields(EngineLimits)}))


class BatchTime(FileModel):
    """Time of an executed batch of one size, seconds: mean, and coefficient of variation."""

    batch: Annotated[int, Field(ge=1, le=100_000)]
    mean: Positive
    cv: Annotated[float, Field(ge=0.0, le=100.0)] = 0.0


class HeldTime(FileModel):
    """Time that a sequence or a stream holds its slot while so many are held at the replica, seconds."""

    held: Annotated[int, Field(ge=1, le=1_000_000)]
    mean: Positive
    cv: Annotated[float, Field(ge=0.0, le=100.0)] = 0.0


class StepTimeTerms(FileModel):
    """Terms of a step time, seconds. Which form they make follows from which are there."""

    base: Term = 0.0
    per_prefill_token: Term = 0.0
    per_decode_sequence: Term = 0.0
    per_kv_token: Term = 0.0
    per_sqrt_decode: Term | None = None
    experts: Annotated[int, Field(ge=1, le=100_000)] | None = None
    experts_per_token: Annotated[int, Field(ge=1, le=100_000)] | None = None
    per_expert: Term | None = None
    weights: Term | None = None
    per_token_compute: Term | None = None
    graph_sizes: Annotated[tuple[int, ...], Field(max_length=4096)] = ()

    def to_step_time(self) -> StepTime:
        """The step time. Raises InvalidInput where terms of two forms are mixed."""
        experts = (self.experts, self.experts_per_token, self.per_expert)
        roofline = (self.weights, self.per_token_compute)
        forms = [
            self.per_sqrt_decode is not None,
            any(e is not None for e in experts),
            any(r is not None for r in roofline),
        ]
        if sum(forms) > 1 or (forms[1] and None in experts) or (forms[2] and None in roofline):
            raise InvalidInput(
                "spec.stepTime mixes or lacks terms",
                remedy="give base, perPrefillToken, perDecodeSequence, perKvToken and at most one of: perSqrtDecode; "
                "experts with expertsPerToken and perExpert; weights with perTokenCompute",
            )
        if self.weights is not None and self.per_token_compute is not None:
            return RooflineStepTime(
                overhead_s=self.base,
                weights_s=self.weights,
                per_kv_token_s=self.per_kv_token,
                per_token_compute_s=self.per_token_compute,
                graph_sizes=self.graph_sizes,
            )
        linear = LinearStepTime(
            base_s=self.base,
            per_prefill_token_s=self.per_prefill_token,
            per_decode_s=self.per_decode_sequence,
            per_kv_token_s=self.per_kv_token,
        )
        if not linear.seconds(0.0, 1.0, 1.0) > 0.0:
            raise InvalidInput("spec.stepTime makes a step last no time", remedy="give base, in seconds")
        if self.per_sqrt_decode is not None:
            return SqrtStepTime(linear=linear, per_sqrt_decode_s=self.per_sqrt_decode)
        if self.experts is not None and self.experts_per_token is not None and self.per_expert is not None:
            return ExpertsStepTime(
                linear=linear,
                experts=self.experts,
                experts_per_token=self.experts_per_token,
                per_expert_s=self.per_expert,
            )
        return linear


class StepTimeUncertainty(FileModel):
    """How sure the terms of `stepTime` are: a normal law of their errors, and the noise of a measured token about them.

    One deviation and one row of correlations for each term, in the order of `stepTime`'s fields.
    """

    deviations: Annotated[tuple[Term, ...], Field(min_length=1, max_length=8)]
    correlations: Annotated[tuple[Annotated[tuple[Correlation, ...], Field(max_length=8)], ...], Field(max_length=8)]
    noise: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0

    def to_uncertainty(self, step_time: StepTime) -> TermUncertainty:
        """The same in the models' terms. Raises InvalidInput where it is not of these terms."""
        terms = len(terms_of(step_time))
        if len(self.deviations) != terms or [len(row) for row in self.correlations] != [terms] * terms:
            raise InvalidInput(
                f"spec.stepTimeUncertainty is not of the {terms} terms of spec.stepTime",
                remedy=f"give {terms} deviations and {terms} rows of {terms} correlations, or leave it out",
            )
        return TermUncertainty(deviations_s=self.deviations, correlations=self.correlations)


class Latencies(FileModel):
    """Statistics of one measured latency, seconds."""

    mean: Positive | None = None
    p50: Positive | None = None
    p90: Positive | None = None
    p95: Positive | None = None
    p99: Positive | None = None

    def to_summary(self) -> LatencySummary:
        """The same in the models' terms."""
        return LatencySummary(mean_s=self.mean, p50_s=self.p50, p90_s=self.p90, p95_s=self.p95, p99_s=self.p99)


class MeasuredPoint(FileModel):
    """One measured load."""

    concurrency: Positive | None = None
    arrival_rate: Positive | None = None
    burstiness: Annotated[float, Field(ge=0.0, le=100.0)] | None = None
    capacity_only: bool = False
    input_tokens: Positive
    output_tokens: Positive
    input_tokens_cv: Annotated[float, Field(ge=0.0, le=100.0)] | None = None
    output_tokens_cv: Annotated[float, Field(ge=0.0, le=100.0)] | None = None
    prefix_hit_rate: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    requests_per_second: Positive | None = None
    output_tokens_per_second: Positive | None = None
    requests: Annotated[int, Field(ge=0)] | None = None
    failed: Annotated[int, Field(ge=0)] | None = None
    ttft: Latencies | None = None
    tpot: Latencies | None = None
    itl: Latencies | None = None
    e2e: Latencies | None = Field(default=None, alias="e2e")
    queue: Latencies | None = None
    source: Text | None = None

    def to_measurement(self) -> Measurement:
        """The same in the models' terms."""
        laws: dict[str, Any] = {
            name: law.to_summary() if (law := getattr(self, name)) else None
            for name in ("ttft", "tpot", "itl", "e2e", "queue")
        }
        load = Measurement(
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            input_tokens_cv=self.input_tokens_cv,
            output_tokens_cv=self.output_tokens_cv,
            concurrency=self.concurrency,
            arrival_rate_per_s=self.arrival_rate,
            burstiness=self.burstiness if self.arrival_rate is not None else None,
            requests_per_s=self.requests_per_second,
            output_tokens_per_s=self.output_tokens_per_second,
            **laws,
        )
        return partly_cached(load, self.prefix_hit_rate)


class ColdStart(FileModel):
    """Seconds from a raised replica count to Ready, measured."""

    p50: Positive
    p95: Positive


class Provenance(FileModel):
    """Where the numbers come from."""

    source: Text | None = None
    licence: Text | None = None
    date: Annotated[Text, BeforeValidator(str)] | None = None
    points: Annotated[int, Field(ge=0)] | None = None
    median_error: Annotated[float, Field(ge=0.0)] | None = None
    """Of the fit, as a fraction."""
    cross_validated_error: Annotated[float, Field(ge=0.0)] | None = None
    notes: Annotated[tuple[Text, ...], Field(max_length=100)] = ()


class Spec(FileModel):
    """What was measured, and what was made of it."""

    engine: Literal["vllm", "triton-trtllm", "triton"]
    engine_version: Text | None = None
    model: Annotated[str, Field(min_length=1, max_length=200)]
    quantization: Text = "none"
    gpu: Gpu
    limits: Limits = Limits()
    step_time: StepTimeTerms | None = None
    """Of vllm and triton-trtllm; without it the terms are fitted to the measurements."""
    service_time: Annotated[tuple[BatchTime, ...], Field(max_length=10_000)] = ()
    """Of engine triton: the time of a batch by its size, ascending."""
    hold_time: Annotated[tuple[HeldTime, ...], Field(max_length=10_000)] = ()
    """Of engine triton, for sequences and streams: how long a slot is held, by how many are."""
    step_time_uncertainty: StepTimeUncertainty | None = None
    first_token_overhead: Term = 0.0
    """Seconds before the first token beside the steps."""
    cold_start: ColdStart | None = None
    measurements: Annotated[tuple[MeasuredPoint, ...], Field(max_length=100_000)] = ()
    provenance: Annotated[tuple[Provenance, ...], Field(max_length=100)] = ()


@dataclass(frozen=True, kw_only=True)
class FittedStep:
    """A profile's step time, and how sure it is as far as the profile says."""

    step_time: StepTime
    uncertainty: TermUncertainty | None
    noise: float
    """Relative standard deviation of a measured TPOT about it."""
    median_error: float | None
    """Of the fit, where it was fitted on load."""


class EngineProfile(FileModel):
    """An engine profile file; the same schema is the EngineProfile custom resource."""

    api_version: Literal["replicast.dev/v1alpha1"]
    kind: Literal["EngineProfile"]
    metadata: Metadata
    spec: Spec

    @property
    def name(self) -> str:
        """Its name."""
        return self.metadata.name

    @cached_property
    def measurements(self) -> tuple[Measurement, ...]:
        """Measured points in the models' terms."""
        return tuple(point.to_measurement() for point in self.spec.measurements)

    @cached_property
    def fitted(self) -> FittedStep:
        """The step time and what is known of its errors. Errors name the profile."""
        try:
            return self._fit()
        except InvalidInput as error:
            raise InvalidInput(f"profile {self.name}: {error}", remedy=error.remedy) from None

    @cached_property
    def doubts(self) -> tuple[Finding, ...]:
        """What `planner profile check` finds wrong with the figures."""
        from planner.profile_check import doubtful

        return doubtful(self)

    @cached_property
    def service_time(self) -> ServiceTime:
        """Time of a batch by its size, of Triton's dynamic batcher. Errors name the profile."""
        times, largest = self.spec.service_time, self.spec.limits.max_batch_size
        if self.spec.engine != "triton" or not times or largest is None:
            raise InvalidInput(
                f"profile {self.name}: the time of a batch is not known",
                remedy="a profile of engine triton has spec.serviceTime and spec.limits.maxBatchSize",
            )
        if times[-1].batch > largest:
            raise InvalidInput(
                f"profile {self.name}: spec.serviceTime has a batch of {times[-1].batch}, spec.limits.maxBatchSize is "
                f"{largest}",
                remedy="give both as the model's config.pbtxt has them",
            )
        try:
            return ServiceTime(
                batches=tuple(time.batch for time in times),
                means_s=tuple(time.mean for time in times),
                cvs=tuple(time.cv for time in times),
            )
        except InvalidInput as error:
            raise InvalidInput(f"profile {self.name}: spec.serviceTime: {error}", remedy=error.remedy) from None

    def _fit(self) -> FittedStep:
        spec = self.spec
        if spec.step_time is not None:
            step_time = spec.step_time.to_step_time()
            known = spec.step_time_uncertainty
            return FittedStep(
                step_time=step_time,
                uncertainty=None if known is None else known.to_uncertainty(step_time),
                noise=0.0 if known is None else known.noise,
                median_error=None,
            )
        if not spec.measurements:
            raise InvalidInput(
                "it has neither spec.stepTime nor spec.measurements",
                remedy="give the step time's terms, or the measured points to fit them from",
            )
        from planner.profile_fit import fit_profile

        result = fit_profile(self)
        return FittedStep(
            step_time=result.step_time,
            uncertainty=result.uncertainty,
            noise=result.noise,
            median_error=result.median_error,
        )

    def to_batcher(self) -> Batcher:
        """The dynamic batcher of one replica. Raises InvalidInput for other engines; errors name the profile."""
        limits, times = self.spec.limits, self.service_time
        try:
            return Batcher(
                service_time=times,
                max_batch_size=limits.max_batch_size or 1,
                preferred_batch_sizes=limits.preferred_batch_sizes,
                max_queue_delay_s=limits.max_queue_delay,
                instances=limits.instances,
            )
        except InvalidInput as error:
            raise InvalidInput(f"profile {self.name}: {error}", remedy=error.remedy) from None

    def to_slots(self) -> Slots | None:
        """What sequences or streams hold of one replica; None where requests are batched whole.

        Raises InvalidInput where the profile is of such a model and does not say how long; errors name the profile.
        """
        limits, times = self.spec.limits, self.spec.hold_time
        strategy = limits.slot_strategy
        if strategy is None and times:
            raise InvalidInput(
                f"profile {self.name}: spec.holdTime belongs to a model that sequences or streams hold",
                remedy="set spec.limits.sequenceBatching (direct or oldest) or spec.limits.decoupled, or drop it",
            )
        if strategy is None:
            return None
        if self.spec.engine != "triton" or not times:
            raise InvalidInput(
                f"profile {self.name}: how long a sequence or stream holds its slot is not known",
                remedy="a profile of engine triton has it in spec.holdTime: [{held: 1, mean: SECONDS, cv: …}, …]",
            )
        count = strategy.slots(
            instances=limits.instances,
            max_batch_size=limits.max_batch_size or 0,
            candidates=limits.max_candidate_sequences,
        )
        try:
            held = ServiceTime(
                batches=tuple(time.held for time in times),
                means_s=tuple(time.mean for time in times),
                cvs=tuple(time.cv for time in times),
            )
            return Slots(count=count, held=held)
        except InvalidInput as error:
            raise InvalidInput(f"profile {self.name}: spec.holdTime: {error}", remedy=error.remedy) from None

    def to_engine(self) -> Engine:
        """The engine of one replica. Raises InvalidInput for profiles that are not of a continuous-batching engine."""
        if self.spec.engine == "triton":
            raise InvalidInput(
                f"profile {self.name} is of Triton's dynamic batcher, which makes no tokens",
                remedy="size it alone, with --profile and --qps, or use a profile of vllm or triton-trtllm",
            )
        if self.spec.gpu.per_replica < 1:
            raise InvalidInput(
                f"profile {self.name}: spec.gpu.perReplica is 0", remedy="only models of engine triton do without a GPU"
            )
        try:
            limits = self.spec.limits.to_limits()
        except InvalidInput as error:
            raise InvalidInput(f"profile {self.name}: {error}", remedy=error.remedy) from None
        return Engine(step_time=self.fitted.step_time, limits=limits, overhead_s=self.spec.first_token_overhead)


def load_profile(name_or_path: str) -> EngineProfile:
    """A profile from a file, or by name from the catalogue that ships with Replicast."""
    shipped = CATALOGUE / f"{name_or_path}.yaml"
    looks_like_file = "/" in name_or_path or "\\" in name_or_path or name_or_path.endswith((".yaml", ".yml", ".json"))
    if not looks_like_file and shipped.is_file():
        return parse_profile(read_text(shipped, what="profile"), name=name_or_path)
    path = Path(name_or_path)
    if not looks_like_file and not path.exists():
        names = catalogue_names()
        close = [name for name in names if name_or_path and name_or_path.lower() in name][:3]
        close = close or difflib.get_close_matches(name_or_path, names, n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(close)}? " if close else ""
        raise InvalidInput(
            f"there is no profile {name_or_path[:120]!r} in the catalogue and no such file",
            remedy=f"{hint}`planner profile list` shows all names",
        )
    return parse_profile(read_text(path, what="profile"), name=name_or_path)


def catalogue_names() -> list[str]:
    """Names of the profiles that ship, in alphabetical order."""
    return sorted(entry.name.removesuffix(".yaml") for entry in CATALOGUE.glob("*.yaml"))


def parse_profile(text: str, *, name: str) -> EngineProfile:
    """Validate a profile's text; an error names the field, its line and what is allowed."""
    document = parse_document(text, name=name, what="profile")
    try:
        return EngineProfile.model_validate(document)
    except ValidationError as error:
        raise first_problem(error, EngineProfile, text, f"profile {name}") from None
