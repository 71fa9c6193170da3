"""One line of an SLO: a metric, a statistic of it, and a limit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from models.errors import InvalidInput

Metric = Literal["ttft", "itl", "tpot", "e2e", "queue"]
METRICS: tuple[Metric, ...] = get_args(Metric)


@dataclass(frozen=True, kw_only=True)
class Objective:
    """`metric` at `quantile` (None: the mean) must not exceed `limit_s` seconds.

    ttft: arrival to first token. itl: gap between successive tokens, token-weighted. tpot: (e2e − ttft) over
    (output tokens − 1), request-weighted. e2e: arrival to last token. queue: arrival to admission.
    """

    metric: Metric
    quantile: float | None
    limit_s: float

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise InvalidInput(f"unknown metric {self.metric!r}", remedy=f"use one of {', '.join(METRICS)}")
        if self.quantile is not None and not (0.0 < self.quantile < 1.0):
            raise InvalidInput(f"a quantile lies strictly between 0 and 1, got {self.quantile}")
        if not (math.isfinite(self.limit_s) and 0.0 < self.limit_s <= 1e6):
            raise InvalidInput(f"the limit of an objective must lie above 0 and below 1e6 seconds, got {self.limit_s}")

    @property
    def statistic(self) -> str:
        """`mean`, `p50`, `p99.9` …"""
        return "mean" if self.quantile is None else f"p{self.quantile * 100:.10g}"

    def __str__(self) -> str:
        return f"{self.metric}:{self.statistic}<={self.limit_s:.12g}"
