"""A continuous-batching engine: its step time and the limits of what one step may hold."""

from __future__ import annotations

import math
from dataclasses import dataclass

from models.errors import InvalidInput
from models.step_time import StepTime


@dataclass(frozen=True, kw_only=True)
class EngineLimits:
    """What bounds the running set. Defaults are vLLM V1's for online serving."""

    max_num_seqs: int = 256
    """Most sequences that run at a time."""
    max_num_batched_tokens: int = 2048
    """Token budget of a step: decodes take one each, prompts share the rest."""
    kv_cache_tokens: int | None = None
    """Tokens of KV memory; None where it is ample for any running set that the other limits allow."""
    kv_block_size: int = 16
    """Tokens in a block: KV memory is taken block by block."""
    chunked_prefill: bool = True
    """Whether a prompt may be spread over several steps."""

    def __post_init__(self) -> None:
        for name, value, top in (
            ("max_num_seqs", self.max_num_seqs, 1_000_000),
            ("max_num_batched_tokens", self.max_num_batched_tokens, 100_000_000),
            ("kv_block_size", self.kv_block_size, 1_000_000),
            ("kv_cache_tokens", self.kv_cache_tokens, 1_000_000_000_000),
        ):
            if value is not None and not (1 <= value <= top):
                raise InvalidInput(f"{name} must lie between 1 and {top}, got {value}")

    @property
    def kv_blocks(self) -> float:
        """Whole blocks of KV memory; infinite where memory is ample."""
        return math.inf if self.kv_cache_tokens is None else float(self.kv_cache_tokens // self.kv_block_size)


@dataclass(frozen=True, kw_only=True)
class Engine:
    """One replica's engine."""

    step_time: StepTime
    limits: EngineLimits
    overhead_s: float = 0.0
    """Before a first token, outside the steps: HTTP, tokenising, hand-over. It keeps no sequence's place."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.overhead_s) and 0.0 <= self.overhead_s <= 1e4):
            raise InvalidInput(f"the overhead of an engine must lie between 0 and 1e4 seconds, got {self.overhead_s}")
