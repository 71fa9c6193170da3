"""Seeded random questions from which the networks of `models.learned` are learned.

Around the configurations of the accuracy benchmark (other seeds), and beyond them: other forms of the step time,
prefix hits, unchunked prefill, up to 64 replicas and 2,560 sequences, KV memory for hardly a request. Never scored:
docs/accuracy.md rests on other seeds.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.accuracy_cases import Case, case
from benchmarks.random_draws import log_uniform
from models.capacity import capacity
from models.discrepancy import CORRECTED, KNOTS
from models.engine import Engine, EngineLimits
from models.prediction import Routing
from models.simulation.replicas import simulate
from models.step_time import ExpertsStepTime, LinearStepTime, RooflineStepTime, SqrtStepTime, StepTime
from models.token_lengths import TokenLengths
from models.workload import ClosedArrivals, OpenArrivals, Workload

LAW_SEED, SHORT_MEMORY_SEED, WIDE_LAW_SEED = 1001, 1003, 1004
"""Of questions at large, of questions whose KV memory may be very short, of questions about large engines."""
CONTENTION_SEED, WIDE_CONTENTION_SEED, SCARCE_CONTENTION_SEED = 901, 902, 903
"""Of saturated engines, of large ones, and of those, large or not, whose KV memory may hold hardly a request."""
MOST_SEQS = 2560
FEWEST_HELD = 1.5
"""Mean requests that the shortest KV memory holds."""
_WIDE = (WIDE_LAW_SEED, WIDE_CONTENTION_SEED, SCARCE_CONTENTION_SEED)
_UNSPLIT, _UNSPLIT_WIDE = 0.15, 0.4
"""Shares of questions about engines that do not split prompts."""
TOO_LONG = 0.05
"""Share of prompts that may be longer than an engine that does not split them can take; beyond it nobody runs one."""
_GRAPH_SIZES = (1, 2, 4, *range(8, 257, 8))


@dataclass(frozen=True, kw_only=True)
class TrainingCase:
    """An open workload on replicas."""

    seed: int
    number: int
    engine: Engine
    workload: Workload
    load: float
    replicas: int
    routing: Routing

    @property
    def servable(self) -> bool:
        """Whether the engine can take nearly all prompts."""
        return self.engine.limits.chunked_prefill or _too_long(self.engine.limits, self.workload.lengths) <= TOO_LONG

    @property
    def requests(self) -> int:
        """Enough to see p99, and to forget an empty start near saturation; noise averages out over cases."""
        return int(12_000 + 1_500 * self.replicas + 150_000 * self.load**6)


def training_case(number: int, seed: int) -> TrainingCase:
    """The `number`-th case of a seed."""
    core = (contention_case(number, seed) if seed == SHORT_MEMORY_SEED else None) or _core(number, seed)
    rng = np.random.default_rng([seed, number, 99])
    step_time: StepTime = core.engine.step_time
    limits: EngineLimits = core.engine.limits
    if rng.random() < 0.25:
        assert isinstance(step_time, LinearStepTime)
        step_time = _other_form(step_time, rng)
    if rng.random() < (_UNSPLIT_WIDE if seed in _WIDE else _UNSPLIT):
        # What is not servable of the older seeds stays as it was once simulated, and is left out by whoever learns.
        limits = _unsplit(limits, core.lengths) if seed in _WIDE else replace(limits, chunked_prefill=False)
    hits = float(rng.uniform(0.05, 0.9)) if rng.random() < 0.15 else 0.0
    replicas = round(log_uniform(rng, 8, 64)) if rng.random() < (0.4 if seed in _WIDE else 0.1) else core.replicas
    engine = Engine(step_time=step_time, limits=limits)
    top = capacity(engine, core.lengths, hits).requests_per_s
    load = float(rng.uniform(0.05, 0.98))
    arrivals = OpenArrivals(rate_per_s=load * top * replicas, burstiness=core.burstiness)
    return TrainingCase(
        seed=seed,
        number=number,
        engine=engine,
        workload=Workload(arrivals=arrivals, lengths=core.lengths, prefix_hit_rate=hits),
        load=load,
        replicas=replicas,
        routing=core.routing,
    )


def _core(number: int, seed: int) -> Case:
    """A configuration of the benchmark; of the wide seeds, with as many sequences as the largest engines run."""
    core = case(number, seed)
    if seed not in _WIDE:
        return core
    limits = core.engine.limits
    rng = np.random.default_rng([seed, number, 97])
    seqs = round(log_uniform(rng, limits.max_num_seqs, MOST_SEQS))
    times = seqs / limits.max_num_seqs
    tokens = None if limits.kv_cache_tokens is None else round(times * limits.kv_cache_tokens)
    budget = max(limits.max_num_batched_tokens, seqs)
    limits = replace(limits, max_num_seqs=seqs, max_num_batched_tokens=budget, kv_cache_tokens=tokens)
    return replace(core, engine=replace(core.engine, limits=limits))


def _unsplit(limits: EngineLimits, lengths: TokenLengths) -> EngineLimits:
    """Without chunked prefill, unless many prompts would not fit a step."""
    return limits if _too_long(limits, lengths) > TOO_LONG else replace(limits, chunked_prefill=False)


def _too_long(limits: EngineLimits, lengths: TokenLengths) -> float:
    return float(lengths.prompt.weights[lengths.prompt.values > limits.max_num_batched_tokens].sum())


def _other_form(linear: LinearStepTime, rng: np.random.Generator) -> StepTime:
    form = rng.integers(3)
    if form == 0:
        return SqrtStepTime(linear=linear, per_sqrt_decode_s=log_uniform(rng, 1e-4, 2e-3))
    if form == 1:
        experts = int(rng.choice([8, 32, 64, 128, 256]))
        chosen = int(min(experts, rng.choice([1, 2, 4, 8])))
        return ExpertsStepTime(
            linear=replace(linear, base_s=0.5 * linear.base_s),
            experts=experts,
            experts_per_token=chosen,
            per_expert_s=linear.base_s / experts * log_uniform(rng, 0.3, 3.0),
        )
    return RooflineStepTime(
        overhead_s=0.3 * linear.base_s,
        weights_s=0.7 * linear.base_s,
        per_kv_token_s=linear.per_kv_token_s,
        per_token_compute_s=linear.per_prefill_token_s,
        graph_sizes=_GRAPH_SIZES if rng.random() < 0.5 else (),
    )


def _stream(number: int) -> int:
    """A seed for the simulator: another for each case, so that noise averages out over cases."""
    return 10_000 + number


def simulated_laws(number: int, seed: int = LAW_SEED) -> str | None:
    """A line of JSON: the rate, and what the simulator saw at the knots of every law.

    None where it did not settle, where short memory was asked for and there is none, and where prompts are too long.
    """
    if seed == SHORT_MEMORY_SEED and contention_case(number, seed) is None:
        return None
    each = training_case(number, seed)
    if not each.servable:
        return None
    seen = simulate(
        each.engine,
        each.workload,
        replicas=each.replicas,
        routing=each.routing,
        requests=each.requests,
        seed=_stream(number),
    ).prediction
    if not seen.stable or any(metric not in seen.laws for metric in CORRECTED):
        return None
    assert isinstance(each.workload.arrivals, OpenArrivals)
    line: dict[str, Any] = {"seed": seed, "number": number, "rate": each.workload.arrivals.rate_per_s}
    for metric in CORRECTED:
        line[metric] = [float(f"{seen.laws[metric].quantile(knot):.5g}") for knot in KNOTS]
    return json.dumps(line)


def contention_case(number: int, seed: int) -> Case | None:
    """A configuration whose KV memory may fill; in every second one much less of it. None where memory is ample."""
    core = _core(number, seed)
    if seed == SCARCE_CONTENTION_SEED:
        return _scarce(core, seed)
    limits = core.engine.limits
    if limits.kv_cache_tokens is None:
        return None
    rng = np.random.default_rng([seed, number, 98])
    if rng.random() < 0.5:
        share = log_uniform(rng, 0.06, 1.0)
        tokens = round(max(share * limits.kv_cache_tokens, 1.5 * core.lengths.longest))
        limits = replace(limits, kv_cache_tokens=tokens)
    if seed in _WIDE and rng.random() < _UNSPLIT_WIDE:
        limits = _unsplit(limits, core.lengths)
    return replace(core, engine=replace(core.engine, limits=limits))


def _scarce(core: Case, seed: int) -> Case:
    """The same with KV memory for as many mean requests as may run, or ever fewer, down to one and a half."""
    rng = np.random.default_rng([seed, core.number, 96])
    limits, lengths = core.engine.limits, core.lengths
    held = log_uniform(rng, FEWEST_HELD, limits.max_num_seqs)
    tokens = math.ceil(held * (lengths.prompt.mean + lengths.output.mean))
    limits = replace(limits, kv_cache_tokens=tokens)
    if rng.random() < _UNSPLIT:
        limits = _unsplit(limits, lengths)
    return replace(core, engine=replace(core.engine, limits=limits))


def simulated_contention(number: int, seed: int = CONTENTION_SEED) -> str | None:
    """A line of JSON: what a saturated engine does; None where KV memory is ample."""
    each = contention_case(number, seed)
    if each is None:
        return None
    users = 2 * each.engine.limits.max_num_seqs
    busy = Workload(arrivals=ClosedArrivals(users=users), lengths=each.lengths)
    found = simulate(each.engine, busy, replicas=1, requests=max(12_000, 12 * users), seed=_stream(number))
    seen = found.prediction
    return json.dumps(
        {
            "seed": seed,
            "number": number,
            "requests_per_s": seen.requests_per_s,
            "running": seen.running,
            "preemptions": seen.preemptions_per_request,
        }
    )
