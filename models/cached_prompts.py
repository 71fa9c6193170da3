"""A load of whose prompts a prefix cache held a part."""

from __future__ import annotations

from dataclasses import replace

from models.errors import InvalidInput
from models.measurement import Measurement


def partly_cached(load: Measurement, share: float) -> Measurement:
    """The same load, with `share` (0 to 1) of its prompt tokens found in the cache.

    One token is computed even of a prompt found whole: its logits make the first output token.
    """
    if not 0.0 <= share <= 1.0:
        raise InvalidInput(f"a share of cached prompt tokens lies between 0 and 1, got {share}")
    computed = min(load.prompt_tokens, max(1.0, load.prompt_tokens * (1.0 - share)))
    return replace(load, input_tokens=computed, cached_tokens=load.prompt_tokens - computed)


def cached_share(load: Measurement) -> float:
    """Share of its prompt tokens that were found."""
    return load.cached_tokens / load.prompt_tokens
