"""The mean step of an engine under a steady load, and what a request sees of it: fluid, no chance.

A request that finds the engine at work waits for half a step, spends its prefill steps and then `L−1` decode steps. In
a closed loop of `n` users the rate is `X = n / (ttft + (L−1)·tpot)` (Little 1961), so that the mean step carries
`X·t·P` prompt tokens, `X·t·(L−1)` decodes and the KV of those. That is what a benchmark's TPOT averages; it is linear
in the terms.
Not for latency percentiles: `models.continuous_batching` is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from models.engine import EngineLimits
from models.first_token_wait import NO_WAIT, FirstTokenWait
from models.measurement import Measurement
from models.step_terms import TermUncertainty
from models.step_time import StepTime

_ITERATIONS = 400
_LEAST_STEP_S = 1e-12


@dataclass(frozen=True, kw_only=True)
class MeanStep:
    """What the mean step carries, and how often a step carries any prompt tokens."""

    prompt_tokens: float
    decodes: float
    kv_tokens: float
    prefill_share: float
    """Share of steps with prompt tokens."""

    @classmethod
    def at(cls, rate_per_s: float, step_s: float, point: Measurement, limits: EngineLimits) -> MeanStep:
        """The mean step at a rate and a mean step time."""
        per_step = rate_per_s * step_s
        decodes = per_step * point.decode_steps
        return cls(
            prompt_tokens=per_step * point.input_tokens,
            decodes=decodes,
            kv_tokens=decodes * (point.prompt_tokens + 0.5 * point.output_tokens),
            prefill_share=-math.expm1(-per_step * prefill_steps(point, decodes, limits)),
        )

    def seconds(self, step_time: StepTime) -> float:
        """Mean duration: steps with prompt tokens and steps without, each at its own cost."""
        share = self.prefill_share
        if share <= 0.0:
            return float(step_time.seconds(0.0, self.decodes, self.kv_tokens))
        bare, loaded = step_time.seconds(
            [0.0, self.prompt_tokens / share], [self.decodes, self.decodes], [self.kv_tokens, self.kv_tokens]
        )
        return (1.0 - share) * float(bare) + share * float(loaded)


@dataclass(frozen=True, kw_only=True)
class SteadyPoint:
    """What the fluid gives at a load: seconds and requests per second."""

    ttft_s: float
    tpot_s: float
    requests_per_s: float


def busy_share(point: Measurement, per_step: float) -> float:
    """How likely a request finds others at work, so that it waits for the end of a step: half of one in the mean.

    All other users of a closed loop but for those between two answers; Poisson many of an open one (M/G/∞).
    """
    if point.concurrency is not None:
        return 1.0 - 1.0 / point.concurrency
    return -math.expm1(-per_step * point.output_tokens)


def prefill_steps(point: Measurement, decodes: float, limits: EngineLimits) -> float:
    """Steps that a prompt takes beside `decodes` sequences under the token budget."""
    room = max(1.0, limits.max_num_batched_tokens - decodes)
    return max(1.0, point.input_tokens / room)


def relative_deviation(
    uncertainty: TermUncertainty, step_time: StepTime, point: Measurement, at: SteadyPoint, limits: EngineLimits
) -> float:
    """Standard deviation of the mean step at a load over its duration, from the terms' uncertainty alone."""
    mean = MeanStep.at(at.requests_per_s, at.tpot_s, point, limits)
    return uncertainty.relative_to(step_time, mean.prompt_tokens, mean.decodes, mean.kv_tokens)


def steady_point(
    step_time: StepTime, point: Measurement, limits: EngineLimits, *, wait: FirstTokenWait = NO_WAIT
) -> SteadyPoint:
    """TTFT, TPOT and rate at the load and lengths of `point` (its measured latencies are not looked at).

    `wait` comes before the first token outside the engine's steps.
    Users beyond the running set's bound (sequences, KV memory) wait. An open load beyond capacity gives the capacity.
    """
    seats = _seats(point, limits)
    outside = wait.seconds(point)
    step = _LEAST_STEP_S + float(step_time.seconds(0.0, 1.0, 0.0))
    rate, prefill = 0.0, step
    for _ in range(_ITERATIONS):
        offered = _offered(point, seats, outside + 0.5 * busy_share(point, rate * step) * step, prefill, step)
        budget = limits.max_num_batched_tokens / (point.input_tokens + point.decode_steps) / step
        rate = min(offered, budget)
        mean = MeanStep.at(rate, step, point, limits)
        steps = prefill_steps(point, mean.decodes, limits)
        prefill = steps * float(step_time.seconds(point.input_tokens / steps, mean.decodes, mean.kv_tokens))
        following = max(_LEAST_STEP_S, 0.5 * (step + mean.seconds(step_time)))
        if math.isclose(following, step, rel_tol=1e-10):
            break
        step = following
    ttft = outside + 0.5 * busy_share(point, rate * step) * step + prefill
    if point.concurrency is not None:
        # Whoever does not run waits: Little's law over the whole loop.
        ttft = max(ttft, point.concurrency / rate - point.decode_steps * step)
    return SteadyPoint(ttft_s=ttft, tpot_s=step, requests_per_s=rate)


def _seats(point: Measurement, limits: EngineLimits) -> float:
    """Most sequences that run: the engine's bound, or what KV memory holds at half the output in the mean."""
    if limits.kv_cache_tokens is None:
        return float(limits.max_num_seqs)
    return min(float(limits.max_num_seqs), limits.kv_cache_tokens / (point.prompt_tokens + 0.5 * point.output_tokens))


def _offered(point: Measurement, seats: float, outside_s: float, prefill_s: float, step_s: float) -> float:
    """The rate that the load asks for and the running set admits."""
    inside = max(_LEAST_STEP_S, prefill_s + point.decode_steps * step_s)
    if point.concurrency is None:
        assert point.arrival_rate_per_s is not None
        return min(point.arrival_rate_per_s, seats / inside)
    return min(point.concurrency / (outside_s + inside), seats / inside)
