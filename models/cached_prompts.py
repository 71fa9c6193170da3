"""A load of whose prompts a prefix cache held a part: no step computes those tokens, every step reads them."""

from __future__ import annotations

from dataclasses import dataclass, fields

from models.errors import InvalidInput
from models.measurement import Measurement


@dataclass(frozen=True, kw_only=True)
class PartlyCached(Measurement):
    """`input_tokens` of a mean prompt are computed, `cached_tokens` more were found."""

    cached_tokens: float

    @property
    def prompt_tokens(self) -> float:
        """The whole prompt, computed or found."""
        return self.input_tokens + self.cached_tokens


def partly_cached(load: Measurement, share: float) -> Measurement:
    """The same load, with `share` (0 to 1) of its prompt tokens found in the cache.

    One token is computed even of a prompt found whole: its logits make the first output token.
    """
    if not 0.0 <= share <= 1.0:
        raise InvalidInput(f"a share of cached prompt tokens lies between 0 and 1, got {share}")
    if share == 0.0:
        return load
    computed = max(1.0, load.input_tokens * (1.0 - share))
    known = {entry.name: getattr(load, entry.name) for entry in fields(Measurement)}
    return PartlyCached(**{**known, "input_tokens": computed}, cached_tokens=load.input_tokens - computed)


def cached_share(load: Measurement) -> float:
    """Share of its prompt tokens that were found."""
    return 1.0 - load.input_tokens / load.prompt_tokens
