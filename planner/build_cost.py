"""What building engines costs: GPUs that serve nothing meanwhile and an engineer, for each version of the model."""

from __future__ import annotations

from dataclasses import dataclass

HOURS_A_MONTH = 730.5
"""365.25 days × 24 / 12."""


@dataclass(frozen=True, kw_only=True)
class BuildCost:
    """What a compiled engine takes for each version of the model."""

    compile_hours: float
    """On the GPUs of one replica, which serve nothing meanwhile."""
    set_up_hours: float = 0.0
    """An engineer's."""
    engineer_per_h: float = 0.0
    releases_per_month: float = 0.0
    """Versions of the model after the first."""

    def per_version(self, gpus: int, gpu_per_h: float) -> float:
        """Dollars."""
        return self.compile_hours * gpus * gpu_per_h + self.set_up_hours * self.engineer_per_h

    @property
    def hours_between(self) -> float | None:
        """Hours that a version serves until the next is built; None where there is no next."""
        return HOURS_A_MONTH / self.releases_per_month if self.releases_per_month else None

    def per_hour(self, per_version: float) -> float:
        """What a version costs, spread over the hours that it serves; nothing where no other follows."""
        return 0.0 if self.hours_between is None else per_version / self.hours_between

    def gpus_building(self, gpus: int) -> float:
        """How many are taken by building, on average, of a replica of so many GPUs."""
        return 0.0 if self.hours_between is None else self.compile_hours * gpus / self.hours_between

    def hours_until_paid(self, saving_per_h: float, per_version: float) -> float | None:
        """Hours until savings have paid for the first version and those that follow; None where they never do."""
        net = saving_per_h - self.per_hour(per_version)
        if net <= 0.0:
            return None
        return per_version / net
