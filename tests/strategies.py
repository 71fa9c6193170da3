"""Hypothesis strategies: engines, workloads and loads over the range that users have."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st

from models.capacity import capacity
from models.engine import Engine, EngineLimits
from models.prediction import Routing
from models.step_time import ExpertsStepTime, LinearStepTime, RooflineStepTime, SqrtStepTime, StepTime
from models.token_lengths import TokenLengths
from models.workload import OpenArrivals, Workload


@dataclass(frozen=True, kw_only=True)
class Question:
    """What `predict` and `simulate` are asked; `load` is the share of capacity that arrives at each replica."""

    engine: Engine
    lengths: TokenLengths
    load: float
    burstiness: float
    replicas: int
    routing: Routing

    @property
    def rate_per_s(self) -> float:
        """What arrives at all replicas together."""
        return self.load * self.replicas * capacity(self.engine, self.lengths).requests_per_s

    def workload(self, *, times: float = 1.0) -> Workload:
        """The workload, with the rate scaled."""
        arrivals = OpenArrivals(rate_per_s=times * self.rate_per_s, burstiness=self.burstiness)
        return Workload(arrivals=arrivals, lengths=self.lengths)


linear_step_times = st.builds(
    LinearStepTime,
    base_s=st.floats(4e-3, 2e-2),
    per_prefill_token_s=st.floats(2e-5, 1.5e-4),
    per_decode_s=st.floats(1e-5, 1e-4),
    per_kv_token_s=st.floats(1e-8, 1e-7),
)

step_times = st.one_of(
    linear_step_times,
    st.builds(SqrtStepTime, linear=linear_step_times, per_sqrt_decode_s=st.floats(1e-4, 2e-3)),
    st.builds(
        ExpertsStepTime,
        linear=linear_step_times,
        experts=st.sampled_from([8, 64, 256]),
        experts_per_token=st.integers(1, 8),
        per_expert_s=st.floats(1e-5, 2e-4),
    ),
    st.builds(
        RooflineStepTime,
        overhead_s=st.floats(1e-3, 6e-3),
        weights_s=st.floats(3e-3, 1.5e-2),
        per_kv_token_s=st.floats(1e-8, 1e-7),
        per_token_compute_s=st.floats(2e-5, 1.5e-4),
        graph_sizes=st.sampled_from([(), (1, 2, 4, 8, 16, 32, 64, 128, 256)]),
    ),
)

coefficients_of_variation = st.one_of(st.just(0.0), st.floats(0.1, 1.5))


@st.composite
def engines(draw: st.DrawFn, steps: st.SearchStrategy[StepTime] = step_times) -> Engine:
    """An engine whose token budget holds at least every decode."""
    seqs = draw(st.one_of(st.integers(16, 512), st.integers(512, 2048)))
    budget = max(seqs, draw(st.integers(512, 16384)))
    limits = EngineLimits(max_num_seqs=seqs, max_num_batched_tokens=budget)
    return Engine(step_time=draw(steps), limits=limits)


@st.composite
def token_lengths(draw: st.DrawFn) -> TokenLengths:
    """Chat to summaries: independent prompt and output lengths, fixed or lognormal."""
    return TokenLengths.of(
        draw(st.integers(64, 8000)),
        draw(st.integers(16, 1000)),
        prompt_cv=draw(coefficients_of_variation),
        output_cv=draw(coefficients_of_variation),
    )


@st.composite
def questions(
    draw: st.DrawFn,
    *,
    routings: tuple[Routing, ...] = tuple(Routing),
    steps: st.SearchStrategy[StepTime] = step_times,
) -> Question:
    """A whole question with an open, stable load.

    KV memory is ample, or too short for the running set; chunked prefill is off for some whose prompts fit a step.
    """
    engine, lengths = draw(engines(steps)), draw(token_lengths())
    if lengths.prompt.values[-1] <= engine.limits.max_num_batched_tokens and draw(st.integers(0, 3)) == 0:
        engine = replace(engine, limits=replace(engine.limits, chunked_prefill=False))
    if draw(st.booleans()):
        seats = max(2.0, draw(st.floats(0.25, 0.9)) * engine.limits.max_num_seqs)
        mean_need = lengths.prompt.mean + 0.5 * lengths.output.mean * (1.0 + lengths.output.scv)
        memory = round(max(seats * mean_need, 1.5 * lengths.longest))
        engine = replace(engine, limits=replace(engine.limits, kv_cache_tokens=memory))
    return Question(
        engine=engine,
        lengths=lengths,
        load=draw(st.floats(0.1, 0.9)),
        burstiness=draw(st.one_of(st.just(1.0), st.floats(1.0, 4.0))),
        replicas=draw(st.one_of(st.integers(1, 8), st.integers(9, 64))),
        routing=draw(st.sampled_from(routings)),
    )
