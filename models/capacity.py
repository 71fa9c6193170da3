"""The highest rate that one replica carries, and which limit stops it.

At saturation every step is the same in the mean. Let `x` be requests that pass through a step: it then carries
`x·E[P]` prompt tokens and `x·E[L−1]` decodes, and the rate is `x / t(x)`. `x` grows until the token budget, the
running-set limit or KV memory is full: the fluid limit of the scheduler (operational laws; Denning & Buzen 1978, §3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from models.engine import Engine
from models.prediction import Bottleneck, Capacity
from models.token_lengths import TokenLengths


@dataclass(frozen=True, kw_only=True)
class Demand:
    """Mean work of one request, in the units of a step."""

    prompt_tokens: float
    """Prompt tokens that need computing (cached ones cost nothing)."""
    decode_steps: float
    """Output tokens after the first."""
    context: float
    """KV tokens that a decode step reads, averaged over decode steps."""
    kv_token_steps: float
    """KV tokens held times steps held, whole blocks counted."""

    @classmethod
    def of(cls, lengths: TokenLengths, prefix_hit_rate: float, block_size: int) -> Demand:
        decode_steps = lengths.output.mean - 1.0
        square = lengths.output.second_moment
        # A decode reads the prompt and what was generated before it: sum over j = 1 … L−1 of (P + j).
        read = (lengths.mean_product - lengths.prompt.mean) + 0.5 * (square - lengths.output.mean)
        context = read / decode_steps if decode_steps > 0.0 else lengths.prompt.mean
        rounding = 0.5 * (block_size - 1)
        held = read + lengths.prompt.mean + rounding * (decode_steps + 1.0)
        return cls(
            prompt_tokens=lengths.prompt.mean * (1.0 - prefix_hit_rate),
            decode_steps=decode_steps,
            context=context,
            kv_token_steps=held,
        )


def capacity(engine: Engine, lengths: TokenLengths, prefix_hit_rate: float = 0.0) -> Capacity:
    """The saturation rate of one replica (requests/s), its bottleneck and the mean running set there.

    `COMPUTE` is named where twice the binding limit would buy less than a tenth more: the limit is full, but it is
    the work that takes the time.
    """
    limits = engine.limits
    demand = Demand.of(lengths, prefix_hit_rate, limits.kv_block_size)
    memory = usable_kv_tokens(engine, lengths)
    per_step = {
        Bottleneck.TOKEN_BUDGET: limits.max_num_batched_tokens / (demand.prompt_tokens + demand.decode_steps),
        Bottleneck.MAX_NUM_SEQS: _sequence_bound(limits.max_num_seqs, limits.max_num_batched_tokens, demand),
        Bottleneck.KV_CACHE: memory / demand.kv_token_steps,
    }
    binding = min(per_step, key=lambda limit: per_step[limit])
    x = per_step[binding]
    wasted = 0.0
    if math.isfinite(memory):
        fullness = min(1.0, x / per_step[Bottleneck.KV_CACHE]) ** 8
        wasted = fullness * recomputed_tokens(lengths, x * demand.decode_steps)
    rate = _rate(engine, demand, x, wasted)
    doubled = _rate(engine, demand, 2.0 * x, wasted)
    bottleneck = Bottleneck.COMPUTE if doubled < 1.1 * rate else binding
    return Capacity(requests_per_s=rate, bottleneck=bottleneck, running=x * demand.decode_steps)


def usable_kv_tokens(engine: Engine, lengths: TokenLengths) -> float:
    """KV tokens that a busy engine keeps in use: while the head of the queue does not fit, half of its prompt idles."""
    limits = engine.limits
    total = limits.kv_blocks * limits.kv_block_size
    if not math.isfinite(total):
        return math.inf
    head = lengths.prompt.second_moment / lengths.prompt.mean
    return max(total - 0.5 * head, 0.5 * total)


def preemptions_when_full(lengths: TokenLengths, running: float) -> float:
    """Preemptions per request of an engine that always runs out of KV memory.

    A completion frees prompt and output and admits the next prompt; what is left lets the running set grow until the
    next completion. Outputs that are long against prompts outgrow it, and the youngest is preempted. The exponents
    are measured with the step simulator over random engines at saturation (docs/mathematics.md).
    """
    return float(1.9 * (lengths.output.mean / lengths.prompt.mean) ** 0.8 * max(running, 1.0) ** -0.2)


def recomputed_tokens(lengths: TokenLengths, running: float) -> float:
    """Prompt tokens computed again per request when KV memory is always full: the prompt and what little had grown."""
    return preemptions_when_full(lengths, running) * 1.3 * lengths.prompt.mean


def _rate(engine: Engine, demand: Demand, x: float, wasted: float = 0.0) -> float:
    decodes = x * demand.decode_steps
    return x / float(engine.step_time.seconds(x * (demand.prompt_tokens + wasted), decodes, decodes * demand.context))


def _sequence_bound(max_num_seqs: int, budget: int, demand: Demand) -> float:
    """Requests per step when the running set is full: a sequence stays for its prefill steps and its decodes."""
    x = max_num_seqs / (1.0 + demand.decode_steps)
    for _ in range(30):
        room = max(1.0, budget - x * demand.decode_steps)
        prefill_steps = max(1.0, demand.prompt_tokens / room)
        following = max_num_seqs / (prefill_steps + demand.decode_steps)
        if math.isclose(following, x, rel_tol=1e-9):
            break
        x = following
    return x
