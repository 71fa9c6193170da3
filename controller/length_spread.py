"""How much lengths of requests vary, from buckets of a histogram: bounded, and nothing where they do not tell.

Within a bucket the density over the logarithm of the length leans towards its neighbours', each half by itself. That is
within 5 % of the truth for smooth laws over buckets of 1, 2, 5, 10 …, in a tenth of a millisecond; the mixture that
`models.histogram_law` fits is nearer, and takes 25 ms. Requests that are all of one length seem to vary by some tenth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from controller.answers import Row, group_and_meaning
from controller.meanings import Meaning
from controller.queries import Place, Query
from models.token_lengths import MAX_TOKENS

Array = NDArray[np.float64]

LEAST_REQUESTS = 100.0
"""In the window; with fewer the second moment is that of a few long ones."""
MOST_CV = 5.0
MOST_COUNTED_PER_S = 1e9
"""Requests a second: beyond it a number is a mistake."""
MOST_BEYOND = 0.01
"""Share of requests longer than the last bucket's end; how much longer nobody knows."""

_MOST_LEAN = 4.0
"""Logarithm of a density against its neighbour's, which may be empty."""
_POINTS = (np.arange(32) + 0.5) / 32.0

Buckets = Mapping[float, float]
"""Requests a second that are no longer than so many tokens."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Coefficients of variation; None where not known."""

    prompt_cv: float | None = None
    output_cv: float | None = None

    @property
    def known(self) -> bool:
        """Whether anything is."""
        return self.prompt_cv is not None or self.output_cv is not None


@dataclass(frozen=True, kw_only=True)
class Histograms:
    """The buckets of one answer, by group and labels."""

    rows: Mapping[tuple[int, tuple[str, ...], Meaning], Buckets] = field(default_factory=dict)

    def at(self, place: Place, *, window_s: float) -> Spread:
        """Of one policy."""
        prompt, output = (
            variation(self.rows.get((place.group, place.values, meaning), {}), window_s=window_s)
            for meaning in (Meaning.PROMPT_BUCKETS, Meaning.OUTPUT_BUCKETS)
        )
        return Spread(prompt_cv=prompt, output_cv=output)


def read_histograms(query: Query, rows: Iterable[Row]) -> Histograms:
    """The rows by where a policy looks for them. What we did not ask for, or is no bucket, is left out."""
    found: dict[tuple[int, tuple[str, ...], Meaning], dict[float, float]] = {}
    for row in rows:
        group, name = group_and_meaning(row, query)
        end = _end(row.labels.get("le", ""))
        if name not in _BUCKETS or end is None or group is None:
            continue
        values = tuple(row.labels.get(label, "") for label in query.labels[group])
        found.setdefault((group, values, _BUCKETS[name]), {})[end] = row.value
    return Histograms(rows=found)


def variation(buckets: Buckets, *, window_s: float) -> float | None:
    """The coefficient of variation of a length, at most `MOST_CV`.

    None for fewer than `LEAST_REQUESTS`, for buckets that are none (counts that fall, no end), and where too many
    requests are beyond the last end.
    """
    ends = sorted(buckets)
    counts = [buckets[end] for end in ends]
    if len(ends) < 2 or ends[0] <= 0.0 or ends[-1] != math.inf or not all(map(_countable, counts)):
        return None
    total = counts[-1]
    # Pods with different ends, and rates that are extrapolated each by itself, may leave a bucket a little short.
    highest = [max(counts[: index + 1]) for index in range(len(counts))]
    if total * window_s < LEAST_REQUESTS or highest[-1] - counts[-1] > MOST_BEYOND * total:
        return None
    if total - highest[-2] > MOST_BEYOND * total or ends[-2] > MAX_TOKENS:
        return None
    mean, square = _moments(np.log(np.maximum(ends[:-1], 1.0)), np.diff(np.array([0.0, *highest[:-1]])))
    return min(MOST_CV, math.sqrt(max(0.0, square / mean**2 - 1.0)))


def _countable(count: float) -> bool:
    return 0.0 <= count <= MOST_COUNTED_PER_S


def _moments(ends: Array, counts: Array) -> tuple[float, float]:
    """Mean and mean square of lengths by the logarithms of their buckets' ends (m,) and how many are in each (m,)."""
    starts = np.concatenate([[0.0], ends[:-1]])
    width = np.maximum(ends - starts, 1e-9)
    share = counts / counts.sum()
    density = np.concatenate([[0.0], share / width, [0.0]])
    own, beside = np.maximum(density[1:-1], 1e-300), np.maximum(np.stack([density[:-2], density[2:]]), 1e-300)
    lean = np.clip(np.log(beside / own), -_MOST_LEAN, _MOST_LEAN)  # of the left and of the right neighbour
    at = _POINTS[None, :] - 0.5
    weights = np.exp(np.where(at < 0.0, -at * lean[0][:, None], at * lean[1][:, None]))
    weights *= (share / weights.sum(axis=1))[:, None]
    tokens = np.exp(starts[:, None] + _POINTS[None, :] * width[:, None])
    return float((weights * tokens).sum()), float((weights * tokens**2).sum())


def _end(text: str) -> float | None:
    try:
        end = float(text)
    except ValueError:
        return None
    return None if math.isnan(end) else end


_BUCKETS = {meaning.value: meaning for meaning in (Meaning.PROMPT_BUCKETS, Meaning.OUTPUT_BUCKETS)}
