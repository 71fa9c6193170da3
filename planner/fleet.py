"""The workloads of a fleet file, sized at once."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic.alias_generators import to_camel

from models.errors import InvalidInput, NoFeasiblePlan
from models.objective import Objective
from models.prediction import Routing
from planner.batching_answer import BatchingQuestion
from planner.batching_fields import plan_fields
from planner.batching_request import batching_question
from planner.batching_sizing import size_batching
from planner.fleet_file import FleetFile, WorkloadFields, read_fleet_file
from planner.objective import as_written, parse_objectives
from planner.plan import Plan, no_plan
from planner.profile import EngineProfile, load_profile
from planner.sizing import MAX_REPLICAS
from planner.sizing_request import SizingRequest, make_plan
from planner.units import parse_seconds
from planner.workload import WorkloadOptions, build_workload

MOST_WITH_RANGE = 200
"""Workloads of a fleet whose ranges are sized too; each takes twice as long again."""


@dataclass(frozen=True, kw_only=True)
class FleetDefaults:
    """What holds for an entry, and a file, that says nothing else."""

    profile: str | None = None
    objectives: tuple[Objective, ...] = ()
    routing: Routing = Routing.RANDOM
    max_replicas: int = MAX_REPLICAS
    gpu_price_per_h: float | None = None


@dataclass(frozen=True, kw_only=True)
class FleetEntry:
    """One workload of a fleet, ready to size."""

    name: str
    place: str
    """File and name, for errors."""
    request: SizingRequest | BatchingQuestion
    max_replicas: int = MAX_REPLICAS


def read_fleet(path: Path, defaults: FleetDefaults) -> list[FleetEntry]:
    """All entries, validated before any is sized. Raises InvalidInput that names the entry."""
    fleet = read_fleet_file(path)
    profile_of = lru_cache(maxsize=None)(load_profile)
    entries = []
    for entry in fleet.workloads:
        place = f"fleet {path}, workload {entry.name!r}"
        try:
            request = _request(entry, fleet, defaults, profile_of)
        except InvalidInput as error:
            raise _at(place, error) from None
        entries.append(FleetEntry(name=entry.name, place=place, request=request, max_replicas=defaults.max_replicas))
    return entries


@dataclass(frozen=True, kw_only=True)
class FleetRow:
    """What came of one workload."""

    name: str
    fields: Mapping[str, Any]
    """Of `planner size`, with a plan or without."""
    binding: str = ""
    """The binding objective as it was written, or `throughput`."""

    @property
    def feasible(self) -> bool:
        """Whether there is a plan."""
        return bool(self.fields["feasible"])

    def as_dict(self) -> dict[str, Any]:
        """The fields, name first."""
        return {"name": self.name, **self.fields}


def size_entry(entry: FleetEntry) -> FleetRow:
    """The plan of an entry, or why there is none. Raises InvalidInput that names the entry."""
    try:
        if isinstance(entry.request, BatchingQuestion):
            return _size_batcher(entry.name, entry.request, entry.max_replicas)
        plan = make_plan(entry.request)
        return FleetRow(name=entry.name, fields=plan.as_dict(), binding=_binding(plan))
    except NoFeasiblePlan as error:
        return FleetRow(name=entry.name, fields=no_plan(entry.request.profile, entry.request.objectives, error))
    except InvalidInput as error:
        raise _at(entry.place, error) from None


def _size_batcher(name: str, question: BatchingQuestion, max_replicas: int) -> FleetRow:
    fields = plan_fields(question, size_batching(question, max_replicas=max_replicas))
    binding = fields["binding"]
    bound = next(each for each in question.objectives if str(each) == binding["objective"])
    return FleetRow(
        name=name,
        fields={**fields, "range": None, "range_note": "the error of a batch's time is not known"},
        binding="throughput" if binding["constraint"] == "throughput" else as_written(bound),
    )


def _binding(plan: Plan) -> str:
    return "throughput" if plan.constraint == "throughput" else as_written(plan.binding)


def size_entries(entries: Sequence[FleetEntry], *, cores: int) -> Generator[FleetRow]:
    """Every row, in order; large fleets are sized on several cores."""
    workers = min(cores, len(entries) // LEAST_ENTRIES_A_CORE)
    if workers < 2:
        yield from map(size_entry, entries)
        return
    from planner.parallel import map_in_order

    yield from map_in_order(size_entry, entries, workers=workers)


LEAST_ENTRIES_A_CORE = 80
"""Another process takes as long to start as it takes to size about so many."""


def _at(place: str, error: InvalidInput) -> InvalidInput:
    """The error with its place in front, and with names of fields where it names options of the command."""
    message, remedy = (_OPTION.sub(_field, text) for text in (str(error), error.remedy))
    return InvalidInput(f"{place}: {message}", remedy=remedy)


_OPTION = re.compile(r"--(qps|concurrency|(?:think|input|output|prefix)-[a-z-]+|burstiness)\b")


def _field(option: re.Match[str]) -> str:
    return to_camel(option[1].replace("-", "_"))


def _request(
    entry: WorkloadFields, fleet: FleetFile, defaults: FleetDefaults, profile_of: Any
) -> SizingRequest | BatchingQuestion:
    name = entry.profile or fleet.profile or defaults.profile
    if name is None:
        raise InvalidInput("it has no profile", remedy="add `profile:` to it, to the file, or --profile")
    if entry.qps is None and entry.concurrency is None:
        raise InvalidInput("it has no load", remedy="add `qps:`, or `concurrency:` and perhaps `thinkTime:`, to it")
    profile: EngineProfile = profile_of(name)
    asked = parse_objectives(entry.objectives or fleet.objectives) or defaults.objectives
    if not asked:
        raise InvalidInput("it has no objectives", remedy="add `objectives:` to it, to the file, or --slo")
    routing = entry.routing or defaults.routing
    price = defaults.gpu_price_per_h if entry.gpu_price is None else entry.gpu_price
    if profile.spec.engine == "triton":
        return batching_question(
            profile,
            _options(entry),
            asked,
            routing=routing,
            gpu_price_per_h=price,
        )
    stated = build_workload(_options(entry))
    return SizingRequest(
        profile=profile,
        workload=stated.workload,
        objectives=asked,
        routing=routing,
        max_replicas=defaults.max_replicas,
        gpu_price_per_h=price,
        assumptions=stated.assumptions,
        with_range=len(fleet.workloads) <= MOST_WITH_RANGE,
    )


def _options(entry: WorkloadFields) -> WorkloadOptions:
    return WorkloadOptions(
        qps=entry.qps,
        concurrency=entry.concurrency,
        think_time_s=parse_seconds(entry.think_time, what="thinkTime"),
        input_tokens=entry.input_tokens,
        output_tokens=entry.output_tokens,
        input_cv=entry.input_cv,
        output_cv=entry.output_cv,
        burstiness=entry.burstiness,
        prefix_hit_rate=entry.prefix_hit_rate,
    )
