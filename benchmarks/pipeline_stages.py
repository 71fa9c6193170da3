"""An engine in pipeline stages, simulated batch by batch, against the one-step approximation: `make bench-layouts`.

Independent of `models.layout_change`: stages are servers in a row, each with one batch at a time; a scheduler hands
the first stage a batch whenever fewer are under way than there are stages (vLLM V1's queue of batches), with every
running sequence that is in no batch yet (a token each) and as many tokens of waiting prompts as the budget leaves. A
batch's time in a stage is its part of the layers: (base + per token · tokens) / stages, and a hop.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np


@dataclass(kw_only=True)
class _Request:
    arrival_s: float
    prompt_left: int
    tokens_left: int
    first_s: float = 0.0
    last_s: float = 0.0
    in_batch: bool = False


Batch = list[tuple[_Request, int]]
"""Who is in it, with how many tokens of its prompt; 0 for a decode."""


@dataclass(kw_only=True)
class StagedEngine:
    """All times in seconds, of one pass through all layers."""

    stages: int
    base_s: float
    per_prompt_token_s: float
    per_decode_s: float
    hop_s: float
    budget: int
    most: int
    """Running sequences."""
    running: list[_Request] = field(default_factory=list)
    waiting: deque[_Request] = field(default_factory=deque)
    free_at: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.free_at = [0.0] * self.stages

    def batch(self) -> tuple[Batch, float]:
        """The next batch, and its time in one stage."""
        free = [each for each in self.running if not each.in_batch]
        # Decodes spread over the batches under way, as they come free one batch after the other.
        chosen = [(each, 0) for each in free if each.prompt_left == 0]
        room = self.budget - len(chosen)
        prompts = 0
        for each in [each for each in free if each.prompt_left > 0]:
            taken = min(room, each.prompt_left)
            if taken > 0:
                chosen.append((each, taken))
                room, prompts = room - taken, prompts + taken
        while self.waiting and room > 0 and len(self.running) < self.most:
            request = self.waiting.popleft()
            self.running.append(request)
            taken = min(room, request.prompt_left)
            chosen.append((request, taken))
            room, prompts = room - taken, prompts + taken
        decodes = sum(1 for _, taken in chosen if taken == 0)
        work = self.base_s + self.per_prompt_token_s * prompts + self.per_decode_s * decodes
        for request, _ in chosen:
            request.in_batch = True
        return chosen, work / self.stages + self.hop_s

    def end(self, members: Batch, at_s: float) -> None:
        """A batch has left the last stage: a token for each whose prompt is done."""
        for request, taken in members:
            request.in_batch = False
            request.prompt_left -= taken
            if request.prompt_left > 0:
                continue
            request.tokens_left -= 1
            if taken:
                request.first_s = at_s
            if request.tokens_left == 0:
                request.last_s = at_s
                self.running.remove(request)

    def pass_stages(self, now_s: float, stage_s: float) -> float:
        """When a batch that is handed over now leaves the last stage, behind those before it."""
        for stage in range(self.stages):
            now_s = max(now_s, self.free_at[stage]) + stage_s
            self.free_at[stage] = now_s
        return now_s


def simulate(
    engine: StagedEngine, *, rate_per_s: float, prompt: int, output: int, requests: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Time to first token and mean time per output token of each request, seconds, after a tenth to warm up."""
    arrivals = np.cumsum(np.random.default_rng(seed).exponential(1.0 / rate_per_s, requests))
    everyone = [_Request(arrival_s=float(at), prompt_left=prompt, tokens_left=output) for at in arrivals]
    pending = deque(everyone)
    under_way: deque[tuple[float, Batch]] = deque()  # batches leave in the order in which they came
    now = 0.0
    while pending or engine.waiting or engine.running:
        while pending and pending[0].arrival_s <= now:
            engine.waiting.append(pending.popleft())
        while under_way and under_way[0][0] <= now:
            at, members = under_way.popleft()
            engine.end(members, at)
        while len(under_way) < engine.stages and (started := engine.batch())[0]:
            members, stage_s = started
            under_way.append((engine.pass_stages(now, stage_s), members))
        later = [under_way[0][0]] if under_way else []
        now = min([*later, pending[0].arrival_s] if pending else later, default=now)
    kept = everyone[requests // 10 :]
    ttft = np.array([each.first_s - each.arrival_s for each in kept])
    tpot = np.array([(each.last_s - each.first_s) / (output - 1) for each in kept])
    return ttft, tpot
