"""What one tick saw of one policy: the whole input of a decision, beside its memory. It can be recorded and replayed.

"Not known" is None with a reason, never zero. Times are seconds since 1970, as the controller's clock has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from controller.capacity_policy import PolicySpec


class Evidence(StrEnum):
    """How far metrics can be believed."""

    FRESH = "Fresh"
    PARTIAL = "PartialScrape"
    """Fewer pods report than are ready: what is counted is a lower bound."""
    STALE = "Stale"
    ABSENT = "NoSeries"
    UNREACHABLE = "PrometheusUnreachable"
    CONTRADICTORY = "Contradictory"
    SKEWED = "ClockSkew"

    @property
    def complete(self) -> bool:
        """Whether it tells of the whole load, so that less than before may be concluded."""
        return self is Evidence.FRESH

    @property
    def shows_growth(self) -> bool:
        """Whether more load than before may be concluded."""
        return self in (Evidence.FRESH, Evidence.PARTIAL)


@dataclass(frozen=True, kw_only=True)
class EngineReadings:
    """Sums and means over the target's reporting pods, rates over `window_s`."""

    window_s: float
    newest_s: float
    """Time of the newest sample."""
    oldest_s: float
    """Of the pod that reported longest ago, its newest sample's time."""
    pods: int
    """Pods that report."""
    resets: float = 0.0
    """Counter resets within the window."""
    succeeded_per_s: float | None = None
    failed_per_s: float = 0.0
    rejected_per_s: float = 0.0
    arrived_per_s: float | None = None
    """From a counter before the engines, where there is one."""
    running: float | None = None
    waiting: float | None = None
    growth_per_s: float = 0.0
    """Growth of running and waiting requests."""
    prompt_tokens: float | None = None
    """Mean of the requests that ended."""
    output_tokens: float | None = None
    prompt_cv: float | None = None
    """Coefficient of variation, from buckets of some minutes; None where they do not tell."""
    output_cv: float | None = None
    ttft_s: float | None = None
    """Mean."""
    itl_s: float | None = None
    e2e_s: float | None = None
    kv_usage: float | None = None
    """Mean share of KV memory in use, the highest of the pods."""


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What Prometheus said, or why it said nothing."""

    evidence: Evidence
    message: str = ""
    readings: EngineReadings | None = None


@dataclass(frozen=True, kw_only=True)
class Pods:
    """The target's pods by what they are good for."""

    ready: int
    starting: int = 0
    """Scheduled and not ready yet."""
    unschedulable: int = 0
    """Pending for want of a place, such as a GPU."""
    failing: int = 0
    """Restarting again and again."""
    outdated: int = 0
    """Of an older revision, while a rolling update goes on."""
    there: int | None = None
    """Pods that run or are about to, those on their way out too: no more can report. None where they were not counted.

    Of groups every pod counts: which of them report is the engine's own affair.
    """

    @property
    def most_reporting(self) -> int:
        """Pods of the target that may report now."""
        return max(self.there or 0, self.ready + self.failing + (self.starting if self.there is None else 0))


@dataclass(frozen=True, kw_only=True)
class Writer:
    """Who wrote a number of replicas last, as managedFields have it."""

    manager: str
    at_s: float | None = None
    ours: bool = False


@dataclass(frozen=True, kw_only=True)
class Target:
    """The scaled object."""

    uid: str
    replicas: int
    """Asked for in its spec (through `/scale`)."""
    pods: Pods
    rolling: bool = False
    status_behind: bool = False
    """Its status is of an older spec: whether a rollout goes on is not known."""
    gpus_per_replica: int | None = None
    """By its templates, of all pods of a replica; None where they name none."""
    writer: Writer | None = None
    gitops: str = ""
    """The tool that keeps it as a repository says, from its labels and annotations; empty for none."""
    grace_s: float | None = None
    """terminationGracePeriodSeconds of its pods."""
    disruptions_allowed: int | None = None
    """Of its PodDisruptionBudget."""
    resource_version: str = ""
    """Of the object as it was seen."""


@dataclass(frozen=True, kw_only=True)
class Scaler:
    """The HPA or ScaledObject between us and the target."""

    kind: Literal["HorizontalPodAutoscaler", "ScaledObject"]
    name: str
    uid: str
    min_replicas: int
    max_replicas: int
    desired: int | None = None
    """What it asks for by its own metrics."""
    writer: Writer | None = None
    """Of its minimum."""
    max_writer: Writer | None = None
    min_stated: bool = True
    """Whether the object says its minimum; else it is what its kind takes for granted."""
    max_stated: bool = True
    resource_version: str = ""
    """Of the object as it was seen."""
    keda_owned: bool = False
    """An HPA that a ScaledObject owns."""
    paused: str = ""
    """The annotation by which a person has told KEDA to leave the target alone; empty for none."""
    idle: int | None = None
    """KEDA's idleReplicaCount: what its target has while its triggers are inactive, whatever the minimum."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One policy at one moment."""

    now_s: float
    policy: str
    """`namespace/name`."""
    generation: int
    spec: PolicySpec
    observation: Observation
    profile: str | None = None
    """Name and digest of the profile; its content is kept beside."""
    profile_problem: str = ""
    target: Target | None = None
    target_problem: str = ""
    cluster_problem: str = ""
    """Which kind of objects cannot be read, and why: of target, scaler and profile nothing is known then."""
    scaler: Scaler | None = None
    scaler_problem: str = ""
    other_policies: tuple[str, ...] = ()
    """Policies that name the same target."""
    sharing_policies: tuple[str, ...] = ()
    """Policies of other targets whose series this policy's labels select too."""
    unmanaged_scaler: str = ""
    """An HPA or ScaledObject on the target that the policy does not name."""
    gpus_free: int | None = None
    """GPUs that a quota of the namespace leaves; None for no quota, or not known."""
    killed: bool = False
    """The global kill switch."""
    being_deleted: str = ""
    """Policy, target or scaler where one of them is; a finalizer keeps it meanwhile."""

    @property
    def switched_off(self) -> bool:
        """Whether Kubernetes has disabled the target's HPA: that of a target at zero, unless its minimum is zero."""
        if self.target is None or self.scaler is None or self.scaler.keda_owned:
            return False
        off = self.target.replicas == 0 and self.scaler.min_replicas > 0
        return off and self.scaler.kind == "HorizontalPodAutoscaler"
