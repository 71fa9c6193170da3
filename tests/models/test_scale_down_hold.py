"""What a policy for scaling down holds, against the policy played second by second."""

from __future__ import annotations

import numpy as np
import pytest

from models.scale_down_hold import ScaleDownPolicy, held_replicas


def played(needed, policy: ScaleDownPolicy, slot_s: int) -> np.ndarray:
    """autoscaling/v2 with a recommendation each second: the highest of the window, then so many a period."""
    need = np.repeat(needed, slot_s)
    window, current, changes = int(policy.window_s), need[0], []
    running = np.empty(len(need))
    for second in range(len(need)):
        wanted = need[max(0, second - window + 1) : second + 1].max()
        recent = sum(size for at, size in changes if at > second - policy.period_s)
        if wanted > current:
            current = wanted
        elif wanted < current:
            step = min(current - wanted, policy.replicas - recent)
            if step > 0:
                current -= step
                changes.append((second, step))
        running[second] = current
    return running.reshape(-1, slot_s).mean(axis=1)


@pytest.mark.parametrize("policy", [ScaleDownPolicy(), ScaleDownPolicy(window_s=900, replicas=2, period_s=120)])
def test_falls_that_are_over_before_the_next_are_those_of_the_policy(policy):
    needed = np.array([2, 9, 4, 4, 4, 1, 1, 6, 6, 6, 3, 3, 3, 0, 0], dtype=float)
    np.testing.assert_allclose(held_replicas(needed, policy, slot_s=3600), played(needed, policy, 3600), atol=0.02)


def test_holds_longer_than_a_slot_never_exceed_the_highest_need_before_them():
    rng = np.random.default_rng(7)
    needed = rng.integers(0, 12, 60).astype(float)
    policy = ScaleDownPolicy(window_s=1800, replicas=1, period_s=300)
    held = held_replicas(needed, policy, slot_s=600)
    assert np.all(held >= needed)
    exact = played(needed, policy, 600)
    assert np.abs(held - exact).mean() < 0.15 * needed.mean()


def test_what_is_not_known_stays_so_and_nothing_falls_from_it():
    needed = np.array([5.0, np.nan, 1.0, 1.0])
    held = held_replicas(needed, ScaleDownPolicy(), slot_s=3600)
    assert np.isnan(held[1])
    assert list(held[[0, 2, 3]]) == [5.0, 1.0, 1.0]
