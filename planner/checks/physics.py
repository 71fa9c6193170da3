"""What the hardware cannot do: faster than memory, faster than its arithmetic (`memory`: more than it holds).

A decode step reads every weight it uses once, so it takes at least bytes / bandwidth (Pope et al. 2022, §2). A token
costs at least 2 FLOPs a parameter that it passes (Kaplan et al. 2020, §2.1). Both against the data sheet's peak.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from models.measurement import Measurement
from planner.checks.finding import Finding, Severity, Subject, seconds

IMPLAUSIBLE = 0.70
"""Serving engines reach up to about this share of peak FLOP/s on whole workloads; beyond it the figure is doubtful."""
ROUNDING = 0.98
FAR_SLOWER = 30.0
"""Beyond so many times the floor it is no engine any more,"""
SLOW_S = 0.1
"""unless the floor is next to nothing: small models on large GPUs take launches, not reads."""

_WHY_PREFILL = "fewer bits than stated, prompts answered from the prefix cache, or a wrong figure"
_WHY_DECODE = "fewer bits than stated, speculative decoding, or a wrong figure"


@dataclass(frozen=True, kw_only=True)
class Floors:
    """Least times by the data sheet, seconds, at 100 % of its peaks."""

    step_s: float
    prompt_token_s: float
    output_token_s: float
    source: str


def floors(subject: Subject) -> Floors | None:
    """The floors of a profile whose GPU and model are known."""
    gpu, shape = subject.gpu, subject.shape
    count = None if shape is None else shape.parameters
    weights = None if shape is None else shape.weight_bytes(subject.precision)
    if gpu is None or shape is None or count is None or weights is None:
        return None
    # Only the linear layers that one token passes; embeddings are looked up, not read.
    active = (weights - 2.0 * (count.embedding + count.head)) * count.active / count.linear + 2.0 * count.head
    peak = gpu.peak_flops(subject.precision) * subject.gpus
    return Floors(
        step_s=active / (gpu.bandwidth_bytes_per_s * subject.gpus),
        prompt_token_s=2.0 * count.active / peak,
        output_token_s=2.0 * (count.active + count.head) / peak,
        source=f"{subject.gpus} × {gpu.name}, {shape.name} at {subject.precision}",
    )


def findings(subject: Subject) -> Iterator[Finding]:
    """Everything that the data sheet forbids."""
    floor = floors(subject)
    for index, point in enumerate(subject.measurements):
        where = subject.where(index)
        if floor is not None:
            yield from _token_gap(where, point, floor)
            yield from _end_to_end(where, point, floor)
            yield from _first_token(where, point, floor)
            yield from _throughput(where, point, floor)
    if floor is not None:
        yield from _terms(subject, floor)


def _token_gap(where: str, point: Measurement, floor: Floors) -> Iterator[Finding]:
    gap = point.tpot_s
    if gap is not None and gap < ROUNDING * floor.step_s:
        yield Finding(
            severity=Severity.CONTRADICTION,
            code="faster-than-memory",
            where=where,
            what=(
                f"TPOT {seconds(gap)}, but reading the weights once takes {seconds(floor.step_s)} "
                f"at full memory bandwidth ({floor.source})"
            ),
            meaning=f"no step can be that short: {_WHY_DECODE}",
            remedy="check quantization and gpu; ITL over chunks of several tokens is not TPOT",
        )


def _end_to_end(where: str, point: Measurement, floor: Floors) -> Iterator[Finding]:
    if point.e2e is None:
        return
    least = point.decode_steps * floor.step_s
    below = [f"{name} {seconds(value)}" for name, value in point.e2e.items() if value < ROUNDING * least]
    if below:
        yield Finding(
            severity=Severity.CONTRADICTION,
            code="e2e-faster-than-memory",
            where=where,
            what=(
                f"e2e {' and '.join(below)}, but {point.decode_steps:g} decode steps read the weights each and take "
                f"{point.decode_steps:g} × {seconds(floor.step_s)} = {seconds(least)} at least ({floor.source})"
            ),
            meaning="that latency is not of whole answers: it may be of one token, one batch or the first token",
            remedy="drop it from the profile, or measure e2e again",
        )


def _first_token(where: str, point: Measurement, floor: Floors) -> Iterator[Finding]:
    """The least TTFT given against the prompt's arithmetic at peak."""
    if point.ttft is None:
        return
    least = point.input_tokens * floor.prompt_token_s
    name, value = min(point.ttft.items(), key=lambda item: item[1], default=("", float("inf")))
    share = least / value
    if share <= IMPLAUSIBLE:
        return
    impossible = share > 1.0 / ROUNDING
    yield Finding(
        severity=Severity.CONTRADICTION if impossible else Severity.WARNING,
        code="prefill-above-peak",
        where=where,
        what=(
            f"TTFT {name} {seconds(value)} for {point.input_tokens:g} prompt tokens, whose arithmetic takes "
            f"{seconds(least)} at the peak of the data sheet ({floor.source}): {share:.0%} of peak"
        ),
        meaning=f"{'impossible' if impossible else 'hardly possible'} with every prompt computed: {_WHY_PREFILL}",
        remedy="measure with distinct prompts and the prefix cache off, or state the prefix hit rate",
    )


