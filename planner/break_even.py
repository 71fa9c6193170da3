"""When more throughput from TensorRT-LLM pays for hours of compilation: a pair of plans, and what it costs to build.

Savings come in whole replicas: more throughput saves nothing until one replica less will do. So there is a rate below
which it never pays, and one from which it always does.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any

from models.errors import InvalidInput, NoFeasiblePlan
from models.prediction import Routing
from models.workload import OpenArrivals
from planner.build_cost import BuildCost
from planner.compared import sized
from planner.comparison_row import Candidate, Load, Row
from planner.hardware import find_model, precision_of
from planner.node_count import paid_gpus
from planner.prices import PriceRule
from planner.profile import EngineProfile
from planner.sizing import max_rate
from planner.variant_physics import TermRatios
from planner.variant_profile import scaled, with_step_time

_MOST_REPLICAS, _MOST_ALIKE = 12, 1000
"""Of which the highest rates are looked at to find the rate from which it pays; where one replica tells of all."""


@dataclass(frozen=True, kw_only=True)
class Rates:
    """From which requests per second something holds first, and from which always as far as was looked."""

    first_per_s: float | None
    always_from_per_s: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class BreakEven:
    """vLLM against TensorRT-LLM, measured or supposed."""

    vllm: Row
    compiled: Row
    gain: float | None
    """The supposed gain in throughput; None where TensorRT-LLM was measured."""
    saving_per_h: float | None
    per_version: float | None
    hours: float | None
    reason: str
    """The answer in a sentence."""
    saves: Rates
    """Where any replica is saved (cost an hour falls), whatever it costs to build."""
    pays: Rates | None
    """Where a version's savings pay for building it before the next is built; None without releases or a price."""
    looked_to_per_s: float | None
    hours_between: float | None = None
    """Between two versions."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it, SI units but hours where the name says so."""
        return {
            "vllm": self.vllm.name,
            "compiled": self.compiled.name,
            "hypothetical_gain": self.gain,
            "replicas": {"vllm": self.vllm.fields["replicas"], "compiled": self.compiled.fields["replicas"]},
            "saving_per_hour": self.saving_per_h,
            "cost_per_version": self.per_version,
            "break_even_hours": self.hours,
            "first_saving_from_qps": self.saves.first_per_s,
            "always_saving_from_qps": self.saves.always_from_per_s,
            "first_paying_from_qps": None if self.pays is None else self.pays.first_per_s,
            "always_paying_from_qps": None if self.pays is None else self.pays.always_from_per_s,
            "looked_up_to_qps": self.looked_to_per_s,
            "reason": self.reason,
        }


def parse_gain(text: str) -> tuple[float, ...]:
    """`0.15..0.2` or `0.17`: gains in throughput, as shares. Raises InvalidInput."""
    try:
        gains = tuple(dict.fromkeys(float(part) for part in text.split("..")))
    except ValueError:
        gains = ()
    if not 1 <= len(gains) <= 2 or not all(0.0 <= gain <= 5.0 for gain in gains) or list(gains) != sorted(gains):
        raise InvalidInput(f"--trtllm-gain {text[:40]!r} is not a gain", remedy="write 0.17, or a range 0.15..0.2")
    return gains


def pairs(rows: Sequence[Row]) -> Iterator[tuple[Row, Row]]:
    """vLLM rows with TensorRT-LLM rows of the same model, GPU type, precision and GPUs a replica; both have plans."""
    for vllm in rows:
        for compiled in rows:
            measured = not (vllm.candidate.estimated or compiled.candidate.estimated)
            if measured and vllm.feasible and compiled.feasible and _comparable(vllm, compiled):
                yield vllm, compiled


def _comparable(vllm: Row, compiled: Row) -> bool:
    one, other = vllm.candidate.profile, compiled.candidate.profile
    if one is None or other is None or one.spec.engine != "vllm" or other.spec.engine != "triton-trtllm":
        return False
    return _kind(one) == _kind(other)


def _kind(profile: EngineProfile) -> tuple[str, str, str, int]:
    spec = profile.spec
    shape = find_model(spec.model)
    model = spec.model if shape is None else shape.name
    return model, spec.gpu.type.lower(), precision_of(spec.quantization), spec.gpu.per_replica


def break_evens(
    rows: Sequence[Row], load: Load, prices: PriceRule, build: BuildCost, gains: Sequence[float]
) -> list[BreakEven]:
    """Of every measured pair; with gains also of every measured vLLM row that has no TensorRT-LLM beside it."""
    found = [_break_even(vllm, compiled, load, build, None) for vllm, compiled in pairs(rows)]
    paired = {each.vllm.name for each in found}
    for row in rows:
        profile = row.candidate.profile
        if profile is None or profile.spec.engine != "vllm" or row.candidate.estimated:
            continue
        if not row.feasible or row.name in paired:
            continue
        for gain in gains:
            supposed = sized(_supposed(row, profile, gain), load, prices, build=build)
            if supposed.feasible:
                found.append(_break_even(row, supposed, load, build, gain))
    return found


def unused_gain(rows: Sequence[Row], found: Sequence[BreakEven]) -> list[str]:
    """Why --trtllm-gain, where it was given, supposes nothing of some or of all rows."""
    measured = [each for each in found if each.gain is None]
    notes = [
        f"--trtllm-gain is not supposed of {each.vllm.name}: {each.compiled.name} is TensorRT-LLM measured alike "
        "(leave that profile out to suppose a gain instead)"
        for each in measured
    ]
    told = {each.vllm.name for each in found}
    without = [row for row in rows if _is_measured_vllm(row) and row.name not in told]
    notes += [f"--trtllm-gain is not supposed of {row.name}: no plan" for row in without]
    return notes or ([] if found else ["--trtllm-gain is not supposed: no measured profile of vLLM is compared"])


