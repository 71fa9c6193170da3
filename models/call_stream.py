"""What arrives at a stage: requests that may come several at once, as a batch before them ended or as they fan out.

Two moments of the gaps, as in QNA (Whitt 1983, The Queueing Network Analyzer), but of the gaps between *clumps*: the
requests of one batch leave together, which no renewal stream of single requests tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class CallStream:
    """Requests at a stage, all replicas together."""

    rate_per_s: float
    """Requests, not clumps."""
    clump: float = 1.0
    """Mean number of requests that come at the same moment."""
    gap_scv: float = 1.0
    """Squared coefficient of variation of the times between clumps."""
    long_scv: float = 1.0
    """Variance over mean of the requests in a long time: what slow stages see."""

    @property
    def is_clumped(self) -> bool:
        """Whether requests come several at once, more often than hardly ever."""
        return self.clump > 1.0 + 1e-3

    def thinned(self, share: float) -> CallStream:
        """Each request kept with that chance (Whitt 1983, §4.4)."""
        if share >= 1.0:
            return self
        hit = 1.0 - (1.0 - share) ** self.clump  # clumps of which something is left
        return replace(
            self,
            rate_per_s=self.rate_per_s * share,
            clump=max(1.0, self.clump * share / hit),
            gap_scv=1.0 + hit * (self.gap_scv - 1.0),
            long_scv=1.0 + share * (self.long_scv - 1.0),
        )

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
