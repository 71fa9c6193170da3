"""What was seen of each model during the demonstration, look by look, and what it comes to."""

from __future__ import annotations

from dataclasses import dataclass, field

from scripts.cluster_demo.served_models import ServedModel


@dataclass(frozen=True, kw_only=True)
class Look:
    """One model at one moment; None is not known."""

    at_s: float
    """Since the load began."""
    arriving_per_s: float
    asked: int
    ready: int
    planned_per_s: float | None = None
    needed: float | None = None
    latency_s: float | None = None


@dataclass
class Record:
    """All looks at one model."""

    model: ServedModel
    looks: list[Look] = field(default_factory=list)
    breached_s: float = 0.0
    unmeasured_s: float = 0.0

    def add(self, look: Look) -> None:
        """One more. What it shows counts since the one before."""
        since_s = look.at_s - self.looks[-1].at_s if self.looks else 0.0
        if look.latency_s is None:
            self.unmeasured_s += since_s
        elif look.latency_s > self.model.limit_s:
            self.breached_s += since_s
        self.looks.append(look)

    def ready(self) -> tuple[int, int, int]:
        """Ready replicas: the least since there were any, the most, and the last."""
        seen = [look.ready for look in self.looks if look.ready]
        return (min(seen), max(seen), seen[-1]) if seen else (0, 0, 0)

    def arriving(self) -> tuple[float, float]:
        """Least and most."""
        seen = [look.arriving_per_s for look in self.looks]
        return min(seen), max(seen)

    def replica_seconds(self) -> float:
        """Ready replicas over time."""
        pairs = zip(self.looks, self.looks[1:], strict=False)
        return sum(before.ready * (after.at_s - before.at_s) for before, after in pairs)
