"""How many pods a target had lately: Prometheus tells of one that went for some seconds more."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from controller.snapshot import Target


@dataclass
class RecentPods:
    """The counts of the looks within a time, by policy: pods of a target that was deleted have just gone, too."""

    within_s: float
    clock: Callable[[], float] = time.monotonic
    _counts: dict[str, list[tuple[float, int]]] = field(default_factory=dict)

    def seen(self, targets: Mapping[str, Target | None]) -> dict[str, Target | None]:
        """The targets, each with the most pods that it had lately."""
        now_s = self.clock()
        known, self._counts = self._counts, {}
        found: dict[str, Target | None] = {}
        for policy, target in targets.items():
            if target is None:
                found[policy] = None
                continue
            counts = [each for each in known.get(policy, ()) if now_s - each[0] <= self.within_s]
            counts.append((now_s, target.pods.most_reporting))
            self._counts[policy] = counts
            most = max(count for _, count in counts)
            found[policy] = replace(target, pods=replace(target.pods, there=most))
        return found
