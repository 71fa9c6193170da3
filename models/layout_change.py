"""A step time measured on one layout of GPUs, carried to another: an estimate.

A pipeline of `pp` stages works on `pp` batches at a time, each of a `pp`-th of the running sequences. A round in which
every batch passes every stage once, so that every sequence gains a token, is taken as the step: all token terms are
divided by `pp`, the base (weights over bandwidth of one stage after the other) is not, and the hops are added. What
that leaves out is the filling of an idle pipeline, `pipeline_fill_s` (Narayanan et al., SC 2021, §2.2.1: the bubble is
(pp − 1) times a batch's time in one stage).
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

    @property
    def spread(self) -> float:
        """How many times more GPUs work on the tokens of a round."""
        return self.after.gpus / self.before.gpus


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


def pipeline_fill_s(after: StepTime, layout: Layout, prompt_tokens: float, budget: float) -> float:
    """What a prompt in an idle pipeline waits beside its own round: (pp − 1) times one stage's work on its batch.

    `after` is the step time of a round on the layout; a batch holds at most `budget` tokens of the prompt.
    """
    tokens = min(prompt_tokens, budget)
    return (layout.pipeline - 1) * float(after.seconds(tokens, 0.0, 0.0) - after.seconds(0.0, 0.0, 0.0))


def _line(line: LinearStepTime, change: LayoutChange) -> LinearStepTime:
    before, after = change.talk_before, change.talk_after
    stages_before, stages_after = change.before.pipeline, change.after.pipeline
    launch = min(change.launch_s, LEAST_WORK * line.base_s)

    def of_tokens(term_s: float) -> float:
        work = max(term_s - before.per_token_s / stages_before, LEAST_WORK * term_s)
        return work / change.spread + after.per_token_s / stages_after

    work = max(line.base_s - launch - before.fixed_s, LEAST_WORK * (line.base_s - launch))
    return LinearStepTime(
        base_s=launch + work / change.width + after.fixed_s,
        per_prefill_token_s=of_tokens(line.per_prefill_token_s),
        per_decode_s=of_tokens(line.per_decode_s),
        per_kv_token_s=line.per_kv_token_s * change.kv_ratio * stages_before / stages_after,
    )
