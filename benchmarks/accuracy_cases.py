"""Seeded random configurations on which predictions are scored against the step simulator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.random_draws import log_uniform
from models.engine import Engine, EngineLimits
from models.prediction import Routing
from models.simulation.replicas import simulate
from models.step_time import LinearStepTime
from models.token_lengths import TokenLengths
from models.workload import ClosedArrivals, OpenArrivals, Workload


@dataclass(frozen=True, kw_only=True)
class Case:
    """One configuration; `load` is the share of the *simulated* saturation rate that arrives."""

    number: int
    engine: Engine
    lengths: TokenLengths
    load: float
    burstiness: float
    replicas: int
    routing: Routing

    @property
    def label(self) -> str:
        """What it is, in one line."""
        limits, lengths = self.engine.limits, self.lengths
        laws = [(law.mean, law.scv**0.5) for law in (lengths.prompt, lengths.output)]
        kv = "ample" if limits.kv_cache_tokens is None else str(limits.kv_cache_tokens)
        return (
            f"P {laws[0][0]:.0f} cv {laws[0][1]:.1f}  L {laws[1][0]:.0f} cv {laws[1][1]:.1f}  load {self.load:.2f}  "
            f"scv {self.burstiness:.1f}  {self.replicas}x {self.routing.value}  seqs {limits.max_num_seqs}  "
            f"budget {limits.max_num_batched_tokens}  KV {kv}"
        )


def case(number: int, seed: int) -> Case:
    """The `number`-th configuration of a seed: every dimension drawn over the range that users have."""
    rng = np.random.default_rng([seed, number])
    prompt, output = log_uniform(rng, 64, 8000), log_uniform(rng, 16, 1000)
    prompt_cv, output_cv = (float(rng.choice([0.0, rng.uniform(0.1, 1.5)])) for _ in range(2))
    lengths = TokenLengths.of(prompt, output, prompt_cv=prompt_cv, output_cv=output_cv)
    max_num_seqs = round(log_uniform(rng, 16, 512))
    budget = max(round(log_uniform(rng, 512, 16384)), max_num_seqs)
    need = lengths.prompt.mean + 0.5 * lengths.output.mean * (1.0 + lengths.output.scv)
    short = max(rng.uniform(0.25, 0.9) * max_num_seqs * need, 1.5 * lengths.longest)
    kv_cache_tokens = round(short) if rng.random() < 0.4 else None
    step_time = LinearStepTime(
        base_s=log_uniform(rng, 4e-3, 2e-2),
        per_prefill_token_s=log_uniform(rng, 2e-5, 1.5e-4),
        per_decode_s=log_uniform(rng, 1e-5, 1e-4),
        per_kv_token_s=log_uniform(rng, 1e-8, 1e-7),
    )
    return Case(
        number=number,
        engine=Engine(
            step_time=step_time,
            limits=EngineLimits(
                max_num_seqs=max_num_seqs, max_num_batched_tokens=budget, kv_cache_tokens=kv_cache_tokens
            ),
        ),
        lengths=lengths,
        load=float(rng.uniform(0.1, 0.95)),
        burstiness=float(rng.choice([1.0, rng.uniform(1.0, 4.0)])),
        replicas=int(rng.integers(1, 9)),
        routing=list(Routing)[int(rng.integers(3))],
    )


def saturation_rate(case: Case, requests: int = 40_000) -> float:
    """Requests per second of one replica that always has more to do, by simulation."""
    users = 4 * case.engine.limits.max_num_seqs
    busy = Workload(arrivals=ClosedArrivals(users=users), lengths=case.lengths)
    return simulate(case.engine, busy, replicas=1, requests=max(requests, 40 * users), seed=7).prediction.requests_per_s


def workload(case: Case, saturation: float) -> Workload:
    """What arrives at all replicas together."""
    rate = case.load * saturation * case.replicas
    return Workload(arrivals=OpenArrivals(rate_per_s=rate, burstiness=case.burstiness), lengths=case.lengths)
