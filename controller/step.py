"""From the replicas that are needed to those asked for now: limits, windows, pace, and a look before leaping."""

from __future__ import annotations

from controller.capacity_model import CapacityModel, Requirement
from controller.limits import Limits, limits_at, unable_to_place
from controller.memory import Memory
from controller.obstacles import Obstacles
from controller.planned_load import PlannedLoad
from controller.reasons import Code, Reason
from controller.snapshot import Snapshot
from controller.stabilization import paced, stabilized
from controller.writes import current_of
from planner.units import format_number

FULL_KV = 0.9
"""Share of KV memory in use beyond which vLLM preempts soon."""


class Step:
    """From the replicas that are needed to those that are asked for now."""

    def __init__(
        self,
        snapshot: Snapshot,
        memory: Memory,
        capacity: CapacityModel,
        planned: PlannedLoad,
        requirement: Requirement,
        found: Obstacles,
        needed: int,
    ) -> None:
        assert snapshot.target is not None
        self._snapshot, self._memory, self._capacity, self._planned = snapshot, memory, capacity, planned
        self._requirement, self._found, self._needed, self._target = requirement, found, needed, snapshot.target
        self.limits: Limits = limits_at(snapshot, capacity.gpus_per_replica)
        self.current = current_of(snapshot)

    def desired(self) -> tuple[int, list[Reason]]:
        reasons = []
        if self._requirement.infeasible:
            reasons.append(Reason(code=Code.UNREACHABLE_OBJECTIVE, message=self._requirement.infeasible))
        wanted, limited = self.limits.applied(self._needed)
        reasons += limited
        behavior = self._snapshot.spec.behavior
        steady = stabilized(
            self.current, wanted, self._memory.recommended, up=behavior.scale_up, down=behavior.scale_down,
            now_s=self._snapshot.now_s,
        )  # fmt: skip
        steady, _ = self.limits.applied(steady)
        if steady != wanted and (steady - self.current) * (wanted - self.current) <= 0:
            way = "fewer" if wanted < self.current else "more"
            reasons.append(
                Reason(
                    code=Code.STABILIZING,
                    message=f"{wanted} would do; {way} must be so for the whole stabilisation window",
                )
            )
        wanted = steady
        if wanted > self.current:
            return self._up(wanted, reasons)
        if wanted < self.current:
            return self._down(wanted, reasons)
        if not reasons:
            reasons.append(Reason(code=Code.STEADY, message=f"{_replicas(self.current)} what is needed"))
        return self.current, reasons

    def _up(self, wanted: int, reasons: list[Reason]) -> tuple[int, list[Reason]]:
        moved, slowed = risen(self._snapshot, self._memory, wanted)
        return moved, [*reasons, *slowed]

    def _down(self, wanted: int, reasons: list[Reason]) -> tuple[int, list[Reason]]:
        if self._found.no_scale_down:
            return self.current, [*reasons, *self._found.no_scale_down]
        moved = max(self._paced(self.current, wanted), self._below_what_runs(wanted))
        if moved == 0 and self.limits.least > 0:
            moved = min(self.current, 1)  # no limit takes the last one away: money for none is a slip of the pen
        if moved > wanted:
            reasons.append(
                Reason(code=Code.PACED, message=f"{wanted} would do; the scale-down policy allows {moved} now")
            )
        if moved == self.current:
            return moved, reasons
        stop = self._unsafe_at(moved)
        if stop is not None:
            return self.current, [*reasons, stop]
        message = (
            f"{format_number(self._planned.view.planned_per_s)} requests/s need {wanted}; {moved} hold every objective"
        )
        return moved, [*reasons, Reason(code=Code.DEMAND_FELL, message=message)]

    def _unsafe_at(self, replicas: int) -> Reason | None:
        """Why the smaller size will not do: it is looked at itself before anything is removed."""
        if replicas == 0 or replicas >= self.limits.highest:
            return None  # above the limit nothing is a choice
        values = self._capacity.values(self._planned.load, replicas, self._snapshot.spec.parsed_objectives)
        broken = [each for each in values if not each.met]
        if broken and not self._requirement.infeasible:
            return Reason(code=Code.STEADY, message=f"{replicas} replicas would break {broken[0].objective}")
        readings = self._snapshot.observation.readings
        usage = None if readings is None else readings.kv_usage
        ready = self._target.pods.ready
        fuller = None if usage is None else usage * ready / replicas
        if usage is not None and fuller is not None and fuller > FULL_KV:
            message = f"KV memory is {usage:.0%} full with {ready} replicas and would be {fuller:.0%} with {replicas}"
            return Reason(code=Code.KV_MEMORY, message=message)
        return None

    def _below_what_runs(self, wanted: int) -> int:
        """How far a scaler's minimum may go below what truly runs: a scaler that is behind falls all of it at once.

        While its own metrics hold more than the minimum, the minimum waits: nothing would run fewer by it.
        """
        if self._memory.running is None:
            return wanted
        behavior, changes = self._snapshot.spec.behavior, self._memory.running_changes
        now_s, running = self._snapshot.now_s, self._memory.running
        allowed = paced(running, wanted, changes, up=behavior.scale_up, down=behavior.scale_down, now_s=now_s)
        return min(self.current, allowed) if running > wanted else wanted

    def _paced(self, current: int, wanted: int) -> int:
        behavior = self._snapshot.spec.behavior
        return paced(
            current, wanted, self._memory.changes, up=behavior.scale_up, down=behavior.scale_down,
            now_s=self._snapshot.now_s,
        )  # fmt: skip


def _replicas(count: int) -> str:
    return "1 replica is" if count == 1 else f"{count} replicas are"


def risen(snapshot: Snapshot, memory: Memory, wanted: int) -> tuple[int, list[Reason]]:
    """How far up to `wanted` the lever may go now, and what stops or slows it."""
    assert snapshot.target is not None
    current, behavior = current_of(snapshot), snapshot.spec.behavior
    stop = unable_to_place(snapshot.target)
    if stop is not None:
        return current, [stop]
    base = max(current, snapshot.target.replicas)
    allowed = paced(
        base, max(base, wanted), memory.changes, up=behavior.scale_up, down=behavior.scale_down, now_s=snapshot.now_s
    )
    moved = max(current, min(wanted, allowed))
    if moved == wanted:
        return moved, []
    return moved, [Reason(code=Code.PACED, message=f"{wanted} are needed; the scale-up policy allows {moved} now")]
