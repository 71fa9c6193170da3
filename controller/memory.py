"""What a decision remembers of those before it. `decide` returns the next; nothing else keeps state."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """A value at a time."""

    at_s: float
    value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A number of replicas that was seen to change, whoever changed it."""

    at_s: float
    before: int
    after: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Followed:
    """A mean that every look measures anew, with noise."""

    mean: float
    """Smoothed."""
    held: float
    """What is planned with until the mean has left it."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Of one policy. Everything in it is bounded in time by `controller.decide`."""

    target_uid: str = ""
    since_s: float = 0.0
    """When it began: before a whole window has been seen nothing is scaled down."""
    demand: tuple[Sample, ...] = ()
    """Requests per second that arrived, tick by tick."""
    recommended: tuple[Sample, ...] = ()
    """Replicas that were needed, tick by tick."""
    planned_per_s: float | None = None
    """The rate that was planned for."""
    prompt: Followed | None = None
    """Tokens."""
    output: Followed | None = None
    lengths_s: float | None = None
    """When a look told lengths last: they are held for `controller.held_load.LENGTHS_HELD_S`."""
    prompt_cv: float | None = None
    """Coefficients of variation that are planned with; None where no histogram has told them."""
    output_cv: float | None = None
    current: int | None = None
    """What the lever said last."""
    changes: tuple[Change, ...] = ()
    running: int | None = None
    """Replicas that the scaler let run at the look before; None without one."""
    running_changes: tuple[Change, ...] = ()
    """Of `running`: by its maximum, by its own metrics, or by whoever it was."""
    slowdown: float = 1.0
    """Measured over predicted speed: the profile's step times are multiplied by it."""
    drifted: float | None = None
    """What `slowdown` would be without its limits: the slower of the two that follow."""
    gaps_drifted: float | None = None
    """Of gaps between tokens (of e2e where there are no tokens), measured over predicted."""
    first_token_drifted: float | None = None
    compared_s: float | None = None
    """When they were measured last."""
    ready: int | None = None
    """Pods that were ready at the last look."""
    ready_since_s: float = 0.0
    """Since when it has been as many."""
    looked_s: float | None = None
    """The last look, whether anything was concluded from it or not."""
    rates_since_s: float | None = None
    """When rates were seen again after they had not been; None where they always were."""
    rates_seen_s: float | None = None
    """When they were seen last, whether anything was concluded from them or not."""
    written: int | None = None
    """Replicas (or the scaler's minimum) that we wrote last."""
    written_max: int | None = None
    """The scaler's maximum that we wrote with it."""
    written_version: str = ""
    """The object's resourceVersion after that write; empty where the server did not tell."""
    written_to: str = ""
    """Lever and name of that write's object: a policy may come to name another one."""
    tried: tuple[int, int | None] | None = None
    """Replicas (or minimum) and maximum of a write whose answer was lost: it may have been made."""
    writer: str = ""
    """Who had written the lever last, and when, at the look before: a rival is somebody whose write is new."""
    rival_since_s: float | None = None
    rival_writes: int = 0
    """How often somebody undid what we wrote."""
    rival: str = ""

    def whole_window(self, now_s: float, window_s: float) -> bool:
        """Whether rates are of a whole window: those after an outage are of a part, and lower than what arrives."""
        return self.rates_since_s is None or now_s - self.rates_since_s >= window_s

    def same_pods(self, now_s: float, window_s: float) -> bool:
        """Whether as many pods were ready for a whole window: its means are of them, and not of fewer under more."""
        return now_s - self.ready_since_s >= window_s
