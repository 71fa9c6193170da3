"""A pipeline file: stages, what each comes after, and by what it is served."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from models.errors import InvalidInput
from models.objective import Objective
from models.prediction import Routing
from models.stage_network import Stage, StageNetwork
from planner.file_model import FileModel, first_problem
from planner.files import line_of, parse_document, read_text
from planner.objective import as_written, parse_objectives
from planner.pipeline_stages import Delay, PipelineStage
from planner.service_fields import Burstiness, Name, Price, Rate, ServiceFields
from planner.units import parse_seconds

MOST_STAGES = 64
METRICS = ("e2e", "ttft")
_P99 = 2.3263478740408408
"""Standard normal deviate of the 99th percentile."""

_RAREST = 0.002
"""Requests that get tokens, of all: of the sampled ones fewer would tell no percentile."""

Count = Annotated[int, Field(ge=1, le=10_000)]


def _as_duration(value: Any) -> Any:
    """A plain number is a number of seconds. Raises ValueError for one that is none."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must be a finite number of seconds")
    return f"{value}s" if isinstance(value, int | float) and not isinstance(value, bool) else value


def _as_delay(value: Any) -> Any:
    """A plain duration is the mean of a fixed delay."""
    return {"mean": value} if isinstance(value, str | int | float) and not isinstance(value, bool) else value


Duration = Annotated[str, BeforeValidator(_as_duration)]


class DelayFields(FileModel):
    """A time without a queue of ours: fixed, or lognormal by mean and cv or by two percentiles."""

    mean: Duration | None = None
    cv: Annotated[float, Field(ge=0.0, le=20.0, allow_inf_nan=False)] = 0.0
    p50: Duration | None = None
    p99: Duration | None = None

    @model_validator(mode="after")
    def _one_way(self) -> DelayFields:
        percentiles = (self.p50 is not None) + (self.p99 is not None)
        if (self.mean is None) == (percentiles == 0) or percentiles == 1 or (percentiles and self.cv):
            raise ValueError("give a mean (and perhaps its cv), or p50 and p99")
        return self

    def delay(self) -> Delay:
        """The law. Raises InvalidInput for what is no duration."""
        if self.mean is not None:
            return Delay.of_mean(_positive(self.mean, "delay.mean"), self.cv)
        median, tail = _positive(str(self.p50), "delay.p50"), _positive(str(self.p99), "delay.p99")
        if tail < median:
            raise InvalidInput("delay.p99 is less than delay.p50", remedy="the 99th percentile is the higher one")
        return Delay.of_percentiles(median, tail, _P99)


class StageFields(FileModel):
    """One stage."""

    name: Name
    after: Annotated[tuple[Name, ...], Field(max_length=MOST_STAGES)] = ()
    unless: Name | None = None
    probability: Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)] = 1.0
    fan_out: Annotated[int, Field(ge=1, le=1000)] = 1
    service: ServiceFields | None = None
    delay: Annotated[DelayFields | None, BeforeValidator(_as_delay)] = None
    gpu_price: Price | None = None
    min_replicas: Count = 1
    max_replicas: Count = 1000
    shares_gpu_with: Annotated[tuple[Name, ...], Field(max_length=MOST_STAGES)] = ()


class PipelineFields(FileModel):
    """The file."""

    name: Name
    qps: Rate
    burstiness: Burstiness = 1.0
    objectives: Annotated[tuple[str, ...], Field(min_length=1, max_length=20)]
    gpu_price: Price | None = None
    stages: Annotated[tuple[StageFields, ...], Field(min_length=1, max_length=MOST_STAGES)]


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """A pipeline ready to plan; stages stand in an order in which each comes after those that it waits for."""

    name: str
    qps: float
    burstiness: float
    objectives: tuple[Objective, ...]
    network: StageNetwork
    stages: tuple[PipelineStage, ...]
    groups: tuple[tuple[int, ...], ...]
    """Stages that are placed together, by their places; every served stage is in one, most of them alone."""

    @property
    def makers(self) -> tuple[int, ...]:
        """Stages that make tokens."""
        return tuple(place for place, stage in enumerate(self.stages) if stage.service and stage.service.makes_tokens)

    @property
    def last_makers(self) -> tuple[int, ...]:
        """Those of them that none follows: the ends of ttft where all stages run."""
        last = self.network.last_of(self.makers, np.ones((len(self.stages), 1), dtype=bool))
        return tuple(np.flatnonzero(last[:, 0]).tolist())


