"""How far derived variants lay from measured ones: medians and 90th percentiles, by what was changed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PairError:
    """Relative errors of TPOT over measured pairs that differ in one thing (docs/variant-accuracy.md)."""

    pairs: int
    median: float
    ninetieth: float


MEASURED = {
    "quantization": PairError(pairs=28, median=0.15, ninetieth=0.29),
    "tp": PairError(pairs=90, median=0.10, ninetieth=0.30),
    "gpu": PairError(pairs=34, median=0.09, ninetieth=0.61),
}
"""Written from what `make bench-variants` says; a test holds the two together."""


def error_of(changed: Sequence[str]) -> tuple[float, str]:
    """The error to allow for (90th percentile; of several changes the root of the sum of squares), and in words."""
    known = [MEASURED[name] for name in changed]
    told = "; ".join(
        f"{name}: 90th percentile of {error.pairs} measured pairs, median {error.median:.0%}"
        for name, error in zip(changed, known, strict=True)
    )
    return math.sqrt(math.fsum(error.ninetieth**2 for error in known)), told
