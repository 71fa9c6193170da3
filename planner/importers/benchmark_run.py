"""One run of a benchmark tool, whatever tool it was, in DESIGN's definitions and SI units."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.measurement import Measurement

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class SetUp:
    """What a file says of the engine that was measured; None where it says nothing."""

    engine: Literal["vllm", "sglang", "triton-trtllm", "triton"] | None = None
    engine_version: str | None = None
    model: str | None = None
    quantization: str | None = None
    gpu: str | None = None
    gpus_per_replica: int | None = None
    tensor_parallel: int | None = None

    def differences(self, other: SetUp) -> tuple[str, ...]:
        """Where two files say different things, in words; silence contradicts nothing."""
        pairs = ((f.name, getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return tuple(
            f"{name.replace('_', ' ')} {mine} and {theirs}"
            for name, mine, theirs in pairs
            if mine is not None and theirs is not None and mine != theirs
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class RequestTable:
    """Every request that succeeded, where the tool wrote them (n,): seconds, tokens; None where a column is absent."""

    input_tokens: Array
    output_tokens: Array
    ttft_s: Array | None = None
    e2e_s: Array | None = None
    start_s: Array | None = None
    """When each was sent, from any origin."""
    gaps_s: Array | None = None
    """Gaps between tokens of all requests together, one after the other."""


@dataclass(frozen=True, kw_only=True)
class Stated:
    """What a tool says of a run beside its single requests, to be held against them; None where it says nothing."""

    rate_per_s: float | None = None
    """Asked for, of an open stream."""
    burstiness: float | None = None
    """Asked for: squared coefficient of variation of the times between arrivals."""
    served_per_s: float | None = None
    duration_s: float | None = None
    output_tokens: float | None = None
    """Of all requests."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BenchmarkRun:
    """One load and what was seen of it."""

    measurement: Measurement
    """Whatever the tool calls them, ttft, itl, tpot, e2e and queue as `models.objective` defines them."""
    tool: str
    """Name of the tool, such as `vllm bench serve`."""
    place: str
    """File, and line, stage or row within it: for messages and provenance."""
    setup: SetUp = SetUp()
    burstiness: float | None = None
    """Squared coefficient of variation of the gaps between arrivals; None in a closed loop, or where unknown."""
    capacity_only: bool = False
    """Whether the run was past saturation: its throughput counts, its latencies say but how long it lasted."""
    duration_s: float | None = None
    requests: int | None = None
    failed: int | None = None
    requested_output_tokens: float | None = None
    """The answer length that the benchmark asked for, in the mean; None where it asked for none, or does not say."""
    date: str | None = None
    notes: tuple[str, ...] = ()
    """What was converted, corrected or left out, in words."""
    table: RequestTable | None = None
    stated: Stated = Stated()
    file: Path | None = None
    """The file that it was read from; None until `runs_of` says so."""
