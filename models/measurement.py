"""One point of a benchmark: an engine under a steady load, and what was seen of it. Seconds, tokens, per second."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields

from models.errors import InvalidInput

MAX_LATENCY_S = 1e6
MAX_RATE_PER_S = 1e9
MAX_TOKENS = 1e8
MAX_CV = 100.0


@dataclass(frozen=True, kw_only=True)
class LatencySummary:
    """What a benchmark says of one latency, seconds; None where it says nothing."""

    mean_s: float | None = None
    p50_s: float | None = None
    p90_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None

    def __post_init__(self) -> None:
        for name, value in self.items():
            if not (math.isfinite(value) and 0.0 < value <= MAX_LATENCY_S):
                raise InvalidInput(
                    f"a measured latency must lie above 0 and below {MAX_LATENCY_S:.0e} s, got {value} ({name})"
                )

    def items(self) -> Iterator[tuple[str, float]]:
        """The statistics that are there, as (`mean`, value), (`p50`, value) … in ascending order of percentile."""
        for entry in fields(self):
            value = getattr(self, entry.name)
            if value is not None:
                yield entry.name.removesuffix("_s"), float(value)

    @property
    def typical_s(self) -> float | None:
        """The mean, or the median where no mean was given."""
        return self.mean_s if self.mean_s is not None else self.p50_s


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A closed loop of `concurrency` users, or an open stream of `arrival_rate_per_s`; one of the two is given.

    Token lengths are means over requests, with their coefficients of variation where single requests are known.
    ttft, itl, tpot, e2e and queue are as in `models.objective`.
    """

    input_tokens: float
    output_tokens: float
    cached_tokens: float = 0.0
    """Tokens of a mean prompt that a prefix cache held: no step computes them, every step reads them; on top of
    `input_tokens`, which are computed."""
    input_tokens_cv: float | None = None
    output_tokens_cv: float | None = None
    concurrency: float | None = None
    arrival_rate_per_s: float | None = None
    burstiness: float | None = None
    """Squared coefficient of variation of the times between arrivals of an open stream; None is taken for Poisson."""
    requests_per_s: float | None = None
    output_tokens_per_s: float | None = None
    ttft: LatencySummary | None = None
    tpot: LatencySummary | None = None
    itl: LatencySummary | None = None
    e2e: LatencySummary | None = None
    queue: LatencySummary | None = None

    def __post_init__(self) -> None:
        if (self.concurrency is None) == (self.arrival_rate_per_s is None):
            raise InvalidInput(
                "a measurement has either a concurrency or an arrival rate",
                remedy="give the number of users of a closed loop, or the requests per second of an open one",
            )
        for name, value, low, high in (
            ("input_tokens", self.input_tokens, 1.0, MAX_TOKENS),
            ("output_tokens", self.output_tokens, 1.0, MAX_TOKENS),
            ("cached_tokens", self.cached_tokens, 0.0, MAX_TOKENS),
            ("input_tokens_cv", self.input_tokens_cv, 0.0, MAX_CV),
            ("output_tokens_cv", self.output_tokens_cv, 0.0, MAX_CV),
            ("burstiness", self.burstiness, 0.0, MAX_CV),
            ("concurrency", self.concurrency, 1.0, MAX_RATE_PER_S),
            ("arrival_rate_per_s", self.arrival_rate_per_s, 1e-9, MAX_RATE_PER_S),
            ("requests_per_s", self.requests_per_s, 1e-9, MAX_RATE_PER_S),
            ("output_tokens_per_s", self.output_tokens_per_s, 1e-9, MAX_RATE_PER_S),
        ):
            if value is not None and not (math.isfinite(value) and low <= value <= high):
                raise InvalidInput(f"{name} of a measurement must lie between {low:g} and {high:g}, got {value}")

    def __str__(self) -> str:
        if self.concurrency is None:
            load = f"{self.arrival_rate_per_s:g} req/s"
        else:
            load = f"{self.concurrency:g} user{'' if self.concurrency == 1.0 else 's'}"
        return f"{load}, {self.prompt_tokens:g} in / {self.output_tokens:g} out"

    @property
    def prompt_tokens(self) -> float:
        """The whole mean prompt, computed or found in a cache."""
        return self.input_tokens + self.cached_tokens

    @property
    def decode_steps(self) -> float:
        """Output tokens after the first."""
        return self.output_tokens - 1.0

    @property
    def measured_requests_per_s(self) -> float | None:
        """Completions per second, as counted or from the token rate."""
        if self.requests_per_s is not None:
            return self.requests_per_s
        return None if self.output_tokens_per_s is None else self.output_tokens_per_s / self.output_tokens

    @property
    def ttft_s(self) -> float | None:
        """Mean (or median) time to first token."""
        return None if self.ttft is None else self.ttft.typical_s

    @property
    def tpot_s(self) -> float | None:
        """Mean gap between tokens: TPOT, else the mean ITL, else what is left of e2e after TTFT, else the median ITL.

        e2e is the cycle of a closed loop by Little's law, `users / rate = ttft + decode_steps · tpot` (1961), before it
        is the measured one: client-side e2e is the figure that benchmarks most often mislabel. A median gap is of a
        step without prompts, shorter than the mean where prompts interrupt.
        """
        if self.decode_steps <= 0.0:
            return None
        if self.tpot is not None and self.tpot.typical_s is not None:
            return self.tpot.typical_s
        if self.itl is not None and self.itl.mean_s is not None:
            return self.itl.mean_s
        left = self._gap_left_by_ttft()
        return left if left is not None or self.itl is None else self.itl.p50_s

    def _gap_left_by_ttft(self) -> float | None:
        rate, cycle = self.measured_requests_per_s, None
        if self.concurrency is not None and rate is not None:
            cycle = self.concurrency / rate
        elif self.e2e is not None:
            cycle = self.e2e.typical_s
        gap = None if cycle is None else (cycle - (self.ttft_s or 0.0)) / self.decode_steps
        return gap if gap is not None and gap > 0.0 else None

    @property
    def rate_per_s(self) -> float | None:
        """Completions per second: counted, offered, or what Little's law gives for a closed loop."""
        rate = self.measured_requests_per_s or self.arrival_rate_per_s
        if rate is None and self.concurrency is not None and self.tpot_s is not None:
            rate = self.concurrency / ((self.ttft_s or self.tpot_s) + self.decode_steps * self.tpot_s)
        return rate
