"""A finding about a profile, and what a profile looks like to the checks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from models.engine import EngineLimits
from models.measurement import Measurement
from models.step_time import StepTime
from planner.architecture import ModelShape
from planner.hardware import Gpu


class Severity(StrEnum):
    """How much a finding matters."""

    CONTRADICTION = "contradiction"
    """Figures that cannot all be true: at least one of them must not be planned with."""
    WARNING = "warning"
    """Likely wrong or misleading; plans may be off."""
    NOTE = "note"
    """Worth knowing; plans are not affected."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One finding, in words for the person who would buy GPUs on it."""

    severity: Severity
    code: str
    """Stable name of the check, such as `littles-law`."""
    where: str
    """Which measurement or field."""
    what: str
    """What was found, with the arithmetic."""
    meaning: str
    """What it means for a plan."""
    remedy: str
    """What to do about it."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where numbers of a profile come from."""

    source: str | None
    measured: date | None


@dataclass(frozen=True, kw_only=True)
class Counted:
    """How many requests a measurement rests on; None where unknown."""

    requests: int | None = None
    """That were answered."""
    failed: int | None = None
    """That were refused or broke off."""
    capacity_only: bool = False
    """Whether the load is known to have been beyond capacity."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A profile as the checks see it; None is unknown, and what needs it is not checked."""

    measurements: tuple[Measurement, ...]
    limits: EngineLimits
    step_time: StepTime | None
    overhead_s: float
    """Kept of what comes before a first token outside the steps."""
    gpu: Gpu | None
    gpus: int
    tensor_parallel: int
    shape: ModelShape | None
    precision: str
    provenance: tuple[Provenance, ...]
    counted: tuple[Counted, ...] = ()
    """Of each measurement, in the same order; empty where none is known."""

    def where(self, index: int) -> str:
        """A measurement by its place in the profile, counted from 1, and its load."""
        return f"measurement {index + 1} ({self.measurements[index]})"


def seconds(value: float) -> str:
    """A latency for people: three digits, in ms below a second."""
    return f"{value:.3g} s" if value >= 1.0 else f"{value * 1e3:.3g} ms"
