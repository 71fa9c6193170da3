"""Why a decision is what it is: enumerated codes, each with a text."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """CamelCase, as reasons of Kubernetes conditions and events are."""

    # What moves the number
    DEMAND_ROSE = "DemandRose"
    DEMAND_EXPECTED = "DemandExpected"
    QUEUE_WAITS = "QueueWaits"
    DEMAND_FELL = "DemandFell"
    STEADY = "Steady"
    # What slows or limits it
    STABILIZING = "Stabilizing"
    PACED = "Paced"
    AT_MINIMUM = "AtMinimum"
    AT_MAXIMUM = "AtMaximum"
    SCHEDULE = "Schedule"
    GPU_LIMIT = "GpuLimit"
    GPU_QUOTA = "GpuQuota"
    BUDGET = "Budget"
    NO_PLACE = "NoPlaceForPods"
    ROLLOUT = "RolloutInProgress"
    PODS_FAILING = "PodsFailing"
    KV_MEMORY = "KvMemory"
    DISRUPTION_BUDGET = "DisruptionBudget"
    UNREACHABLE_OBJECTIVE = "ObjectiveUnreachable"
    RECALIBRATED = "Recalibrated"
    GRACE_TOO_SHORT = "GracePeriodTooShort"
    TARGET_AT_ZERO = "TargetAtZero"
    SCALER_DIFFERS = "ScalerAsksForMore"
    # What holds everything
    PAUSED = "Paused"
    SCALER_PAUSED = "ScalerPaused"
    KILL_SWITCH = "KillSwitch"
    BEING_DELETED = "BeingDeleted"
    ADVISE = "AdviseOnly"
    INVALID_POLICY = "InvalidPolicy"
    FAILED = "ControllerFailed"
    CLUSTER_UNREADABLE = "ClusterUnreadable"
    TARGET_MISSING = "TargetMissing"
    SCALER_MISSING = "ScalerMissing"
    PROFILE_MISSING = "ProfileMissing"
    PROFILE_STALE = "ProfileStale"
    METRICS_STALE = "MetricsStale"
    METRICS_ABSENT = "MetricsAbsent"
    METRICS_PARTIAL = "PartialScrape"
    METRICS_CONTRADICTORY = "MetricsContradictory"
    PROMETHEUS_UNREACHABLE = "PrometheusUnreachable"
    CLOCK_SKEW = "ClockSkew"
    LENGTHS_UNKNOWN = "LengthsUnknown"
    LENGTHS_HELD = "LengthsHeld"
    LENGTHS_ASSUMED = "LengthSpreadAssumed"
    BEYOND_MODEL = "LoadBeyondModel"
    WRITE_REFUSED = "WriteRefused"
    RIVAL_WRITER = "RivalWriter"
    TWO_POLICIES = "TwoPoliciesOneTarget"
    SHARED_SERIES = "SeriesOfTwoTargets"
    UNMANAGED_SCALER = "ScalerNotNamed"


@dataclass(frozen=True, kw_only=True)
class Reason:
    """A code and what a person reads."""

    code: Code
    message: str
