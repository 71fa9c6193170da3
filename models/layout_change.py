"""A step time measured on one layout of GPUs, carried to another: an estimate.

A pipeline of `pp` stages works on `pp` batches at a time, each of a `pp`-th of the running sequences. A round in which
every batch passes every stage once, so that every sequence gains a token, is taken as the step. Stages keep the order
of batches, so that a round lasts as long as its longest batch takes to pass all stages (the bubble of Narayanan et al.,
SC 2021, §2.2.1, where batches differ): the base, and a prompt's tokens, which are in one batch, count in full, whatever
the number of stages; decodes and the KV they read, which are spread over the batches, are divided by it. Against a
simulation of the stages the time per token is within 16 % up to half of capacity, and too long above: capacity itself
is underestimated, for at saturation every batch has prompts (docs/layout-accuracy.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from models.errors import InvalidInput
from models.parallel_layout import Layout, Talk
from models.step_time import ExpertsStepTime, LinearStepTime, SqrtStepTime, StepTime

LEAST_WORK = 0.5
"""Of a measured term, the share that is taken to be work whatever the formulas say of communication."""


@dataclass(frozen=True, kw_only=True)
class LayoutChange:
    """From one layout to another, with what each spends on communication in a pass."""

    before: Layout
    after: Layout
    talk_before: Talk
    talk_after: Talk
    launch_s: float
    """Of a step's base, what more GPUs do not shorten: scheduling, launches, sampling."""
    kv_ratio: float
    """Bytes of KV a token on one GPU, after over before: key-value heads are shared out until none is left to share."""

    @property
    def width(self) -> float:
        """How many times wider a stage is."""
        return self.after.tensor / self.before.tensor


def carried_over(step_time: StepTime, change: LayoutChange) -> StepTime:
    """The step time on the new layout. Raises InvalidInput for forms that are not sums of terms."""
    if isinstance(step_time, LinearStepTime):
        return _line(step_time, change)
    if isinstance(step_time, SqrtStepTime):
        # The square-root term bends at a batch's share of the sequences.
        stages = change.after.pipeline / change.before.pipeline
        bent = step_time.per_sqrt_decode_s / change.width / math.sqrt(stages)
        return SqrtStepTime(linear=_line(step_time.linear, change), per_sqrt_decode_s=bent)
    if isinstance(step_time, ExpertsStepTime):
        # Each batch of a pipeline touches experts anew; as many as all of them together is an upper bound.
        return ExpertsStepTime(
            linear=_line(step_time.linear, change),
            experts=step_time.experts,
            experts_per_token=step_time.experts_per_token,
            per_expert_s=step_time.per_expert_s / change.width,
        )
    raise InvalidInput(
        "a step time with weights and perTokenCompute cannot be carried to another layout",
        remedy="give base, perPrefillToken, perDecodeSequence and perKvToken",
    )


def _line(line: LinearStepTime, change: LayoutChange) -> LinearStepTime:
    before, after = change.talk_before, change.talk_after
    stages_before, stages_after = change.before.pipeline, change.after.pipeline
    launch = min(change.launch_s, LEAST_WORK * line.base_s)

    def of_tokens(term_s: float, batches_before: int, batches_after: int) -> float:
        work = max(term_s - before.per_token_s / batches_before, LEAST_WORK * term_s) * batches_before
        return (work / change.width + after.per_token_s) / batches_after

    work = max(line.base_s - launch - before.fixed_s, LEAST_WORK * (line.base_s - launch))
    return LinearStepTime(
        base_s=launch + work / change.width + after.fixed_s,
        per_prefill_token_s=of_tokens(line.per_prefill_token_s, 1, 1),
        per_decode_s=of_tokens(line.per_decode_s, stages_before, stages_after),
        per_kv_token_s=line.per_kv_token_s * change.kv_ratio * stages_before / stages_after,
    )