def _throughput(where: str, point: Measurement, floor: Floors) -> Iterator[Finding]:
    """The arithmetic of all requests per second against peak."""
    rate = point.rate_per_s
    if rate is None:
        return
    share = rate * (point.input_tokens * floor.prompt_token_s + point.decode_steps * floor.output_token_s)
    if share <= IMPLAUSIBLE:
        return
    impossible = share > 1.0 / ROUNDING
    yield Finding(
        severity=Severity.CONTRADICTION if impossible else Severity.WARNING,
        code="throughput-above-peak",
        where=where,
        what=(
            f"{rate:.4g} requests/s of {point.input_tokens:g} + {point.output_tokens:g} tokens need {share:.0%} of the "
            f"peak FLOP/s of the data sheet ({floor.source}); engines reach 40–60 % on such work"
        ),
        meaning=f"{'impossible' if impossible else 'hardly possible'} with every prompt computed: {_WHY_PREFILL}; "
        "plans for prompts that are computed would buy too few GPUs",
        remedy="measure with distinct prompts and the prefix cache off before buying on this profile",
    )


def _terms(subject: Subject, floor: Floors) -> Iterator[Finding]:
    """The fitted step time itself against the floors."""
    if subject.step_time is None:
        return
    single = float(subject.step_time.seconds(0.0, 1.0, 0.0))
    if single < ROUNDING * floor.step_s:
        yield Finding(
            severity=Severity.WARNING,
            code="step-below-floor",
            where="stepTime",
            what=f"a step of one sequence takes {seconds(single)}; reading the weights takes {seconds(floor.step_s)}",
            meaning="at low load plans would promise shorter gaps between tokens than the GPU can give",
            remedy="measure with few users (1 to 4) and fit again",
        )
    if single > max(FAR_SLOWER * floor.step_s, SLOW_S):
        yield Finding(
            severity=Severity.WARNING,
            code="step-far-above-floor",
            where="stepTime",
            what=(
                f"a step of one sequence takes {seconds(single)}, {single / floor.step_s:,.0f} times what reading the "
                f"weights takes ({floor.source})"
            ),
            meaning="latencies in another unit (ms for s), or another GPU or model than named: plans buy far too much",
            remedy="check the units of the measurements, gpu, model and quantization",
        )
    prompt = float(subject.step_time.seconds(4096.0, 1.0, 0.0)) - single
    least = 4096.0 * floor.prompt_token_s
    if prompt < ROUNDING * least:
        yield Finding(
            severity=Severity.WARNING,
            code="prefill-term-below-floor",
            where="stepTime",
            what=f"4,096 prompt tokens add {seconds(prompt)}; their arithmetic takes {seconds(least)} at peak",
            meaning="for longer prompts than measured, plans would promise too short a TTFT and too much throughput",
            remedy="measure a long prompt (4,096 tokens and more) and fit again",
        )
