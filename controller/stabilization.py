"""How fast a number of replicas may move: stabilisation windows and policies as in autoscaling/v2.

Kubernetes, pkg/controller/podautoscaler/horizontal.go: stabilizeRecommendationWithBehaviors and
calculateScaleUpLimitWithScalingRules / calculateScaleDownLimitWithBehaviors; KEP-853. Stricter than these in one thing:
what was added in a period does not allow more to be removed in it, and the other way round.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from controller.capacity_policy import ScalingRules
from controller.memory import Change, Sample


def stabilized(
    current: int, needed: int, recommended: Sequence[Sample], *, up: ScalingRules, down: ScalingRules, now_s: float
) -> int:
    """The least that was needed within the window upwards, the most within the window downwards; else as it is."""
    rise = min([needed, *_within(recommended, now_s - up.stabilization_window_seconds)])
    fall = max([needed, *_within(recommended, now_s - down.stabilization_window_seconds)])
    return rise if current < rise else min(current, fall)


def _within(recommended: Sequence[Sample], since_s: float) -> list[int]:
    return [int(sample.value) for sample in recommended if sample.at_s > since_s]


def paced(
    current: int, wanted: int, changes: Sequence[Change], *, up: ScalingRules, down: ScalingRules, now_s: float
) -> int:
    """The nearest to `wanted` that the policies of its direction allow now."""
    if wanted > current:
        return min(wanted, max(current, _limit_up(current, changes, up, now_s)))
    if wanted < current:
        return max(wanted, min(current, _limit_down(current, changes, down, now_s)))
    return current


def _limit_up(current: int, changes: Sequence[Change], rules: ScalingRules, now_s: float) -> int:
    if rules.select_policy == "Disabled":
        return current
    limits = []
    for policy in rules.policies:
        start = current - _added(changes, now_s - policy.period_seconds)
        share = policy.value / 100.0
        # From zero a share of nothing would stay nothing for ever.
        grown = start + policy.value if policy.type == "Pods" else math.ceil(max(start, 1) * (1.0 + share))
        limits.append(grown)
    return max(limits) if rules.select_policy == "Max" else min(limits)


def _limit_down(current: int, changes: Sequence[Change], rules: ScalingRules, now_s: float) -> int:
    if rules.select_policy == "Disabled":
        return current
    limits = []
    for policy in rules.policies:
        start = current + _removed(changes, now_s - policy.period_seconds)
        share = policy.value / 100.0
        limits.append(start - policy.value if policy.type == "Pods" else math.floor(start * (1.0 - share)))
    return max(0, min(limits) if rules.select_policy == "Max" else max(limits))


def _added(changes: Sequence[Change], since_s: float) -> int:
    return sum(max(0, change.after - change.before) for change in changes if change.at_s > since_s)


def _removed(changes: Sequence[Change], since_s: float) -> int:
    return sum(max(0, change.before - change.after) for change in changes if change.at_s > since_s)
