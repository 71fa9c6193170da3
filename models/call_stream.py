"""What arrives at a stage: requests that may come several at once, as the batch before that held them ended.

Two moments of the gaps, as in QNA (Whitt 1983, The Queueing Network Analyzer), but of the gaps between *clumps*, which
no renewal stream of single requests tells. Over a long time what leaves a batcher varies as what came did; so a stream
is taken as requests that come one by one, with the variability of a long time, and are let through at *gates* that
open now and then: few come through a gate that opens soon after another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

_CLUMPED = 1.02
"""Requests that come at the same moment, in the mean, from which on that matters."""


@dataclass(frozen=True, kw_only=True)
class CallStream:
    """Requests at a stage, all replicas together."""

    rate_per_s: float
    """Requests, not clumps."""
    clump: float = 1.0
    """Mean number of requests that come at the same moment."""
    gap_scv: float = 1.0
    """Squared coefficient of variation of the times between gates; between requests, where these come one by one."""
    long_scv: float = 1.0
    """Variance over mean of the requests in a long time: what slow stages see."""

    @property
    def is_clumped(self) -> bool:
        """Whether requests come several at once, more often than hardly ever."""
        return self.clump > _CLUMPED

    @property
    def per_gate(self) -> float:
        """Mean requests that a gate lets through, gates that let none through included; 0 without gates."""
        return _per_gate(self.clump, self.gate_scv) if self.is_clumped else 0.0

    @property
    def gate_scv(self) -> float:
        """Of the times between gates: what varies more than at random are the requests, not the gates."""
        return min(self.gap_scv, 1.0)

    @property
    def gate_s(self) -> float:
        """Mean time between gates; 0 without."""
        return self.per_gate / self.rate_per_s

    @property
    def short_scv(self) -> float:
        """Variance over mean of the requests in a time shorter than that between gates."""
        return max(1.0, self.gap_scv) * (1.0 + self.per_gate) if self.is_clumped else self.gap_scv

    def scv_over(self, seconds: float) -> float:
        """Variance over mean of the requests in about so long a time: between that of a short and of a long one."""
        short = self.gate_s / (self.gate_s + seconds) if self.is_clumped else 0.0
        return self.long_scv + short * (self.short_scv - self.long_scv)

    def thinned(self, share: float) -> CallStream:
        """Each request kept with that chance (Whitt 1983, §4.4)."""
        if share >= 1.0:
            return self
        if not self.is_clumped:
            scv = 1.0 + share * (self.gap_scv - 1.0)
            return replace(self, rate_per_s=self.rate_per_s * share, gap_scv=scv, long_scv=self._long(share))
        kept = self.per_gate * share
        hit = 1.0 - _empty(kept, self.gate_scv)  # gates that let something through
        thin = replace(self, rate_per_s=self.rate_per_s * share, clump=max(1.0, kept / hit), long_scv=self._long(share))
        # Without gates the gaps are those between requests: of a geometric number of gates each.
        return thin if thin.is_clumped else replace(thin, gap_scv=hit * self.gate_scv + 1.0 - hit)

    def _long(self, share: float) -> float:
        return 1.0 + share * (self.long_scv - 1.0)

    def dispersed(self, spread_s: float) -> CallStream:
        """After delays of their own: a spread of the order of the gaps breaks clumps up."""
        if spread_s <= 0.0:
            return self
        gap_s = self.clump / self.rate_per_s
        kept = 1.0 / (1.0 + (spread_s / gap_s) * 4.0) if self.clump > 1.0 else 1.0 / (1.0 + spread_s / gap_s)
        return replace(self, clump=1.0 + (self.clump - 1.0) * kept * kept, gap_scv=1.0 + (self.gap_scv - 1.0) * kept)

    def unclumped(self) -> CallStream:
        """After a stage whose answers end one by one, at times of their own."""
        return replace(self, clump=1.0, gap_scv=1.0)


def joined(streams: Sequence[CallStream], rate_per_s: float) -> CallStream:
    """What arrives where several streams meet: their mean by rate, with the rate that is served."""
    total = sum(stream.rate_per_s for stream in streams)

    def mean(values: Sequence[float]) -> float:
        return sum(value * stream.rate_per_s for value, stream in zip(values, streams, strict=True)) / total

    return CallStream(
        rate_per_s=rate_per_s,
        clump=mean([stream.clump for stream in streams]),
        gap_scv=mean([stream.gap_scv for stream in streams]),
        long_scv=mean([stream.long_scv for stream in streams]),
    )


def leaving(stream: CallStream, *, clump: float, gap_scv: float) -> CallStream:
    """The stream of requests that leave a stage with mean clump and scv of the gaps between clumps as observed.

    Between two clumps lie a geometric number of gates; the law of theirs is found in turn with how many are empty.
    """
    found = replace(stream, clump=clump, gap_scv=gap_scv)
    if not found.is_clumped:
        return found
    for _ in range(_TURNS):
        hit = found.per_gate / clump
        found = replace(
            found, gap_scv=0.5 * found.gap_scv + 0.5 * min(max((gap_scv - 1.0 + hit) / hit, 0.0), max(1.0, gap_scv))
        )
    return found


_TURNS = 25


def _empty(mean: float, scv: float) -> float:
    """Chance that a gate lets none through: of a Poisson number over a gamma time (Greenwood and Yule 1920)."""
    return math.exp(-mean) if scv < 1e-6 else math.exp(-math.log1p(mean * scv) / scv)


def _per_gate(clump: float, scv: float) -> float:
    """The mean over all gates of which those that let some through have the mean `clump`; by bisection."""
    low, high = 0.0, clump
    while high - low > 1e-9 * clump:
        middle = 0.5 * (low + high)
        over = middle / (1.0 - _empty(middle, scv)) > clump
        low, high = (low, middle) if over else (middle, high)
    return high
