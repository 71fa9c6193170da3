"""What `planner size`, `predict` and `simulate` do with a profile of Triton's dynamic batcher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from models.errors import InvalidInput
from models.objective import Objective
from models.prediction import Routing
from planner.batching_answer import BatchingQuestion, predict_replicas, simulate_replicas
from planner.batching_fields import answer_fields, plan_fields
from planner.batching_request import batching_question
from planner.batching_sizing import highest_rate, size_batching
from planner.cli.options import no_plan_told, painter, width, workload_said
from planner.profile import EngineProfile
from planner.reports.batching_table import batching_table
from planner.reports.structured import render
from planner.units import format_number


def question_of(
    profile: EngineProfile,
    options: Mapping[str, Any],
    objectives: Sequence[Objective],
    *,
    gpu_price: float | None,
    needs_rate: bool = True,
) -> BatchingQuestion:
    """The question that the options ask. Raises InvalidInput for those that mean nothing here."""
    return batching_question(
        profile,
        workload_said(options, needs_rate=needs_rate),
        objectives,
        routing=Routing(options["routing"]),
        gpu_price_per_h=gpu_price,
    )


def refuse_of_tokens(profile: EngineProfile, said: Mapping[str, bool]) -> None:
    """Refuse options that only profiles of token-making engines know."""
    for name, given in said.items():
        if given:
            raise InvalidInput(f"{name} is not known for the dynamic batcher of {profile.name}", remedy="drop it")


def size_batcher(question: BatchingQuestion, *, max_replicas: int, form: str) -> int:
    """`planner size`."""
    with no_plan_told(question.profile, question.objectives, form):
        plan = size_batching(question, max_replicas=max_replicas)
    _tell(question, plan_fields(question, plan), "", form)
    return 0


def predict_batcher(question: BatchingQuestion, *, replicas: int, max_qps: bool, form: str) -> int:
    """`planner predict`."""
    more: dict[str, Any] = {}
    if max_qps:
        with no_plan_told(question.profile, question.objectives, form, max_qps=None):
            question = highest_rate(question, replicas)
        more = {"feasible": True, "max_qps": question.arrivals.rate_per_s}
        if form == "table":
            most = format_number(question.arrivals.rate_per_s)
            click.echo(f"{most} requests/s is the highest rate that meets every objective.")
    _tell(question, {**answer_fields(question, predict_replicas(question, replicas)), **more}, "predicted", form)
    return 0


def simulate_batcher(question: BatchingQuestion, *, replicas: int, requests: int, seed: int, form: str) -> int:
    """`planner simulate`."""
    answer = simulate_replicas(question, replicas, requests=requests, seed=seed)
    fields = {**answer_fields(question, answer), "requests": requests, "seed": seed}
    fields["assumptions"].append(f"one of the replicas is simulated, {requests:,} requests, seed {seed}")
    _tell(question, fields, "simulated", form)
    return 0


def _tell(question: BatchingQuestion, fields: dict[str, Any], verb: str, form: str) -> None:
    if form == "table":
        click.echo(batching_table(fields, question.profile.spec.gpu.type, verb, painter(), width()), nl=False)
    else:
        click.echo(render(fields, form), nl=False)
