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
    """What `slowdown` would be without its limits."""
    last_fresh_s: float | None = None
    blind: bool = False
    """Whether metrics told nothing at the last tick."""
    back_s: float | None = None
    """When they told something again after they had not; None where they always did."""
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
        return not self.blind and (self.back_s is None or now_s - self.back_s >= window_s)
