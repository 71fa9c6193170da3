"""What every figure rests on: method, inputs with their dates, and where each profile's numbers are from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from planner.capacity_report.document import Column, Table, rows_of
from planner.capacity_report.period import Period
from planner.capacity_report.service_record import ServiceRecord
from planner.fleet_file import FleetFile
from planner.objective import as_written
from planner.profile import EngineProfile
from planner.units import format_seconds

_COLUMNS = (
    Column(key="topic", title="Topic"),
    Column(key="subject", title="Of"),
    Column(key="text", title="Assumption or source"),
    Column(key="source", title="From"),
    Column(key="date", title="Date"),
)


@dataclass(frozen=True, kw_only=True)
class Assumption:
    """One of them."""

    topic: str
    text: str
    subject: str = ""
    source: str = ""
    date: str = ""


def method(period: Period) -> list[Assumption]:
    """What holds for every line."""
    minutes = period.slot_s // 60
    told = [
        (
            f"Demand, replicas and need are taken slot by slot, {minutes} minutes each: bursts within a slot count "
            "only as far as the workload's burstiness says."
        ),
        (
            "Needed: the least whole replicas that meet every objective at the slot's mean rate, by the queueing "
            "model of `planner size`; where the objectives were measured to hold with fewer, those."
        ),
        "Used: arrival rate over the greatest rate that a replica carries, in GPUs.",
        (
            "Idle = allocated − used, each GPU-hour with one cause, in this order: burst headroom, whole replicas, "
            "minimum replicas, stabilisation, over-provisioning."
        ),
        (
            "Stabilisation: what the stated policy for scaling down still held after the need fell between two slots; "
            "shorter falls and rises within a slot are not seen and count as over-provisioning."
        ),
        (
            "Breach minutes: whole slots in which an objective did not hold, measured where history has it, else where "
            "fewer replicas ran than the model asks for."
        ),
        "What is not known is in no sum, is not filled in, and is named among the holes.",
    ]
    if period.clock_changes:
        told.append(
            f"The clocks of {period.time_zone} change: {', '.join(period.clock_changes)}. Hours are real hours."
        )
    return [Assumption(topic="method", text=text) for text in told]


def assumptions_of(record: ServiceRecord) -> list[Assumption]:
    """What one service's lines rest on."""
    accounted, service = record.accounted, record.service
    name = accounted.name
    found = [
        Assumption(topic="objectives", subject=name, text=", ".join(as_written(each) for each in accounted.objectives)),
        *(Assumption(topic="history", subject=name, text=text) for text in record.history.sources),
        *(Assumption(topic="history", subject=name, text=text) for text in record.history.notes),
    ]
    if service is not None and service.lengths is not None:
        stated = accounted.fields.input_tokens is not None and accounted.fields.output_tokens is not None
        prompt, output = service.lengths.prompt.mean, service.lengths.output.mean
        found.append(
            Assumption(
                topic="lengths",
                subject=name,
                text=f"{prompt:,.0f} prompt and {output:,.0f} output tokens in the mean, the same in every slot; "
                f"stated coefficients of variation {accounted.fields.input_cv:g} and {accounted.fields.output_cv:g}",
                source="fleet file" if stated else "history's means",
            )
        )
    found.append(
        Assumption(topic="workload", subject=name, text=_workload(record), source="fleet file, or its defaults")
    )
    return found


def _workload(record: ServiceRecord) -> str:
    """What is stated of how its requests come, and how it is scaled."""
    fields, down = record.accounted.fields, record.accounted.scale_down
    burstiness = 1.0 if fields.burstiness is None else fields.burstiness
    told = [
        f"burstiness {burstiness:g} (squared coefficient of variation of the times between arrivals)",
        f"routing {fields.routing or 'random'}",
        f"at least {fields.min_replicas} replicas",
        (
            f"scaled down {format_seconds(down.window_s)} after the need fell, {down.replicas} each "
            f"{format_seconds(down.period_s)}"
        ),
    ]
    if fields.prefix_hit_rate:
        told.append(f"{fields.prefix_hit_rate:.0%} of prompt tokens from the prefix cache")
    return "; ".join(told)


def stated_of_the_fleet(fleet: FleetFile, currency: str) -> list[Assumption]:
    """What the fleet file says of growth, spot and breaches; `currency` is the price book's."""
    told = []
    if fleet.growth is not None:
        low, base, high = fleet.growth.low, fleet.growth.base, fleet.growth.high
        told.append(("growth", f"of demand, a year: low {low:.0%}, base {base:.0%}, high {high:.0%}"))
    if fleet.spot is not None:
        told.append(
            (
                "spot",
                (
                    f"at most {fleet.spot.most_share:.0%} of what runs, {fleet.spot.overhead:.0%} more GPU-hours for "
                    "its interruptions"
                ),
            )
        )
    if fleet.breach_minute_cost is not None:
        told.append(("breaches", f"a breach minute is worth {currency} {fleet.breach_minute_cost:g}"))
    return [Assumption(topic=topic, text=text, source="fleet file") for topic, text in told]


def provenance(profiles: Iterable[EngineProfile]) -> list[Assumption]:
    """Where each profile's numbers are from."""
    found = []
    for profile in {each.name: each for each in profiles}.values():
        if not profile.spec.provenance:
            text = "the profile does not say where its numbers are from"
            found.append(Assumption(topic="profile", subject=profile.name, text=text))
        for each in profile.spec.provenance or ():
            error = "" if each.median_error is None else f", median error {each.median_error:.1%}"
            points = "" if each.points is None else f"{each.points} points"
            found.append(
                Assumption(
                    topic="profile",
                    subject=profile.name,
                    text=f"{points}{error}".strip(", ") or "measured",
                    source=each.source or "",
                    date=str(each.date or ""),
                )
            )
    return found


def assumptions_table(found: Sequence[Assumption]) -> Table:
    """All of them."""
    rows = [
        {"topic": each.topic, "subject": each.subject, "text": each.text, "source": each.source, "date": each.date}
        for each in found
    ]
    return Table(name="assumptions", title="Assumptions and sources", columns=_COLUMNS, rows=rows_of(_COLUMNS, rows))
