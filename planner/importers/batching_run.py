"""One run against a model without tokens (Triton's dynamic batcher): whole requests, no prompt and no gaps."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from models.errors import InvalidInput
from models.measurement import MAX_RATE_PER_S, LatencySummary
from planner.importers.benchmark_run import SetUp


@dataclass(frozen=True, kw_only=True)
class BatchingRun:
    """A closed loop of `concurrency` clients, or an open stream of `arrival_rate_per_s`; one of the two is given."""

    tool: str
    place: str
    """File and row, for messages and provenance."""
    setup: SetUp = field(default_factory=SetUp)
    concurrency: float | None = None
    arrival_rate_per_s: float | None = None
    inferences_per_s: float
    """Samples, not requests: a request carries `client_batch` of them."""
    client_batch: int | None = None
    e2e: LatencySummary | None = None
    queue_mean_s: float | None = None
    """Wait in the server's queue; 0 is a measurement."""
    service_mean_s: float | None = None
    """Time in the model, input and output copies included: of the whole batch that a request was part of."""
    instances: str | None = None
    """As the file writes it, such as `1/GPU`."""
    preferred_batch_sizes: tuple[int, ...] = ()
    max_batch_size: int | None = None
    date: str | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.concurrency is None) == (self.arrival_rate_per_s is None):
            raise InvalidInput("a run has either a concurrency or a request rate", remedy="keep that column")
        for name, value, low in (
            ("concurrency", self.concurrency, 1.0),
            ("request rate", self.arrival_rate_per_s, 1e-9),
            ("inferences per second", self.inferences_per_s, 1e-9),
            ("queue", self.queue_mean_s, 0.0),
            ("compute", self.service_mean_s, 0.0),
        ):
            if value is not None and not (math.isfinite(value) and low <= value <= MAX_RATE_PER_S):
                raise InvalidInput(f"{name} must lie between {low:g} and {MAX_RATE_PER_S:g}, got {value}")
