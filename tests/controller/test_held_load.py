"""A steady load with the noise of counting: nothing moves, and the model is asked little that is new."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from controller.capacity_model import CapacityModel
from controller.held_load import held_rate, lengths_followed
from controller.memory import Memory
from controller.snapshot import Evidence, Observation, Snapshot
from planner.profile import load_profile
from tests.controller.world import OUTPUT, PROFILE, PROMPT, START, TICK_S, World, policy, readings

HOUR = 3600.0


class Noisy:
    """Poisson arrivals with exponential lengths; rates and means over the last minute, as Prometheus gives them."""

    def __init__(self, rate_per_s: float, seed: int) -> None:
        chance = np.random.default_rng(seed)
        arrived = chance.poisson(rate_per_s * TICK_S, 4000)
        minute = np.lib.stride_tricks.sliding_window_view(arrived, 4).sum(axis=1)
        tokens = (np.array([chance.gamma(np.maximum(arrived, 1), mean) for mean in (PROMPT, OUTPUT)])).T
        total = np.lib.stride_tricks.sliding_window_view(tokens, 4, axis=0).sum(axis=2)
        self._rate, self._mean = minute / 60.0, total / np.maximum(minute, 1)[:, None]

    def __call__(self, seconds: float, snapshot: Snapshot) -> Snapshot:
        index = round(seconds / TICK_S)
        prompt, output = self._mean[index]
        seen = readings(
            snapshot.now_s, float(self._rate[index]), snapshot.target.pods.ready,
            prompt_tokens=float(prompt), output_tokens=float(output), itl_s=0.012, ttft_s=0.04,
        )  # fmt: skip
        return replace(snapshot, observation=Observation(evidence=Evidence.FRESH, readings=seen))


@pytest.mark.parametrize("rate", [6.0, 42.5, 128.7, 169.9])
def test_noise_about_an_edge_moves_no_replicas_and_asks_little_that_is_new(rate: float):
    asked = CapacityModel(load_profile(PROFILE))
    world = World(see=Noisy(rate, 1), policy=policy(objectives=["ttft:p99<=500ms"]), capacity=asked)
    world.run(HOUR)
    settled, known = len(world.writes), asked.questions
    world.run(3 * HOUR)
    assert len(world.writes) == settled
    assert asked.questions - known <= 0.15 * 3 * HOUR / TICK_S


def test_a_rate_falls_when_it_is_lower_by_more_than_chance_and_rises_at_once():
    def held(planned: float, *, present: float = 0.0) -> float:
        return held_rate(100.0, planned, present_per_s=present, window_s=60.0)

    assert [held(96.0), held(100.5), held(94.0), held(102.0)] == [100.0, 100.0, 94.0, 102.0]
    assert held_rate(None, 3.0, present_per_s=3.0, window_s=60.0) == 3.0
    assert held_rate(1.0, 0.9, present_per_s=0.9, window_s=60.0) == 1.0
    assert held_rate(1.0, 0.8, present_per_s=0.8, window_s=60.0) == 0.8
    assert held_rate(1.0, 0.0, present_per_s=0.0, window_s=60.0) == 0.0


def test_lengths_follow_a_change_at_once_and_noise_slowly():
    memory = Memory()

    def look(prompt: float, rate: float = 50.0) -> float:
        nonlocal memory
        seen = readings(START, rate, 1, prompt_tokens=prompt)
        memory = lengths_followed(memory, seen, START)
        assert memory.prompt is not None
        return memory.prompt.held

    assert look(500.0) == 500.0
    assert [look(500.0 * (1.0 + 0.05 * math.sin(step))) for step in range(50)] == [500.0] * 50
    assert look(800.0) == 800.0
    assert look(1600.0, rate=0.05) < 900.0
    assert max(look(840.0) for _ in range(40)) > 820.0