def read_pipeline(path: Path, *, gpu_price_per_h: float | None = None) -> Pipeline:
    """The pipeline of a file. Raises InvalidInput that names the line and the stage."""
    text = read_text(path, what="pipeline")
    document = parse_document(text, name=str(path), what="pipeline")
    try:
        fields = PipelineFields.model_validate(document)
    except ValidationError as error:
        raise first_problem(error, PipelineFields, text, f"pipeline {path}") from None
    return _Reader(path=path, text=text, fields=fields, gpu_price_per_h=gpu_price_per_h).pipeline()


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """Makes a pipeline of valid fields; knows where each stands."""

    path: Path
    text: str
    fields: PipelineFields
    gpu_price_per_h: float | None

    def pipeline(self) -> Pipeline:
        number = self._numbers()
        order = self._order(number)
        placed = {self.fields.stages[each].name: place for place, each in enumerate(order)}
        stages = tuple(self._stage(each) for each in order)
        network = self._network(order, placed)
        self._require_visited(network, order)
        found = Pipeline(
            name=self.fields.name,
            qps=self.fields.qps,
            burstiness=self.fields.burstiness,
            objectives=self._objectives(),
            network=network,
            stages=stages,
            groups=self._groups(number, order, stages),
        )
        if not found.groups:
            raise InvalidInput(
                f"pipeline {self.path}: no stage has a service, so that there is nothing to plan",
                remedy="give at least one stage `service: {profile: …}`",
            )
        self._require_prices(found)
        first = next((each for each in found.objectives if each.metric == "ttft"), None)
        if first is not None and not found.makers:
            raise InvalidInput(
                f"pipeline {self.path}: objective {as_written(first)}: no stage makes tokens",
                remedy="limit e2e instead",
            )
        if first is not None and sum(network.visit_ratios[list(found.makers)]) < _RAREST:
            raise InvalidInput(
                f"pipeline {self.path}: objective {as_written(first)}: fewer than {_RAREST:.1%} of the requests get "
                "tokens, too few to tell percentiles of",
                remedy="limit e2e instead",
            )
        return found

    def _network(self, order: Sequence[int], placed: Mapping[str, int]) -> StageNetwork:
        nodes = tuple(
            Stage(
                after=tuple(placed[name] for name in dict.fromkeys(self._after(fields))),
                probability=fields.probability,
                unless=None if fields.unless is None else placed[fields.unless],
            )
            for fields in (self.fields.stages[each] for each in order)
        )
        try:
            return StageNetwork(stages=nodes)
        except InvalidInput as error:
            raise InvalidInput(f"pipeline {self.path}: {error}", remedy=error.remedy) from None

    def _after(self, fields: StageFields) -> tuple[str, ...]:
        """What a stage comes after; one that only says in whose place it runs comes after the same as that."""
        if fields.after or fields.unless is None:
            return fields.after
        return self._after(next(each for each in self.fields.stages if each.name == fields.unless))

    def _at(self, number: int, *field: str) -> str:
        line = line_of(self.text, ("stages", number, *field))
        return f"pipeline {self.path}, line {line}, stage {self.fields.stages[number].name!r}"

    def _numbers(self) -> dict[str, int]:
        """The place in the file of each name."""
        found: dict[str, int] = {}
        for number, stage in enumerate(self.fields.stages):
            if stage.name in found:
                raise InvalidInput(f"{self._at(number)} is there twice", remedy="give each stage a name of its own")
            found[stage.name] = number
        for number, stage in enumerate(self.fields.stages):
            for field, names in (
                ("after", stage.after),
                ("unless", () if stage.unless is None else (stage.unless,)),
                ("sharesGpuWith", stage.shares_gpu_with),
            ):
                for name in names:
                    self._require_known(name, found, number, field)
        return found

    def _require_known(self, name: str, known: Mapping[str, int], number: int, field: str) -> None:
        if name not in known:
            raise InvalidInput(
                f"{self._at(number, field)}: {field} names {name!r}, which is no stage",
                remedy=f"stages are {', '.join(known)}",
            )
        if known[name] == number:
            raise InvalidInput(f"{self._at(number, field)}: {field} names the stage itself", remedy="drop it")

    def _order(self, number: Mapping[str, int]) -> list[int]:
        """Each stage after those that it waits for; else as in the file."""
        before = {
            place: {number[name] for name in (*stage.after, *((stage.unless,) if stage.unless else ()))}
            for place, stage in enumerate(self.fields.stages)
        }
        sorter = TopologicalSorter(before)
        try:
            sorter.prepare()
        except CycleError as error:
            names = [self.fields.stages[each].name for each in reversed(error.args[1])]
            raise InvalidInput(
                f"{self._at(error.args[1][0], 'after')}: stages wait for each other: {' → '.join(names)}",
                remedy="a pipeline has no loops: drop one of these `after`",
            ) from None
        order: list[int] = []
        while sorter.is_active():
            ready = sorted(sorter.get_ready())
            order += ready
            sorter.done(*ready)
        return order

    def _stage(self, number: int) -> PipelineStage:
        fields = self.fields.stages[number]
        if (fields.service is None) == (fields.delay is None):
            said = "neither a service nor a delay" if fields.service is None else "both a service and a delay"
            raise InvalidInput(f"{self._at(number)} has {said}", remedy="give it one of the two")
        try:
            return self._made(fields)
        except InvalidInput as error:
            raise InvalidInput(f"{self._at(number)}: {error}", remedy=error.remedy) from None

    def _made(self, fields: StageFields) -> PipelineStage:
        price = next((each for each in (fields.gpu_price, self.fields.gpu_price) if each is not None), None)
        price = self.gpu_price_per_h if price is None else price
        service = None
        if fields.service is not None:
            service = fields.service.service(self.fields.qps, base=self.path.parent, gpu_price_per_h=price)
            _ = service.capacity_per_s  # refuses profiles that lack something
            if service.routing is Routing.LEAST_OUTSTANDING and not service.makes_tokens:
                raise InvalidInput(
                    "routing least-outstanding is not modelled for a dynamic batcher",
                    remedy="use random, which is never better, or round-robin",
                )
        elif set(fields.model_fields_set) & {"gpu_price", "min_replicas", "max_replicas", "shares_gpu_with"}:
            raise InvalidInput("a delay has no replicas", remedy="drop gpuPrice, minReplicas and the like")
        if fields.max_replicas < fields.min_replicas:
            raise InvalidInput("maxReplicas is less than minReplicas", remedy="give the larger one as maxReplicas")
        return PipelineStage(
            name=fields.name,
            service=service,
            delay=None if fields.delay is None else fields.delay.delay(),
            calls=fields.fan_out,
            gpu_price_per_h=price,
            min_replicas=fields.min_replicas,
            max_replicas=fields.max_replicas,
        )

    def _require_visited(self, network: StageNetwork, order: Sequence[int]) -> None:
        for place, ratio in enumerate(network.visit_ratios):
            if ratio <= 0.0:
                raise InvalidInput(
                    f"{self._at(order[place])} is never reached", remedy="look at its `after` and `unless`"
                )

    def _require_prices(self, found: Pipeline) -> None:
        """Prices of all GPUs or of none: costs in dollars and in GPUs do not add up."""
        unpriced = [
            group for group in found.groups if all(found.stages[place].gpu_price_per_h is None for place in group)
        ]
        if unpriced and len(unpriced) < len(found.groups):
            names = " and ".join(found.stages[group[0]].name for group in unpriced)
            raise InvalidInput(
                f"pipeline {self.path}: stage {names} has no gpuPrice, and others have: their costs do not add up",
                remedy="give every stage a gpuPrice, or --gpu-price for those without, or none at all",
            )

    def _objectives(self) -> tuple[Objective, ...]:
        line = line_of(self.text, ("objectives",))
        where = f"pipeline {self.path}, line {line}"
        try:
            found = parse_objectives(self.fields.objectives)
        except InvalidInput as error:
            raise InvalidInput(f"{where}: {error}", remedy=error.remedy) from None
        for each in found:
            if each.metric not in METRICS:
                raise InvalidInput(
                    f"{where}: objective {as_written(each)}: a pipeline has no {each.metric}",
                    remedy="use e2e (arrival to the end of the last stage) or ttft (to the first token of whichever "
                    "stage makes tokens last)",
                )
        return found

    def _groups(
        self, number: Mapping[str, int], order: Sequence[int], stages: Sequence[PipelineStage]
    ) -> tuple[tuple[int, ...], ...]:
        """Stages placed together: who shares with whom is symmetric and passes on."""
        place_of = {each: place for place, each in enumerate(order)}
        group = {place: {place} for place, stage in enumerate(stages) if stage.service is not None}
        for each, fields in enumerate(self.fields.stages):
            for name in fields.shares_gpu_with:
                self._require_shareable(each, stages[place_of[each]])
                self._require_shareable(number[name], stages[place_of[number[name]]])
                self._require_same_gpu(each, stages[place_of[each]], stages[place_of[number[name]]])
                together = group[place_of[each]] | group[place_of[number[name]]]
                for place in together:
                    group[place] = together
        return tuple(dict.fromkeys(tuple(sorted(group[place])) for place in sorted(group)))

    def _require_shareable(self, number: int, stage: PipelineStage) -> None:
        if stage.service is None or stage.service.makes_tokens:
            what = "a delay" if stage.service is None else "an engine that makes tokens, and takes its GPUs whole"
            raise InvalidInput(
                f"{self._at(number)}: sharesGpuWith: {stage.name} is {what}",
                remedy="only dynamic batchers (engine triton) share GPUs",
            )

    def _require_same_gpu(self, number: int, stage: PipelineStage, other: PipelineStage) -> None:
        types = [each.service.profile.spec.gpu.type for each in (stage, other) if each.service is not None]
        if len(set(types)) > 1:
            raise InvalidInput(
                f"{self._at(number, 'sharesGpuWith')}: sharesGpuWith: {stage.name} was measured on {types[0]}, and "
                f"{other.name} on {types[1]}",
                remedy="stages on the same GPUs need profiles of the same GPU type",
            )


def _positive(text: str, what: str) -> float:
    if text.strip().startswith("-"):
        raise InvalidInput(f"{what}: {text} is negative", remedy="give 0 or more seconds")
    seconds = parse_seconds(text, what=what)
    if not 0.0 <= seconds <= 1e5:
        raise InvalidInput(f"{what}: {text} is out of range", remedy="give 0 to 1e5 seconds")
    return max(seconds, 1e-9)
