"""Five hundred ticks in which everything goes wrong at random: no write is unsafe, nothing grows, all recovers.

`make fuzz` takes new seeds, and says them; `SOAK_SEED=7 pytest tests/controller/test_soak.py` goes through one again.
"""

from __future__ import annotations

import os
import random

import pytest

from controller import capacity_model
from controller.memory import Memory
from tests.controller.soak_world import NAMES, SoakWorld
from tests.controller.world import TICK_S

TICKS = 500
HOLIDAY = 120
"""Ticks without faults at the end: half an hour."""
MOST_REMEMBERED = 3 * (3600.0 / TICK_S + 2.0)
LASTING = (
    "prometheus down", "no series", "stale series", "not a number", "clock skew", "partial",
    "reset", "queue", "draining", "endless prompts", "no request ended", "slow", "full memory",
    "stale one", "stale two", "handover", "lost answers", "forbidden",
    *(f"api {status}" for status in (0, 403, 409, 422, 429, 500)),
)  # fmt: skip


def seeds() -> list[int]:
    if "SOAK_SEED" in os.environ:
        return [int(os.environ["SOAK_SEED"])]
    if os.environ.get("HYPOTHESIS_PROFILE") == "fuzz":
        return [random.SystemRandom().randrange(2**31) for _ in range(30)]
    return [1, 2, 3]


def go_wrong(world: SoakWorld) -> None:
    """Sometimes something new."""
    chance = world.chance
    for model in world.models.values():
        model.rate_per_s = min(
            150.0, max(0.0, model.rate_per_s * chance.uniform(0.93, 1.07) + chance.uniform(-0.5, 0.5))
        )
        if chance.random() < 0.03:
            model.wish = chance.choice((0, 0, 3, 6, 12))
        if chance.random() < 0.02:
            model.rate_per_s = chance.choice((0.0, 5.0, 60.0, 150.0))
    if chance.random() < 0.06:
        world.faults[chance.choice(LASTING)] = world.true_s + TICK_S * chance.choice((1, 2, 4, 10, 30))
    if chance.random() < 0.08:
        once(world, chance.choice(NAMES))
    if chance.random() < 0.04:
        world.mend(chance.choice(NAMES))


def once(world: SoakWorld, name: str) -> None:
    """Something that stays until it is otherwise."""
    chance, model = world.chance, world.models[name]
    what = chance.randrange(12)
    if what == 0:
        world.rival(name, chance.randrange(1, 12), chance.choice(("kubectl-scale", "argocd-controller", "keda")))
    elif what == 1:
        model.full = not model.full
    elif what == 2:
        model.failing = chance.choice((0, 0, 1, 3))
    elif what == 3:
        model.rolling = not model.rolling
    elif what == 4:
        known = ("Deployment", name) in world.objects
        world.objects.pop(("Deployment", name)) if known else world.create(name)
    elif what == 5:
        world.edit(name, paused=chance.random() < 0.5, mode=chance.choice(("Enforce", "Enforce", "Advise")))
    elif what == 6 and name in ("plain", "hpa", "quick"):
        low = chance.randrange(1, 6)
        world.edit(name, bounds={"min": low, "max": low + chance.randrange(0, 10)})
    elif what == 7:
        world.other_profile()
    elif what == 8:
        world.killed = not world.killed
    elif what == 10:
        world.rival_maximum(name, chance.randrange(1, 20))
    elif what == 9:
        world.jump(chance.choice((-7200.0, -600.0, -30.0, 600.0, 7200.0)))
    else:
        world.lease.holder = chance.choice(("one", "two"))


@pytest.fixture(autouse=True)
def coarse_answers(monkeypatch):
    """What is sized is rounded up to a tenth: the soak asks of writes, not of milliseconds."""
    monkeypatch.setattr(capacity_model, "GRID", 1.1)


@pytest.mark.parametrize("seed", seeds())
def test_no_write_is_unsafe_whatever_goes_wrong(seed: int, record_property):
    record_property("seed", seed)
    world = SoakWorld(seed)
    for _ in range(TICKS):
        go_wrong(world)
        world.tick()
        assert all(size(each) <= MOST_REMEMBERED for each in memories(world))
    assert world.accepted > 20
    world.all_well()
    for _ in range(HOLIDAY):
        world.tick()
    for judged in world.controllers.values():
        for name in NAMES:
            decision = judged.past[name][-1][1]
            assert decision.needed is not None, (name, decision.reasons)


def memories(world: SoakWorld) -> list[Memory]:
    return [memory for judged in world.controllers.values() for memory in judged.controller.memories.values()]


def size(memory: Memory) -> int:
    return len(memory.demand) + len(memory.recommended) + len(memory.changes) + len(memory.running_changes)
