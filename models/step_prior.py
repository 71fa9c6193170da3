"""What to expect of a step time before, or beside, measuring it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from models.errors import InvalidInput


@dataclass(frozen=True, kw_only=True)
class StepPrior:
    """Expected terms of a step time, seconds, and how far to trust them.

    `spread` is one relative standard deviation of a term about its expectation. `source` says in words where the
    expectations come from; it goes into the notes of a fit that leaned on them.
    """

    base_s: float
    per_prefill_token_s: float
    per_decode_s: float
    per_kv_token_s: float
    per_expert_s: float = 0.0
    spread: float = 0.5
    source: str

    def __post_init__(self) -> None:
        for term in (self.base_s, self.per_prefill_token_s, self.per_decode_s, self.per_kv_token_s):
            if not (math.isfinite(term) and 0.0 < term <= 1e4):
                raise InvalidInput(f"an expected term of a step time must lie above 0 and below 1e4 s, got {term}")
        if not (math.isfinite(self.per_expert_s) and 0.0 <= self.per_expert_s <= 1e4):
            raise InvalidInput(f"the expected time per expert must lie between 0 and 1e4 s, got {self.per_expert_s}")
        if not (0.0 < self.spread <= 10.0):
            raise InvalidInput(f"the spread of a prior must lie above 0 and at most 10, got {self.spread}")
