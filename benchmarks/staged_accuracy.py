"""The approximation of `models.layout_change` for pipelines, against the simulation in `benchmarks.pipeline_stages`."""

from __future__ import annotations

from collections import defaultdict
from itertools import product

import numpy as np

from benchmarks.pipeline_stages import StagedEngine, simulate
from models.capacity import capacity
from models.continuous_batching import predict
from models.engine import Engine, EngineLimits
from models.layout_change import LayoutChange, carried_over
from models.parallel_layout import Layout, Talk
from models.step_time import LinearStepTime
from models.token_lengths import TokenLengths
from models.workload import OpenArrivals, Workload

STAGES = (2, 4, 8)
LOADS = (0.2, 0.5, 0.8)
LENGTHS = ((1000, 300), (200, 100), (4000, 200))
STEPS = ((0.045, 2.4e-4, 2.4e-4), (0.030, 5e-5, 1e-4))
"""Base, and times of a prompt token and of a decode, of a pass through all layers."""
HOP_S, BUDGET, MOST, REQUESTS, SEED = 2e-5, 2048, 256, 1500, 1


def table() -> list[str]:
    """Predicted over simulated, less one, by load."""
    errors = defaultdict(list)
    for stages, step, lengths, load in product(STAGES, STEPS, LENGTHS, LOADS):
        errors[load].append(_errors(stages, step, lengths, load))
    lines = [
        "| load | cases | tpot mean: median | range | ttft mean: median | range |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for load, found in errors.items():
        tpot, ttft = np.array(found).T
        lines.append(
            f"| {load:.0%} | {len(found)} | {np.median(tpot):+.1%} | {tpot.min():+.0%} to {tpot.max():+.0%} | "
            f"{np.median(ttft):+.1%} | {ttft.min():+.0%} to {ttft.max():+.0%} |"
        )
    return lines


def _errors(
    stages: int, step: tuple[float, float, float], lengths: tuple[int, int], load: float
) -> tuple[float, float]:
    base, per_prompt_token, per_decode = step
    line = LinearStepTime(
        base_s=base, per_prefill_token_s=per_prompt_token, per_decode_s=per_decode, per_kv_token_s=0.0
    )
    change = LayoutChange(
        before=Layout(),
        after=Layout(pipeline=stages, gpus_per_node=stages),
        talk_before=Talk(),
        talk_after=Talk(fixed_s=stages * HOP_S),
        launch_s=0.0,
        kv_ratio=1.0,
    )
    limits = EngineLimits(max_num_seqs=MOST, max_num_batched_tokens=BUDGET)
    engine = Engine(step_time=carried_over(line, change), limits=limits)
    prompt, output = lengths
    work = TokenLengths.of(prompt, output)
    rate = load * capacity(engine, work, 0.0).requests_per_s
    found = predict(engine, Workload(arrivals=OpenArrivals(rate_per_s=rate), lengths=work), replicas=1)
    staged = StagedEngine(
        stages=stages,
        base_s=base,
        per_prompt_token_s=per_prompt_token,
        per_decode_s=per_decode,
        hop_s=HOP_S,
        budget=BUDGET,
        most=MOST,
    )
    ttft, tpot = simulate(staged, rate_per_s=rate, prompt=prompt, output=output, requests=REQUESTS, seed=SEED)
    return found.laws["tpot"].mean_s / tpot.mean() - 1.0, found.laws["ttft"].mean_s / ttft.mean() - 1.0
