"""Which loads to measure so that the fit of a step time is pinned: few, and each where it tells most.

TPOT of a load is linear in the step-time terms with what the mean step carries as the coefficients
(`models.mean_step`); TTFT adds the steps of the prompt itself. Before anything is measured, the prior's step time says
what the mean step of each load would carry, so the information of every load is known beforehand, in the same rows as
the fit's, and `models.optimal_design` chooses. The terms are scaled by their prior's standard deviations; there is a
column concave in the batch, so that the design can tell a curve from a straight line, and one for time outside the
engine.

A design always holds a quiet load (one user), a full one (as many users as run at a time), and open-loop loads at
medium and high utilisation: cohorts of a closed loop prefill together and under-measure the TTFT of open arrivals.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.engine import EngineLimits
from models.errors import InvalidInput
from models.mean_step import MeanStep, SteadyPoint, prefill_steps, steady_point
from models.measurement import Measurement
from models.optimal_design import Candidates, best_design, worthwhile_design
from models.step_prior import StepPrior
from models.step_time import LinearStepTime

Array = NDArray[np.float64]

TPOT_NOISE = 0.03
"""Relative error of a measured mean TPOT about the form (public curves: 2–4 %)."""
OPEN_TTFT_NOISE, CLOSED_TTFT_NOISE = 0.10, 0.20
"""Relative error of a measured mean TTFT about the fluid; cohorts of a closed loop prefill together."""
OVERHEAD_S = 0.03
"""Expected size of what is spent outside the engine before a first token."""
CONCAVE_BATCH = 64.0
"""Batch at which the square-root term is expected to be at most the base."""
MEDIUM, HIGH = (0.35, 0.5, 0.65), (0.75, 0.85)
"""Utilisations of open-loop candidates; one of each set is always measured at the workload's own lengths."""
LENGTH_FACTORS = (0.25, 1.0, 4.0)
"""Prompts and outputs of these multiples of the workload's lengths are candidates."""
LEAST_TOKENS = 16
WORTH = 0.15
"""A further point is worth measuring where it raises the geometric mean of the terms' precisions by this share."""
MOST_POINTS = 16


@dataclass(frozen=True, kw_only=True)
class Load:
    """A load that could be measured, and what the prior expects of it."""

    load: Measurement
    expected: SteadyPoint
    utilization: float
    """Expected share of the capacity at these lengths."""


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """Tokens of the workload, and the longest sequence that the engine takes."""

    input_tokens: int
    output_tokens: int
    longest: int

    def __post_init__(self) -> None:
        if self.input_tokens < 1 or self.output_tokens < 2:
            raise InvalidInput(
                f"prompts of {self.input_tokens} and outputs of {self.output_tokens} tokens tell no time of a token",
                remedy="give prompts of at least 1 and outputs of at least 2 tokens",
            )
        if self.input_tokens + self.output_tokens > self.longest:
            raise InvalidInput(
                f"{self.input_tokens} prompt and {self.output_tokens} output tokens are more than the "
                f"{self.longest} that the engine takes",
                remedy="shorten them, or state the engine's longest sequence",
            )

    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The workload's own pair first, then multiples of it that the engine takes."""
        own = (self.input_tokens, self.output_tokens)
        inputs = {max(LEAST_TOKENS, round(own[0] * factor)) for factor in LENGTH_FACTORS} | {own[0]}
        outputs = {max(LEAST_TOKENS, round(own[1] * factor)) for factor in LENGTH_FACTORS} | {own[1]}
        others = sorted((p, o) for p in inputs for o in outputs if p + o <= self.longest and (p, o) != own)
        return (own, *others)


def design_loads(
    prior: StepPrior, limits: EngineLimits, lengths: Lengths, *, worth: float = WORTH, most: int = MOST_POINTS
) -> tuple[Load, ...]:
    """The loads to measure, quietest first."""
    loads = tuple(_candidates(prior, limits, lengths))
    required = _required(loads, lengths)
    problem = Candidates(
        information=np.array([information(load, prior, limits) for load in loads]),
        prior=np.eye(len(_scales(prior))),
        required=required,
    )
    if most < len(required):
        raise InvalidInput(
            f"{most} points are too few: a quiet one, a full one and open-loop ones make {len(required)}",
            remedy=f"allow at least {len(required)}",
        )
    design = worthwhile_design(problem, least=len(required), most=most, gain=worth)
    return tuple(sorted((loads[index] for index in design.chosen), key=_order))


def next_load(measured: Sequence[Measurement], prior: StepPrior, limits: EngineLimits, lengths: Lengths) -> Load:
    """The one load whose measurement beside those made would tell the most of the terms."""
    loads = tuple(_candidates(prior, limits, lengths))
    known = np.eye(len(_scales(prior)))
    for point in measured:
        known += information(expected_load(point, prior, limits), prior, limits)
    problem = Candidates(information=np.array([information(load, prior, limits) for load in loads]), prior=known)
    return loads[best_design(problem, 1).chosen[0]]


