"""A fleet file: many workloads to size at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from models.errors import InvalidInput, NoFeasiblePlan
from models.objective import Objective
from models.prediction import Routing
from planner.files import line_of, parse_document, read_text
from planner.objective import parse_objectives
from planner.plan import Plan
from planner.profile import EngineProfile, load_profile
from planner.sizing_request import SizingRequest, make_plan
from planner.units import parse_seconds
from planner.workload import WorkloadOptions, build_workload

Rate = Annotated[float, Field(gt=0.0, le=1e7, allow_inf_nan=False)]
Tokens = Annotated[float, Field(ge=1.0, le=1e8, allow_inf_nan=False)]
Variation = Annotated[float, Field(ge=0.0, le=20.0, allow_inf_nan=False)]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)

    name: Annotated[str, Field(min_length=1, max_length=200)]
    profile: str | None = None
    qps: Rate | None = None
    concurrency: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    think_time: str = "0s"
    input_tokens: Tokens
    output_tokens: Tokens
    input_cv: Variation = 0.0
    output_cv: Variation = 0.0
    burstiness: Annotated[float, Field(ge=0.0, le=100.0)] | None = None
    prefix_hit_rate: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    routing: Routing = Routing.RANDOM
    objectives: tuple[str, ...] = ()
    gpu_price: Annotated[float, Field(ge=0.0, le=1e6)] | None = None


class _Fleet(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)

    profile: str | None = None
    objectives: tuple[str, ...] = ()
    workloads: Annotated[tuple[_Entry, ...], Field(min_length=1, max_length=100_000)]


@dataclass(frozen=True, kw_only=True)
class FleetEntry:
    """One workload of a fleet, ready to size."""

    name: str
    request: SizingRequest


def read_fleet(path: Path, profile_name: str | None, objectives: tuple[Objective, ...]) -> list[FleetEntry]:
    """All entries, validated before any is sized. `profile_name` and `objectives` stand in where an entry has none."""
    text = read_text(path, what="fleet")
    document = parse_document(text, name=str(path), what="fleet")
    fleet = _validated(document, text, path)
    profile_of = lru_cache(maxsize=None)(load_profile)
    seen: set[str] = set()
    entries = []
    for entry in fleet.workloads:
        place = f"fleet {path}, workload {entry.name!r}"
        if entry.name in seen:
            raise InvalidInput(f"{place} is there twice", remedy="give each workload a name of its own")
        seen.add(entry.name)
        try:
            entries.append(_request(entry, fleet, profile_name, objectives, profile_of))
        except InvalidInput as error:
            raise InvalidInput(f"{place}: {error}", remedy=error.remedy) from None
    return entries


def size_entry(entry: FleetEntry) -> Plan | str:
    """The plan of an entry, or why there is none."""
    try:
        return make_plan(entry.request)
    except NoFeasiblePlan as error:
        return f"{error}; {error.remedy}"


def _request(
    entry: _Entry, fleet: _Fleet, profile_name: str | None, objectives: tuple[Objective, ...], profile_of: Any
) -> FleetEntry:
    name = entry.profile or fleet.profile or profile_name
    if name is None:
        raise InvalidInput("it has no profile", remedy="add `profile:` to it, to the file, or --profile")
    profile: EngineProfile = profile_of(name)
    stated = build_workload(
        WorkloadOptions(
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
    )
    asked = parse_objectives(entry.objectives or fleet.objectives) or objectives
    if not asked:
        raise InvalidInput("it has no objectives", remedy="add `objectives:` to it, to the file, or --slo")
    request = SizingRequest(
        profile=profile,
        workload=stated.workload,
        objectives=asked,
        routing=entry.routing,
        gpu_price_per_h=entry.gpu_price,
        assumptions=stated.assumptions,
        with_range=False,
    )
    return FleetEntry(name=entry.name, request=request)


def _validated(document: Mapping[str, Any], text: str, path: Path) -> _Fleet:
    try:
        return _Fleet.model_validate(document)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = tuple(problem["loc"])
        line = line_of(text, where)
        field = ".".join(str(step) for step in where)
        raise InvalidInput(
            f"fleet {path}{f', line {line}' if line else ''}: {field}: {problem['msg'][:200]}",
            remedy="fields of a workload: name, profile, qps or concurrency with thinkTime, inputTokens, outputTokens, "
            "inputCv, outputCv, burstiness, prefixHitRate, routing, objectives, gpuPrice",
        ) from None
