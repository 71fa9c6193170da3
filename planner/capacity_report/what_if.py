"""What if: an objective looser or tighter, another GPU, quantisation or engine; what the same demand would need."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models.errors import InvalidInput, NoFeasiblePlan
from models.objective import Objective
from planner.capacity_curve import capacity_curve
from planner.capacity_report.document import Column, Kind, Table, rows_of
from planner.capacity_report.history import Slots
from planner.capacity_report.period import Period
from planner.capacity_report.service_record import ServiceRecord
from planner.hardware import find_gpu, find_model
from planner.objective import as_written
from planner.profile import EngineProfile, catalogue_names, load_profile
from planner.service import Service
from planner.variants import parse_variants, variants_of

MOST_SERVICES = 5
"""The dearest ones; each takes about a second."""
MOST_GPUS = 2
FACTORS = (0.5, 2.0)
_COLUMNS = (
    Column(key="service", title="Service"),
    Column(key="change", title="What if"),
    Column(key="gpu", title="GPU"),
    Column(key="needed_gpu_h", title="Needed GPU-h", kind=Kind.GPU_HOURS,
           meaning="for the slots whose demand is known"),
    Column(key="change_gpu_h", title="Change of GPU-h", kind=Kind.GPU_HOURS, meaning="against the need as it is"),
    Column(key="price", title="Price of a GPU-h", kind=Kind.PRICE, meaning="mean effective price of these hours"),
    Column(key="needed_cost", title="Needed cost", kind=Kind.MONEY, meaning="needed GPU-hours × price"),
    Column(key="change_cost", title="Change of cost", kind=Kind.MONEY, meaning="against the need as it is"),
    Column(key="basis", title="Basis"),
)  # fmt: skip

PricesOf = Callable[[str, str, str | None], Slots]
"""Effective prices slot by slot, of a cluster, a GPU type and a team; NaN where one is not known."""


@dataclass(frozen=True, kw_only=True)
class _Case:
    change: str
    service: Service | None
    objectives: tuple[Objective, ...]
    basis: str


@dataclass(frozen=True, kw_only=True)
class Market:
    """What there is to choose from: asked variants, and what GPUs cost where."""

    variants: Sequence[str]
    """None of them: half the precision where it is whole, and the cheapest other GPUs with a price there."""
    prices_of: PricesOf
    gpus_at: Callable[[str], Sequence[str]]
    """GPU types with a price in a cluster, the cheapest first."""


def what_if_table(records: Sequence[ServiceRecord], period: Period, market: Market, *, covered: int) -> Table:
    """Rows for the services that need the most money, each beside the need as it is."""
    known = [each for each in records if each.service is not None and each.curve is not None]

    def cost(each: ServiceRecord) -> float:
        prices = market.prices_of(*each.accounted.pool, each.accounted.fields.team)[:covered]
        return float(np.nansum(each.use.needed[:covered] * np.nan_to_num(prices, nan=1.0)))

    dearest = sorted(known, key=lambda each: (-cost(each), each.accounted.name))[:MOST_SERVICES]
    rows = [row for each in dearest for row in _rows(each, period, market, covered)]
    left = len(known) - len(dearest)
    note = (
        "By the model alone, whatever was measured, at ordinary prices, whatever is committed; these figures do not "
        "follow a change of the table of prices."
    )
    note += f" The {len(dearest)} services whose need costs most; {left} more are left out." if left else ""
    return Table(name="what_if", title="What if", columns=_COLUMNS, rows=rows_of(_COLUMNS, rows), note=note)


def _rows(record: ServiceRecord, period: Period, market: Market, covered: int) -> Iterator[dict[str, Any]]:
    assert record.service is not None
    base = _Case(
        change="as it is", service=record.service, objectives=record.accounted.objectives, basis="queueing model"
    )
    now = _needed(base, record, period, market.prices_of, covered)
    for case in (base, *_cases(record, market)):
        found = _needed(case, record, period, market.prices_of, covered)
        profile = record.accounted.profile if case.service is None else case.service.profile
        yield {
            "service": record.accounted.name,
            "change": case.change,
            "gpu": profile.spec.gpu.type,
            "needed_gpu_h": found.gpu_h,
            "change_gpu_h": _less(found.gpu_h, now.gpu_h),
            "price": None if not found.gpu_h or found.cost is None else found.cost / found.gpu_h,
            "needed_cost": found.cost,
            "change_cost": _less(found.cost, now.cost),
            "basis": found.why or case.basis,
        }


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _cases(record: ServiceRecord, market: Market) -> Iterator[_Case]:
    service, objectives = record.service, record.accounted.objectives
    assert service is not None
    for at, objective in enumerate(objectives):
        for factor in FACTORS:
            changed = Objective(
                metric=objective.metric, quantile=objective.quantile, limit_s=objective.limit_s * factor
            )
            yield _Case(
                change=f"{as_written(objective)} at {'half' if factor < 1.0 else 'twice'} the limit",
                service=service,
                objectives=(*objectives[:at], changed, *objectives[at + 1 :]),
                basis="queueing model",
            )
    if service.lengths is None:
        return
    for other in _other_engines(service.profile):
        yield _Case(
            change=f"{other.spec.engine} {other.spec.engine_version or ''}".strip(),
            service=replace(service, profile=other),
            objectives=objectives,
            basis=f"measured: profile {other.name}",
        )
    tokens = math.ceil(service.lengths.prompt.mean + service.lengths.output.mean)
    for text in market.variants or _usual_variants(service.profile, market.gpus_at(record.accounted.fields.cluster)):
        yield from _variant_cases(service, objectives, text, tokens)


def _variant_cases(service: Service, objectives: tuple[Objective, ...], text: str, tokens: int) -> Iterator[_Case]:
    try:
        found = variants_of(service.profile, parse_variants([text]), least_tokens=tokens)
    except InvalidInput as error:
        yield _Case(change=text, service=None, objectives=objectives, basis=f"{error}; {error.remedy}")
        return
    for variant in found:
        basis = variant.basis or variant.reason
        if variant.estimated and variant.profile is not None:
            basis = basis if "ESTIMATED" in basis else f"ESTIMATED ± {variant.error:.0%}: {basis}"
        yield _Case(
            change=str(variant.name).partition("~")[2] or variant.name,
            service=None if variant.profile is None else replace(service, profile=variant.profile),
            objectives=objectives,
            basis=basis,
        )


def _usual_variants(profile: EngineProfile, gpus: Sequence[str]) -> list[str]:
    """Where nobody names any."""
    others = [gpu for gpu in gpus if gpu != profile.spec.gpu.type and find_gpu(gpu) is not None]
    precision = ["quantization=fp8"] if profile.spec.quantization == "none" else []
    return [*precision, *(f"gpu={gpu}" for gpu in others[:MOST_GPUS])]


def _other_engines(profile: EngineProfile) -> Iterator[EngineProfile]:
    """Shipped profiles of the same model on the same GPUs by another engine."""
    shape = find_model(profile.spec.model)
    for name in catalogue_names():
        other = load_profile(name)
        same = other.spec.model == profile.spec.model or (shape is not None and find_model(other.spec.model) == shape)
        if (
            same
            and other.spec.engine != profile.spec.engine
            and other.spec.gpu == profile.spec.gpu
            and other.spec.quantization == profile.spec.quantization
        ):
            yield other


@dataclass(frozen=True, kw_only=True)
class _Needed:
    gpu_h: float | None = None
    cost: float | None = None
    why: str = ""
    """Why it is not known."""


def _needed(case: _Case, record: ServiceRecord, period: Period, prices_of: PricesOf, covered: int) -> _Needed:
    if case.service is None:
        return _Needed(why=case.basis)
    rate = record.rate_per_s[:covered]
    try:
        curve = capacity_curve(case.service, case.objectives, highest_per_s=float(np.nanmax(rate)))
    except NoFeasiblePlan:
        return _Needed(why="no number of replicas meets it")
    except InvalidInput as error:
        return _Needed(why=str(error))
    gpu = case.service.profile.spec.gpu
    needed = curve.replicas(rate) * gpu.per_replica * period.slot_s / 3600.0
    prices = prices_of(record.accounted.fields.cluster, gpu.type, record.accounted.fields.team)[:covered]
    priced = needed * prices
    unknown = bool(np.any(np.isnan(priced) & (needed > 0.0)))
    return _Needed(gpu_h=float(np.nansum(needed)), cost=None if unknown else float(np.nansum(priced)))
