"""`planner pipeline`: replicas of every stage of a pipeline."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from planner.cli.command import Command
from planner.cli.finite_range import FiniteRange

if TYPE_CHECKING:
    from planner.pipeline_file import Pipeline

_EPILOG = """\b
Examples:
  planner pipeline rag.yaml
  planner pipeline rag.yaml --simulate --requests 20000
  planner pipeline rag.yaml --gpu-price 2.5 -o json

\b
A pipeline file (durations as 20ms or 2s; prices of one GPU for an hour):
  name: rag
  qps: 20
  objectives: ["e2e:p95<=8s", "ttft:p95<=700ms"]
  stages:
  - {name: embed, service: {profile: embedder.yaml}, gpuPrice: 0.8}
  - {name: retrieve, after: [embed], fanOut: 4, delay: {p50: 15ms, p99: 60ms}}
  - {name: rerank, after: [retrieve], fanOut: 16, service: {profile: reranker.yaml},
     sharesGpuWith: [embed]}   # on the same GPUs, and so of the same type
  - {name: generate, after: [rerank], gpuPrice: 2.5, service: {profile: my.yaml,
     inputTokens: 1500, outputTokens: 200}}
A stage may also have `probability` (of running), `unless` (a stage in whose place it
runs), `minReplicas` and `maxReplicas`; a delay may be {mean: 20ms, cv: 0.5}."""


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--simulate", is_flag=True, help="Serve requests one by one at the replicas found, and show both.")
@click.option("--requests", type=click.IntRange(1000, 10_000_000), default=50_000, show_default=True,
              help="Requests to simulate.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=1, show_default=True, help="Seed of the chance.")
@click.option("--gpu-price", type=FiniteRange(0.0, 1e6), metavar="USD",
              help="Price of one GPU for an hour, where the file has none.")  # fmt: skip
@click.option("-o", "--output", "form", type=click.Choice(["table", "json", "yaml", "csv"]), default="table",
              show_default=True, help="Output format.")  # fmt: skip
def pipeline(file: Path, simulate: bool, requests: int, seed: int, gpu_price: float | None, form: str) -> int:
    """Replicas of every stage of a pipeline, of least cost, that meet its end-to-end objectives.

    Stages are dynamic batchers, engines that make tokens, and delays; they follow each other, fan out, branch and join.
    How much of an objective each stage may take is not said but found. Exit code 1: no replicas meet it.
    """
    from models.errors import NoFeasiblePlan
    from planner.cli.interruptible import interruptible
    from planner.cli.options import painter, width
    from planner.pipeline import make_pipeline_plan
    from planner.pipeline_fields import no_plan_fields, plan_fields
    from planner.pipeline_file import read_pipeline
    from planner.reports.pipeline_table import pipeline_table

    asked = read_pipeline(file, gpu_price_per_h=gpu_price)
    if simulate:
        from planner.pipeline_simulation import require_room

        require_room(asked, requests)
    try:
        with _searching():
            plan = interruptible(lambda: make_pipeline_plan(asked))
    except NoFeasiblePlan as error:
        if form != "table":
            click.echo(_rendered(no_plan_fields(asked, error), form), nl=False)
        raise
    seen = _simulated(asked, plan.answer.counts, requests, seed) if simulate else None
    fields = plan_fields(plan, seen)
    text = pipeline_table(fields, painter(), width()) if form == "table" else _rendered(fields, form)
    click.echo(text, nl=False)
    return 0


@contextmanager
def _searching() -> Iterator[None]:
    """Says on a terminal what takes so long: many calls at once, sampled for every number of replicas."""
    shown = sys.stderr.isatty()
    click.echo("searching for the least cost …" if shown else "", err=True, nl=False)
    try:
        yield
    finally:
        click.echo("\r\033[K" if shown else "", err=True, nl=False)


def _simulated(asked: Pipeline, counts: tuple[int, ...], requests: int, seed: int) -> Any:
    from planner.cli.interruptible import interruptible
    from planner.pipeline_simulation import simulate_plan

    return interruptible(lambda: simulate_plan(asked, counts, requests=requests, seed=seed))


def _rendered(fields: dict[str, Any], form: str) -> str:
    from planner.reports.pipeline_rows import pipeline_rows
    from planner.reports.structured import render

    return render(fields, form) if form != "csv" else render(pipeline_rows(fields), form, complete=False)