def _is_measured_vllm(row: Row) -> bool:
    profile = row.candidate.profile
    return profile is not None and profile.spec.engine == "vllm" and not row.candidate.estimated


def _supposed(row: Row, profile: EngineProfile, gain: float) -> Candidate:
    """The vLLM profile with steps so much shorter that a full replica carries `gain` more."""
    factor = 1.0 / (1.0 + gain)
    ratios = TermRatios(base=factor, prefill=factor, decode=factor, kv=factor, expert=factor)
    name = f"{row.name} +{100.0 * gain:g}%"
    quicker = with_step_time(profile, scaled(profile.fitted.step_time, ratios), name=name)
    compiled = quicker.model_copy(update={"spec": quicker.spec.model_copy(update={"engine": "triton-trtllm"})})
    return replace(
        row.candidate, name=name, profile=compiled, estimated=True, base=row.candidate.base or profile,
        basis=f"supposed: steps of {row.name} divided by {1.0 + gain:g} (--trtllm-gain)",
    )  # fmt: skip


def _break_even(vllm: Row, compiled: Row, load: Load, build: BuildCost, gain: float | None) -> BreakEven:
    profile, price = compiled.candidate.profile, compiled.price.usd_per_h
    assert profile is not None
    savings, looked = _savings(vllm, compiled, load)
    saving = per_version = hours = pays = None
    if vllm.per_hour is not None and compiled.per_hour is not None and price is not None:
        saving = vllm.per_hour - compiled.per_hour
        per_version = build.per_version(profile.spec.gpu.per_replica, price)
        hours = build.hours_until_paid(saving, per_version)
        if build.hours_between is not None:
            pays = _rates(savings, above=build.per_hour(per_version))
    return BreakEven(
        vllm=vllm, compiled=compiled, gain=gain, saving_per_h=saving, per_version=per_version, hours=hours,
        reason=_told(vllm, compiled, build, saving, per_version, hours),
        saves=_rates(savings, above=0.0), pays=pays, looked_to_per_s=looked, hours_between=build.hours_between,
    )  # fmt: skip


def _told(
    vllm: Row, compiled: Row, build: BuildCost, saving: float | None, per_version: float | None, hours: float | None
) -> str:
    counts = f"{_counted(vllm)} against {_counted(compiled)}"
    if saving is None or per_version is None:
        return f"{counts}; no price, so no break-even"
    if saving <= 0.0:
        more = "saves nothing" if saving == 0.0 else f"costs ${-saving:,.2f} an hour more"
        return f"{counts}: TensorRT-LLM {more} here, so building never pays"
    cost = f"${saving:,.2f} an hour saved, ${per_version:,.2f} to build each version"
    if hours is None:
        return f"{counts}: {cost}; at {build.releases_per_month:g} releases a month it never pays"
    return f"{counts}: {cost}; paid after {told_hours(hours)}"


def _counted(row: Row) -> str:
    count = int(row.fields["replicas"])
    return f"{count:,} replica{'' if count == 1 else 's'}"


def told_hours(hours: float) -> str:
    """In hours, or days from two on."""
    return f"{hours:,.1f} hours" if hours < 48.0 else f"{hours / 24.0:,.1f} days"


def _savings(vllm: Row, compiled: Row, load: Load) -> tuple[list[tuple[float, float]], float | None]:
    """Rates, each with what is saved an hour from there to the next; and how far was looked. None of closed loops."""
    if load.workload is None or not isinstance(load.workload.arrivals, OpenArrivals):
        return [], None
    steps = [_steps(row, load) for row in (vllm, compiled)]
    if not steps[0] or not steps[1]:
        return [], None
    looked = min(steps[0][-1], steps[1][-1])
    # The cost an hour is constant between the rates at which either needs one replica more.
    edges = [0.0, *sorted(rate for rate in {*steps[0], *steps[1]} if rate <= looked)]
    savings = [
        (low, _cost(vllm, steps[0], 0.5 * (low + high)) - _cost(compiled, steps[1], 0.5 * (low + high)))
        for low, high in pairwise(edges)
    ]
    return savings, looked


def _rates(savings: Sequence[tuple[float, float]], *, above: float) -> Rates:
    """Where more than so many dollars an hour are saved."""
    first = next((rate for rate, saving in savings if saving > above), None)
    always = None
    for rate, saving in reversed(savings):
        if saving <= above:
            break
        always = rate
    return Rates(first_per_s=first, always_from_per_s=always)


def _steps(row: Row, load: Load) -> list[float]:
    """The highest rate of 1, 2, … replicas within the objectives."""
    profile = row.candidate.profile
    assert profile is not None
    assert load.workload is not None
    assert load.arrivals is not None
    engine, workload = profile.to_engine(), load.workload

    def highest(replicas: int) -> float:
        return max_rate(engine, workload, load.objectives, replicas=replicas, routing=load.routing)[0]

    try:
        if load.routing is Routing.RANDOM and load.arrivals.burstiness == 1.0:
            # A Poisson stream split at random is Poisson streams: each replica as if it were alone.
            one = highest(1)
            return [count * one for count in range(1, _MOST_ALIKE + 1)]
        return list(accumulate(map(highest, range(1, _MOST_REPLICAS + 1)), max))
    except NoFeasiblePlan:
        return []


def _cost(row: Row, steps: Sequence[float], rate: float) -> float:
    """GPUs, times the price where it is known, at a rate within the steps."""
    profile = row.candidate.profile
    assert profile is not None
    replicas = bisect_left(steps, rate) + 1
    price = row.price.usd_per_h
    return paid_gpus(profile.spec.gpu, 1) * replicas * (1.0 if price is None else price)
