"""The highest rate that one replica carries, and which limit stops it.

At saturation every step is the same in the mean. Let `x` be requests that pass through a step: it then carries
`x·E[P]` prompt tokens and `x·E[L−1]` decodes, and the rate is `x / t(x)`. `x` grows until the token budget, the
running-set limit or KV memory is full: the fluid limit of the scheduler (operational laws; Denning & Buzen 1978, §3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.engine import Engine
from models.kv_contention import NONE, contention_inputs, kv_contention
from models.prediction import Bottleneck, Capacity
from models.prompt_blocking import admissions_per_step
from models.prompt_packing import packed_prompts
from models.token_lengths import TokenLengths

Array = NDArray[np.float64]

_PACKING_ROUNDS = 3


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
    fluid = FluidLimit.of(engine, lengths, prefix_hit_rate)
    demand = fluid.demand
    free = free_rate(engine, demand, fluid.x)
    contention = NONE if fluid.fullness <= 0.0 else kv_contention(fluid.contention_inputs(), fluid.fullness)
    compute_bound = free_rate(engine, demand, 2.0 * fluid.x) < 1.1 * free
    held = fluid.held * contention.running
    return Capacity(
        requests_per_s=free * contention.throughput,
        bottleneck=Bottleneck.COMPUTE if compute_bound else fluid.binding,
        running=fluid.x * demand.decode_steps * min(1.0, contention.running),
        seats=min(fluid.seats, held),
        memory_bound=held < fluid.seats,
        preemptions_per_request=contention.preemptions,
        packing=fluid.packing,
        waste=1.0 / contention.throughput,
        familiarity=contention.familiarity,
    )


@dataclass(frozen=True, kw_only=True)
class FluidLimit:
    """An engine that is always full, every step the mean step, and memory shared without waste."""

    engine: Engine
    lengths: TokenLengths
    demand: Demand
    binding: Bottleneck
    x: float
    """Requests that pass through a step."""
    seats: float
    """Decoding sequences that the sequence limit allows."""
    packing: float
    """Share of a step's room that prompts fill while more wait: 1 where they may be split."""
    held: float
    """Sequences that KV memory holds on average; infinite where it is ample."""
    fullness: float
    """Share of KV memory that the other limits would let the engine use; 0 where it is ample."""

    @classmethod
    def of(cls, engine: Engine, lengths: TokenLengths, prefix_hit_rate: float = 0.0) -> FluidLimit:
        limits = engine.limits
        demand = Demand.of(lengths, prefix_hit_rate, limits.kv_block_size)
        memory = limits.kv_blocks * limits.kv_block_size
        packing = 1.0 if limits.chunked_prefill else _packing(engine, lengths, prefix_hit_rate, demand)
        filled = packing * limits.max_num_batched_tokens
        seats = limits.max_num_seqs
        if not limits.chunked_prefill:
            # A prompt waits until the decodes leave it room.
            seats = max(1, min(seats, int(limits.max_num_batched_tokens - demand.prompt_tokens)))
        per_step = {
            Bottleneck.TOKEN_BUDGET: filled / (demand.prompt_tokens + packing * demand.decode_steps),
            Bottleneck.MAX_NUM_SEQS: _sequence_bound(seats, limits.max_num_batched_tokens, demand),
            Bottleneck.KV_CACHE: memory / demand.kv_token_steps,
        }
        if not limits.chunked_prefill:
            per_step[Bottleneck.WHOLE_PROMPTS] = _blocked(engine, lengths, prefix_hit_rate, demand, packing)
        binding = min(per_step, key=lambda limit: per_step[limit])
        unbound = min(x for limit, x in per_step.items() if limit is not Bottleneck.KV_CACHE)
        prefill_steps = max(1.0, demand.prompt_tokens / limits.max_num_batched_tokens)
        steps = max(demand.decode_steps, 1e-9)
        return cls(
            engine=engine,
            lengths=lengths,
            demand=demand,
            binding=binding,
            x=per_step[binding],
            seats=seats * steps / (steps + prefill_steps),
            packing=packing,
            held=per_step[Bottleneck.KV_CACHE] * (demand.decode_steps + 1.0),
            fullness=0.0 if math.isinf(memory) else unbound / per_step[Bottleneck.KV_CACHE],
        )

    def contention_inputs(self) -> Array:
        """What the cost of short KV memory depends on."""
        limits, demand = self.engine.limits, self.demand
        decodes = self.x * demand.decode_steps
        bare, with_prompt = self.engine.step_time.seconds(
            np.array([0.0, demand.prompt_tokens]), decodes, decodes * demand.context
        )
        return contention_inputs(
            self.lengths,
            held=self.held,
            max_num_seqs=limits.max_num_seqs,
            budget=limits.max_num_batched_tokens,
            memory_tokens=limits.kv_blocks * limits.kv_block_size,
            kv_block_size=limits.kv_block_size,
            prompt_steps=float(with_prompt / bare) - 1.0,
            fullness=self.fullness,
            chunked_prefill=limits.chunked_prefill,
        )


def _packing(engine: Engine, lengths: TokenLengths, prefix_hit_rate: float, demand: Demand) -> float:
    """The share of the room that unsplit prompts fill, at the room that a full engine's decodes leave (fixed point)."""
    prompt = lengths.computed_prompt(prefix_hit_rate)
    packing = 1.0
    for _ in range(_PACKING_ROUNDS):
        room = _room_when_full(engine, demand, packing)
        packing = min(1.0, packed_prompts(prompt, room) * demand.prompt_tokens / room)
    return packing


def _room_when_full(engine: Engine, demand: Demand, packing: float) -> float:
    """Tokens of a step that the decodes of a full engine leave to prompts."""
    budget = float(engine.limits.max_num_batched_tokens)
    x = packing * budget / (demand.prompt_tokens + packing * demand.decode_steps)
    return max(budget - x * demand.decode_steps, demand.prompt_tokens)


def _blocked(engine: Engine, lengths: TokenLengths, prefix_hit_rate: float, demand: Demand, packing: float) -> float:
    """Requests per step when long prompts wait for decodes to end."""
    return admissions_per_step(
        lengths.computed_prompt(prefix_hit_rate),
        lengths.output,
        seats=engine.limits.max_num_seqs,
        budget=engine.limits.max_num_batched_tokens,
        fill=packing * _room_when_full(engine, demand, packing) / demand.prompt_tokens,
    )


def free_rate(engine: Engine, demand: Demand, x: float) -> float:
    """Requests per second with `x` requests passing through each step in the mean.

    Their prompts are in a share of the steps, 1 − exp(−x · steps of a prompt), or in as many as the budget needs.
    """
    decodes = x * demand.decode_steps
    room = max(1.0, engine.limits.max_num_batched_tokens - decodes)
    tokens = x * demand.prompt_tokens
    loaded = -math.expm1(-x * max(1.0, demand.prompt_tokens / room))
    loaded = max(min(1.0, tokens / room), loaded, 1e-300)
    bare, full = engine.step_time.seconds(np.array([0.0, tokens / loaded]), decodes, decodes * demand.context)
    return x / float((1.0 - loaded) * bare + loaded * full)


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
