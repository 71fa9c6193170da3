"""How far a scaler's maximum may go now: lowered below what runs, it takes capacity away at once.

Up to what runs it follows the ceiling at any time: that lets less grow, and removes nothing. Below that it falls as
replicas do: not where nothing may be scaled down, and at the pace of the policy, counted by the replicas that truly
ran. A scaler that grows between our look and our write would be cut back by as much: so what it wishes for counts as
running.
"""

from __future__ import annotations

from controller.limits import Limits
from controller.memory import Memory
from controller.obstacles import Obstacles
from controller.reasons import Code, Reason
from controller.snapshot import Snapshot
from controller.stabilization import paced
from controller.writes import running_of


def scaler_maximum(
    snapshot: Snapshot, memory: Memory, found: Obstacles, limits: Limits, least: int
) -> tuple[int | None, list[Reason]]:
    """The maximum to write, at least `least`, and what holds it above the ceiling; None without a scaler."""
    scaler = snapshot.scaler
    if scaler is None:
        return None, []
    asked, running = max(limits.ceiling, least, 1), running_of(snapshot)
    if asked >= running:
        return asked, []
    if found.no_scale_down:
        return running, [limits.why_ceiling, *found.no_scale_down]
    behavior = snapshot.spec.behavior
    allowed = paced(
        running, asked, memory.running_changes, up=behavior.scale_up, down=behavior.scale_down, now_s=snapshot.now_s
    )
    if allowed == asked:
        return asked, [limits.why_ceiling]
    message = (
        f"{running} replicas run under {scaler.kind} {scaler.name}, and {asked} would be its maximum; the scale-down "
        f"policy allows a maximum of {allowed} now"
    )
    return allowed, [limits.why_ceiling, Reason(code=Code.PACED, message=message)]
