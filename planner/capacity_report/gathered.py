"""From a fleet file to records: each workload's profile, objectives and history, read from wherever it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from models.errors import InvalidInput
from models.objective import Objective
from planner.capacity_report.history import History
from planner.capacity_report.period import Period
from planner.capacity_report.service_record import Accounted, ServiceRecord, record
from planner.capacity_report.sources.decisions import Doings, decision_history
from planner.capacity_report.sources.prometheus import Scraped, prometheus_history
from planner.capacity_report.sources.stated import stated_demand, stated_replicas
from planner.capacity_report.sources.table import forget_tables, table_history
from planner.capacity_report.sources.trace import trace_history
from planner.fleet_file import FleetFile, HistorySource, WorkloadFields
from planner.metrics_server import MetricsServer
from planner.objective import parse_objectives
from planner.profile import EngineProfile
from planner.service_fields import profile_beside


@dataclass(frozen=True, kw_only=True)
class Gathering:
    """What histories are read with."""

    base: Path
    """The folder of the fleet file."""
    period: Period
    covered: int
    server: MetricsServer | None = None
    default_profile: str | None = None
    doings: dict[str, Doings] = field(default_factory=dict)
    """What the controller did, by service, as far as its logs were read."""


def accounted_services(fleet: FleetFile, gathering: Gathering) -> list[Accounted]:
    """Every workload with its profile and objectives. Raises InvalidInput that names the workload."""
    profile_of = lru_cache(maxsize=None)(lambda name: profile_beside(gathering.base, name))
    return [_accounted(each, fleet, gathering, profile_of) for each in fleet.workloads]


def _accounted(
    fields: WorkloadFields, fleet: FleetFile, gathering: Gathering, profile_of: Callable[[str], EngineProfile]
) -> Accounted:
    place = f"workload {fields.name!r}"
    name = fields.profile or fleet.profile or gathering.default_profile
    if name is None:
        raise InvalidInput(f"{place} has no profile", remedy="add `profile:` to it or to the file")
    try:
        profile = profile_of(name)
        objectives: tuple[Objective, ...] = tuple(parse_objectives(fields.objectives or fleet.objectives))
    except InvalidInput as error:
        raise InvalidInput(f"{place}: {error}", remedy=error.remedy) from None
    if not objectives:
        raise InvalidInput(f"{place} has no objectives", remedy="add `objectives:` to it or to the file")
    if profile.spec.gpu.per_replica < 1:
        raise InvalidInput(
            f"{place}: profile {profile.name} is of a model on the CPU, and a report of GPUs has no place for it",
            remedy="leave it out",
        )
    return Accounted(fields=fields, profile=profile, objectives=objectives)


def records(services: Iterable[Accounted], gathering: Gathering) -> Iterator[ServiceRecord]:
    """One after another. Raises InvalidInput that names the workload."""
    for each in services:
        try:
            history = _history(each, gathering).cut(gathering.covered)
            yield record(each, history, gathering.period)
        except InvalidInput as error:
            raise InvalidInput(f"workload {each.name!r}: {error}", remedy=error.remedy) from None
    forget_tables()


def _history(accounted: Accounted, gathering: Gathering) -> History:
    """Of all its sources; what an earlier one does not know is taken from the next."""
    found = History.unknown(gathering.period)
    for source in accounted.fields.history:
        found = found.completed(_of_source(source, accounted, gathering))
    return found


def _of_source(source: HistorySource, accounted: Accounted, gathering: Gathering) -> History:
    period = gathering.period
    if source.table is not None:
        return table_history(gathering.base / source.table, period, service=accounted.name)
    if source.trace is not None and source.start is not None:
        return trace_history(
            gathering.base / source.trace, period, start=source.start, repeat=source.repeat, scale=source.scale
        )
    if source.decisions is not None and source.policy is not None:
        history, doings = decision_history(gathering.base / source.decisions, period, policy=source.policy)
        gathering.doings[accounted.name] = doings
        return history
    if source.qps is not None:
        fields = accounted.fields
        return stated_demand(source.qps, period, input_tokens=fields.input_tokens, output_tokens=fields.output_tokens)
    if source.replicas is not None:
        return stated_replicas(source.replicas, period)
    return prometheus_history(_server(gathering), _scraped(source, accounted), period, covered=gathering.covered)


def _server(gathering: Gathering) -> MetricsServer:
    if gathering.server is None:
        raise InvalidInput("its history is in Prometheus", remedy="name the server with --prometheus URL")
    return gathering.server


def _scraped(source: HistorySource, accounted: Accounted) -> Scraped:
    labels: Mapping[str, str] = source.prometheus or {}
    return Scraped(
        engine=accounted.profile.spec.engine,
        labels=labels,
        gpu_labels=source.gpus,
        gpus_per_replica=accounted.profile.spec.gpu.per_replica,
        objectives=accounted.objectives,
    )
