"""First tokens that come far later than the engine's own steps explain: what plans do not contain."""

from __future__ import annotations

from collections.abc import Iterator

from models.mean_step import steady_point
from planner.checks.finding import Finding, Severity, Subject, seconds

TIMES, BEYOND_S = 3.0, 0.05
"""A measured TTFT so many times the model's, and so much longer, has something else in it."""


def findings(subject: Subject) -> Iterator[Finding]:
    """Of the closed loop that is explained best: where one is, the others were disturbed."""
    step_time = subject.step_time
    if step_time is None:
        return
    explained = []
    for index, point in enumerate(subject.measurements):
        if point.concurrency is None or point.ttft_s is None:
            continue
        at_rest, prompt = (float(step_time.seconds(tokens, 1.0, 0.0)) for tokens in (0.0, point.input_tokens))
        told = steady_point(step_time, point, subject.limits).ttft_s + subject.overhead_s
        told += (point.concurrency - 1.0) * (prompt - at_rest)  # all others began with it
        explained.append((point.ttft_s / told, index, point.ttft_s, told))
    if not explained:
        return
    times, index, measured, told = min(explained)
    if times > TIMES and measured - told > BEYOND_S:
        yield Finding(
            severity=Severity.WARNING,
            code="first-token-unexplained",
            where=subject.where(index),
            what=(
                f"TTFT {seconds(measured)}; the engine's steps, the overhead kept and the prompts of all other users "
                f"explain {seconds(told)} of it"
            ),
            meaning=(
                f"{seconds(measured - told)} are the client, the network or a queue: plans do not count them, and "
                "promise a TTFT that much shorter"
            ),
            remedy="measure one user alone, near the engine; or give firstTokenOverhead",
        )
