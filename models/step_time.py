"""How long one engine step takes, by what it computes.

A step carries `p` prompt tokens, advances `d` decoding sequences by one token each, and reads `k` tokens of KV cache
for them. Each form below is one implementation of `StepTime`; all are vectorised and broadcast their arguments.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.errors import InvalidInput

Array = NDArray[np.float64]


class StepTime(Protocol):
    """Seconds of one step. Never decreasing in any argument."""

    def seconds(self, prompt_tokens: ArrayLike, decode_sequences: ArrayLike, kv_tokens: ArrayLike) -> Array:
        """Duration of steps with `p` prompt tokens, `d` decoding sequences and `k` KV tokens read (broadcast)."""
        ...


@dataclass(frozen=True, kw_only=True)
class LinearStepTime:
    """base + per_prefill_token·p + per_decode·d + per_kv_token·k.

    The form that Vidur (MLSys 2024, §4.2) and the public step measurements support: matrix work linear in tokens,
    attention of decodes linear in the KV read, and a constant for weights, launches and scheduling.
    """

    base_s: float
    per_prefill_token_s: float
    per_decode_s: float
    per_kv_token_s: float

    def __post_init__(self) -> None:
        _require_terms(self.base_s, self.per_prefill_token_s, self.per_decode_s, self.per_kv_token_s)

    def seconds(self, prompt_tokens: ArrayLike, decode_sequences: ArrayLike, kv_tokens: ArrayLike) -> Array:
        p, d, k = _arrays(prompt_tokens, decode_sequences, kv_tokens)
        return self.base_s + self.per_prefill_token_s * p + self.per_decode_s * d + self.per_kv_token_s * k


@dataclass(frozen=True, kw_only=True)
class SqrtStepTime:
    """The linear form with a square-root term in the decoding sequences, for curves concave in the batch."""

    linear: LinearStepTime
    per_sqrt_decode_s: float

    def __post_init__(self) -> None:
        _require_terms(self.per_sqrt_decode_s)

    def seconds(self, prompt_tokens: ArrayLike, decode_sequences: ArrayLike, kv_tokens: ArrayLike) -> Array:
        d = np.asarray(decode_sequences, dtype=float)
        return np.asarray(self.linear.seconds(prompt_tokens, d, kv_tokens) + self.per_sqrt_decode_s * np.sqrt(d))


@dataclass(frozen=True, kw_only=True)
class ExpertsStepTime:
    """The linear form plus the weights of the distinct experts that a step touches, for mixtures of experts.

    With `k` of `E` experts a token, drawn evenly, `x` tokens touch `E·(1−(1−k/E)^x)` distinct experts in the mean
    (occupancy problem; Feller, vol. I, §IV.2); each costs `per_expert_s` to read. Prompt tokens touch experts too.
    """

    linear: LinearStepTime
    experts: int
    experts_per_token: int
    per_expert_s: float

    def __post_init__(self) -> None:
        _require_terms(self.per_expert_s)
        if not (1 <= self.experts_per_token <= self.experts <= 100_000):
            raise InvalidInput("a mixture of experts needs 1 ≤ experts per token ≤ experts")

    def seconds(self, prompt_tokens: ArrayLike, decode_sequences: ArrayLike, kv_tokens: ArrayLike) -> Array:
        p, d, k = _arrays(prompt_tokens, decode_sequences, kv_tokens)
        missed = math.log1p(-self.experts_per_token / self.experts) if self.experts_per_token < self.experts else -1e3
        touched = -self.experts * np.expm1(missed * (p + d))
        return self.linear.seconds(p, d, k) + self.per_expert_s * touched


@dataclass(frozen=True, kw_only=True)
class RooflineStepTime:
    """overhead + the larger of the time to move bytes and the time to compute, with padding to captured graph sizes.

    Roofline model (Williams, Waterman, Patterson, CACM 2009): memory = weights + KV read; compute = work per token ×
    tokens. A step runs the next captured graph size at or above its tokens; beyond the largest it is not padded. vLLM
    V1 pads all of a step's tokens, prompt and decode alike (piecewise graphs).
    """

    overhead_s: float
    weights_s: float
    per_kv_token_s: float
    per_token_compute_s: float
    graph_sizes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _require_terms(self.overhead_s, self.weights_s, self.per_kv_token_s, self.per_token_compute_s)
        if list(self.graph_sizes) != sorted(set(self.graph_sizes)) or any(size < 1 for size in self.graph_sizes):
            raise InvalidInput("graph sizes must be positive and ascending")

    def seconds(self, prompt_tokens: ArrayLike, decode_sequences: ArrayLike, kv_tokens: ArrayLike) -> Array:
        p, d, k = _arrays(prompt_tokens, decode_sequences, kv_tokens)
        tokens = p + d
        if self.graph_sizes:
            sizes = np.asarray(self.graph_sizes, dtype=float)
            index = np.searchsorted(sizes, tokens - 1e-9)
            padded = np.where(index < sizes.size, sizes[np.minimum(index, sizes.size - 1)], tokens)
            tokens = np.where(tokens > 0.0, padded, 0.0)
        memory = self.weights_s + self.per_kv_token_s * k
        compute = self.per_token_compute_s * tokens
        return self.overhead_s + np.maximum(memory, compute)


def _arrays(p: ArrayLike, d: ArrayLike, k: ArrayLike) -> tuple[Array, Array, Array]:
    return np.asarray(p, dtype=float), np.asarray(d, dtype=float), np.asarray(k, dtype=float)


def _require_terms(*terms: float) -> None:
    for term in terms:
        if not (math.isfinite(term) and 0.0 <= term <= 1e4):
            raise InvalidInput(f"a term of the step time must lie between 0 and 1e4 seconds, got {term}")
