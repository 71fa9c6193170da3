"""What no number of replicas passes: bounds, schedules, GPUs, budget, and places for pods."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from controller.capacity_policy import DAYS, MAX_REPLICAS, Bounds, Schedule
from controller.reasons import Code, Reason
from controller.snapshot import Snapshot, Target


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The least and the most replicas now, and what makes them so."""

    lowest: int
    highest: int
    ceiling: int
    """The most that was asked for: `highest` without the namespace's quota, which moves with every pod.

    It is what a scaler's maximum becomes. The API server itself keeps a scaler within the quota; what is free of it at
    one moment would be another maximum at every tick, and a write each time.
    """
    least: int
    """The minimum that was asked for, whatever GPUs or money allow."""
    why_lowest: Reason
    why_highest: Reason
    why_ceiling: Reason

    def applied(self, replicas: int) -> tuple[int, list[Reason]]:
        """Within the limits, and the limit that was met."""
        if replicas > self.highest:
            return self.highest, [self.why_highest]
        if replicas < self.lowest:
            return self.lowest, [self.why_lowest]
        return replicas, []


def limits_at(snapshot: Snapshot, gpus_per_replica: int) -> Limits:
    """The limits of this moment. A minimum gives way to what GPUs or money allow.

    A replica has the GPUs that its target's templates ask for; those of the profile where they name none.
    """
    if snapshot.target is not None and snapshot.target.gpus_per_replica is not None:
        gpus_per_replica = snapshot.target.gpus_per_replica
    bounds = snapshot.spec.bounds
    lowest, why_lowest = bounds.min, Reason(code=Code.AT_MINIMUM, message=f"bounds.min is {bounds.min}")
    most = [(bounds.max, Reason(code=Code.AT_MAXIMUM, message=f"bounds.max is {bounds.max}"))]
    for schedule in bounds.schedules:
        if not in_force(schedule, snapshot.now_s):
            continue
        told = Reason(code=Code.SCHEDULE, message=f"schedule {schedule.name} is in force")
        if schedule.min is not None:
            lowest, why_lowest = schedule.min, told
        if schedule.max is not None:
            most[0] = (schedule.max, told)
    most += _of_gpus(bounds, gpus_per_replica)
    ceiling, why_ceiling = min(most, key=lambda each: each[0])
    most += _of_quota(snapshot, gpus_per_replica)
    highest, why_highest = min(most, key=lambda each: each[0])
    least = lowest
    if lowest > highest:
        lowest, why_lowest = highest, why_highest
    return Limits(
        lowest=lowest, highest=highest, ceiling=ceiling, least=least,
        why_lowest=why_lowest, why_highest=why_highest, why_ceiling=why_ceiling,
    )  # fmt: skip


def _of_gpus(bounds: Bounds, per_replica: int) -> list[tuple[int, Reason]]:
    most: list[tuple[int, Reason]] = []
    if per_replica == 0:  # a model on the CPU takes none, and costs no GPU
        return most
    if bounds.max_gpus is not None:
        count = bounds.max_gpus // per_replica
        message = f"bounds.maxGPUs {bounds.max_gpus} are {count} replicas of {per_replica}"
        most.append((count, Reason(code=Code.GPU_LIMIT, message=message)))
    if bounds.budget_per_hour is not None and bounds.gpu_price_per_hour is not None:
        price = bounds.gpu_price_per_hour * per_replica
        # Compared before it is divided: whatever the price, no more are asked for than a policy may.
        many = bounds.budget_per_hour >= price * MAX_REPLICAS
        count = MAX_REPLICAS if many else math.floor(bounds.budget_per_hour / price + 1e-9)
        message = f"bounds.budgetPerHour {bounds.budget_per_hour:g} pays for {count} replicas at {price:g} an hour"
        most.append((count, Reason(code=Code.BUDGET, message=message)))
    return most


def _of_quota(snapshot: Snapshot, per_replica: int) -> list[tuple[int, Reason]]:
    if per_replica == 0 or snapshot.gpus_free is None or snapshot.target is None:
        return []
    # What is there stays: a quota never takes anything away.
    count = snapshot.target.replicas + snapshot.gpus_free // per_replica
    message = f"the namespace's quota has {snapshot.gpus_free} GPUs left"
    return [(count, Reason(code=Code.GPU_QUOTA, message=message))]


def in_force(schedule: Schedule, now_s: float) -> bool:
    """Whether a schedule holds now, on the clocks of its time zone; its days are those on which it starts.

    One that ends when it starts lasts for a whole day.
    """
    local = datetime.fromtimestamp(now_s, ZoneInfo(schedule.time_zone))
    now, start, end = local.strftime("%H:%M"), schedule.start, schedule.end
    today, yesterday = DAYS[local.weekday()], DAYS[local.weekday() - 1]
    if start < end:
        return today in schedule.days and start <= now < end
    return (today in schedule.days and now >= start) or (yesterday in schedule.days and now < end)


def unable_to_place(target: Target) -> Reason | None:
    """Why more replicas would only wait: pods that find no place, or that fail as they are."""
    pods = target.pods
    if pods.unschedulable:
        message = f"{pods.unschedulable} pods find no place (too few GPUs?); more would only wait beside them"
        return Reason(code=Code.NO_PLACE, message=message)
    if pods.failing and pods.failing >= max(1, pods.ready):
        message = f"{pods.failing} pods fail again and again, {pods.ready} are ready; more of them would fail too"
        return Reason(code=Code.PODS_FAILING, message=message)
    return None