def expected_load(load: Measurement, prior: StepPrior, limits: EngineLimits) -> Load:
    """A stated load with what the prior expects of it."""
    step = step_time_of(prior)
    expected = steady_point(step, load, limits)
    capacity = _capacity(step, limits, int(load.input_tokens), int(load.output_tokens))
    offered = expected.requests_per_s if load.arrival_rate_per_s is None else load.arrival_rate_per_s
    return Load(load=load, expected=expected, utilization=offered / capacity)


def information(load: Load, prior: StepPrior, limits: EngineLimits) -> Array:
    """What measuring a load adds: the outer products of its rows of TPOT and TTFT, over their noise."""
    scales = _scales(prior)
    point, tpot = load.load, load.expected.tpot_s
    mean = MeanStep.at(load.expected.requests_per_s, tpot, point, limits)
    gap = np.array([1.0, mean.prompt_tokens, mean.decodes, mean.kv_tokens, np.sqrt(mean.decodes), 0.0])
    steps = prefill_steps(point, mean.decodes, limits)
    prompt = [steps, point.input_tokens, steps * mean.decodes, steps * mean.kv_tokens, steps * np.sqrt(mean.decodes)]
    first = 0.5 * gap + np.array([*prompt, 1.0])
    noise = OPEN_TTFT_NOISE if point.concurrency is None else CLOSED_TTFT_NOISE
    rows = np.array([gap / (tpot * TPOT_NOISE), first / (load.expected.ttft_s * noise)]) * scales
    return np.asarray(rows.T @ rows, dtype=float)


def step_time_of(prior: StepPrior) -> LinearStepTime:
    """The straight line that the prior expects."""
    return LinearStepTime(
        base_s=prior.base_s,
        per_prefill_token_s=prior.per_prefill_token_s,
        per_decode_s=prior.per_decode_s,
        per_kv_token_s=prior.per_kv_token_s,
    )


def _scales(prior: StepPrior) -> Array:
    """One standard deviation of each term before measuring."""
    expected = np.array([prior.base_s, prior.per_prefill_token_s, prior.per_decode_s, prior.per_kv_token_s])
    return np.array([*(prior.spread * expected), prior.base_s / np.sqrt(CONCAVE_BATCH), OVERHEAD_S])


def _candidates(prior: StepPrior, limits: EngineLimits, lengths: Lengths) -> Iterator[Load]:
    step = step_time_of(prior)
    for prompt, output in lengths.pairs():
        seats = _seats(limits, prompt, output)
        users = [2**power for power in range(seats.bit_length()) if 2**power < seats]
        capacity = _capacity(step, limits, prompt, output)
        for count in (*users, seats):
            load = Measurement(concurrency=count, input_tokens=prompt, output_tokens=output)
            expected = steady_point(step, load, limits)
            yield Load(load=load, expected=expected, utilization=expected.requests_per_s / capacity)
        for share in (*MEDIUM, *HIGH):
            rate = _two_digits(share * capacity)
            load = Measurement(arrival_rate_per_s=rate, input_tokens=prompt, output_tokens=output)
            yield Load(load=load, expected=steady_point(step, load, limits), utilization=rate / capacity)


def _required(loads: Sequence[Load], lengths: Lengths) -> tuple[frozenset[int], ...]:
    """Quiet, full, medium and high: each a set of candidates of the workload's own lengths."""
    own = (float(lengths.input_tokens), float(lengths.output_tokens))
    mine = [index for index, load in enumerate(loads) if _pair(load) == own]
    closed = [index for index in mine if loads[index].load.concurrency is not None]
    opened = [index for index in mine if index not in closed]
    middle = len(MEDIUM)
    sets = [closed[:1], closed[-1:], opened[:middle], opened[middle:]]
    return tuple(dict.fromkeys(map(frozenset, sets)))  # an engine of one sequence is quiet and full at once


def _pair(load: Load) -> tuple[float, float]:
    return load.load.input_tokens, load.load.output_tokens


def _order(load: Load) -> tuple[bool, float, float, float]:
    return load.load.concurrency is None, load.utilization, *_pair(load)


def _seats(limits: EngineLimits, prompt: int, output: int) -> int:
    """Most sequences that run at a time at these lengths, all of them at full length."""
    if limits.kv_cache_tokens is None:
        return limits.max_num_seqs
    held = -(-(prompt + output) // limits.kv_block_size) * limits.kv_block_size
    return max(1, min(limits.max_num_seqs, limits.kv_cache_tokens // held))


def _capacity(step: LinearStepTime, limits: EngineLimits, prompt: int, output: int) -> float:
    """Requests per second with every seat taken."""
    full = Measurement(concurrency=_seats(limits, prompt, output), input_tokens=prompt, output_tokens=output)
    return steady_point(step, full, limits).requests_per_s


def _two_digits(rate: float) -> float:
    return float(f"{rate:.2g}")
