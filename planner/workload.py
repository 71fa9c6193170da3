"""From command-line options to a workload, with what was assumed on the way."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidInput
from models.token_lengths import MAX_TOKENS, TokenLengths
from models.workload import MAX_BURSTINESS, MAX_RATE_PER_S, MAX_USERS, ClosedArrivals, OpenArrivals, Workload
from planner.trace import read_trace
from planner.units import format_number, format_seconds

DEFAULT_TRACE_WINDOW_S = 300.0
FEW_REQUESTS = 1000
"""Of a trace: its p99 rests on ten of them."""


@dataclass(frozen=True, kw_only=True)
class WorkloadOptions:
    """What a user says of the load; None is not said."""

    qps: float | None = None
    concurrency: int | None = None
    think_time_s: float = 0.0
    trace: Path | None = None
    trace_window_s: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    input_cv: float = 0.0
    output_cv: float = 0.0
    burstiness: float | None = None
    prefix_hit_rate: float = 0.0
    needs_rate: bool = True


@dataclass(frozen=True, kw_only=True)
class StatedWorkload:
    """A workload and, in words, what was assumed."""

    workload: Workload
    assumptions: tuple[str, ...] = field(default=())


def build_workload(options: WorkloadOptions) -> StatedWorkload:
    """The workload that the options describe. Raises InvalidInput naming the option that is wrong or missing."""
    _check(options)
    notes: list[str] = []
    if options.trace is not None:
        lengths, rate, burstiness = _from_trace(options, notes)
    else:
        assert options.input_tokens is not None
        assert options.output_tokens is not None
        lengths = TokenLengths.of(
            options.input_tokens,
            options.output_tokens,
            prompt_cv=options.input_cv,
            output_cv=options.output_cv,
        )
        rate, burstiness = options.qps, options.burstiness
        if _rounded(options.input_tokens, lengths.prompt.mean) or _rounded(options.output_tokens, lengths.output.mean):
            notes.append(
                f"tokens are whole: {format_number(lengths.prompt.mean)} in and {format_number(lengths.output.mean)} "
                "out are what is meant"
            )
        if options.output_cv == 0.0:
            notes.append("every answer has the same length (--output-cv 0); real chat traffic is nearer 1")
    if options.concurrency is not None:
        arrivals: OpenArrivals | ClosedArrivals = ClosedArrivals(
            users=options.concurrency, think_time_s=options.think_time_s
        )
    else:
        if burstiness is None:
            notes.append("arrivals are Poisson (--burstiness 1)")
        arrivals = OpenArrivals(
            rate_per_s=1.0 if rate is None else rate, burstiness=1.0 if burstiness is None else burstiness
        )
    return StatedWorkload(
        workload=Workload(arrivals=arrivals, lengths=lengths, prefix_hit_rate=options.prefix_hit_rate),
        assumptions=tuple(notes),
    )


def _rounded(asked: float, taken: float) -> bool:
    return abs(taken - asked) > 0.01 * asked


def _check(options: WorkloadOptions) -> None:
    _require_ranges(options)
    _require_one_load(options)
    if options.trace is not None:
        _require_no_lengths(options)
        return
    if options.needs_rate and options.qps is None and options.concurrency is None:
        raise InvalidInput("no load is given", remedy="add --qps RATE, --concurrency USERS or --trace FILE")
    lengths = (("--input-tokens", options.input_tokens), ("--output-tokens", options.output_tokens))
    missing = [name for name, value in lengths if value is None]
    if missing:
        raise InvalidInput(f"{' and '.join(missing)} missing", remedy="say how long prompts and answers are, in tokens")


def _require_ranges(options: WorkloadOptions) -> None:
    for name, value, low, high in (
        ("--qps", options.qps, 1e-9, MAX_RATE_PER_S),
        ("--concurrency", options.concurrency, 1, MAX_USERS),
        ("--think-time", options.think_time_s, 0.0, 1e7),
        ("--trace-window", options.trace_window_s, 1e-3, 1e9),
        ("--input-tokens", options.input_tokens, 1.0, MAX_TOKENS),
        ("--output-tokens", options.output_tokens, 1.0, MAX_TOKENS),
        ("--input-cv", options.input_cv, 0.0, 20.0),
        ("--output-cv", options.output_cv, 0.0, 20.0),
        ("--burstiness", options.burstiness, 0.0, MAX_BURSTINESS),
        ("--prefix-hit-rate", options.prefix_hit_rate, 0.0, 0.999999),
    ):
        if value is not None and not (math.isfinite(value) and low <= value <= high):
            raise InvalidInput(
                f"{name} {value:g} is out of range", remedy=f"give a number from {low:,.12g} to {high:,.12g}"
            )


def _require_one_load(options: WorkloadOptions) -> None:
    """Refuse two loads, and options that would be idle beside the one."""
    if options.qps is not None and options.concurrency is not None:
        raise InvalidInput("--qps and --concurrency exclude each other", remedy="keep one of them")
    if options.concurrency is None and options.think_time_s > 0.0:
        raise InvalidInput("--think-time belongs to --concurrency", remedy="add --concurrency N or drop --think-time")
    if options.concurrency is not None and options.burstiness is not None:
        raise InvalidInput("--burstiness belongs to --qps or --trace", remedy="drop it: users wait for their answers")
    rated = options.trace is None or options.qps is not None or options.concurrency is not None
    if options.trace_window_s is not None and rated:
        raise InvalidInput(
            "--trace-window belongs to a --trace that gives the rate",
            remedy="drop it, or give --trace without --qps and --concurrency",
        )


def _require_no_lengths(options: WorkloadOptions) -> None:
    stated = (
        ("--input-tokens", options.input_tokens),
        ("--output-tokens", options.output_tokens),
        ("--input-cv", options.input_cv),
        ("--output-cv", options.output_cv),
    )
    given = [name for name, value in stated if value]
    if given:
        raise InvalidInput(
            f"{' and '.join(given)} and --trace exclude each other",
            remedy=f"drop {', '.join(given)}: the trace has lengths",
        )


def _from_trace(options: WorkloadOptions, notes: list[str]) -> tuple[TokenLengths, float | None, float | None]:
    assert options.trace is not None
    rows: NDArray[np.float64] = np.fromiter(read_trace(options.trace), dtype=np.dtype((float, 3)))
    if rows.shape[0] < 2:
        raise InvalidInput(f"trace {options.trace} has fewer than two requests", remedy="use a longer trace")
    arrival = np.sort(rows[:, 0])
    lengths = TokenLengths.from_table(rows[:, 1], rows[:, 2])
    notes.append(
        f"lengths are those of the {arrival.size:,} requests of {options.trace.name}: mean "
        f"{format_number(lengths.prompt.mean)} in, {format_number(lengths.output.mean)} out"
        + ("; so few that their tail is uncertain" if arrival.size < FEW_REQUESTS else "")
    )
    if options.qps is not None or options.concurrency is not None:
        return lengths, options.qps, options.burstiness
    window = min(options.trace_window_s or DEFAULT_TRACE_WINDOW_S, float(arrival[-1] - arrival[0]))
    if window <= 0.0:
        raise InvalidInput(
            f"all requests of trace {options.trace} arrive at one moment", remedy="give the rate with --qps"
        )
    # The busiest window starts at an arrival.
    counts = np.searchsorted(arrival, arrival + window, side="right") - np.arange(arrival.size)
    busiest = int(np.argmax(counts))
    rate = float(counts[busiest]) / window
    gaps = np.diff(arrival[busiest : busiest + int(counts[busiest])])
    burstiness = options.burstiness
    if burstiness is None:
        burstiness = 1.0
        if gaps.size > 20 and float(gaps.mean()) > 0.0:
            burstiness = round(min(100.0, float(gaps.var()) / float(gaps.mean()) ** 2), 3)
    notes.append(
        f"rate {format_number(rate)} per second and burstiness {format_number(burstiness)} of the busiest "
        f"{format_seconds(window)} of the trace"
    )
    return lengths, rate, burstiness
