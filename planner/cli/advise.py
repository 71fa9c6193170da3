"""`planner advise`: which engine and topology serve the needs."""

from __future__ import annotations

import textwrap
from typing import Any, Literal

import click

from planner.cli.command import Command
from planner.cli.finite_range import FiniteRange

_EPILOG = """\b
Examples:
  planner advise --openai-api --streaming --set-up minutes
  planner advise --llms 1 --other-models 3 --grpc
  planner advise --max-throughput --set-up days --model meta-llama/Llama-3.1-70B --gpu H100-SXM5-80GB
  planner advise --edge --model Qwen/Qwen3-8B --gpu-memory 16"""
_WIDTH = 100


@click.command(cls=Command, epilog=_EPILOG)
@click.option("--llms", type=click.IntRange(0, 10_000), default=1, show_default=True, help="Language models.")
@click.option("--other-models", type=click.IntRange(0, 10_000), default=0, show_default=True,
              help="Models of other kinds: vision, tabular, embeddings, rerankers.")  # fmt: skip
@click.option("--openai-api", is_flag=True, help="Clients use the OpenAI API or SDK.")
@click.option("--grpc", is_flag=True, help="Clients use gRPC.")
@click.option("--streaming", is_flag=True, help="Answers are streamed.")
@click.option("--shared-gpu", is_flag=True, help="Several models on one GPU.")
@click.option("--pipeline", is_flag=True, help="Requests go through several models: ensembles, RAG.")
@click.option("--edge", is_flag=True, help="Little memory, one small machine.")
@click.option("--max-throughput", is_flag=True, help="The most tokens per GPU, whatever it takes to build.")
@click.option(
    "--spans-nodes", is_flag=True, help="The largest model is too large for one node (else told by --model and --gpu)."
)
@click.option("--set-up", type=click.Choice(["minutes", "hours", "days"]), default="hours", show_default=True,
              help="Time there is until it serves.")  # fmt: skip
@click.option("--model", help="The largest language model, for numbers.")
@click.option("--gpu", help="GPU type, such as H100-SXM5-80GB, for numbers.")
@click.option("--gpu-memory", "memory_gib", type=FiniteRange(0.5, 1024.0), metavar="GIB",
              help="Memory of the edge machine's GPU, for numbers (needs --edge and --model).")  # fmt: skip
@click.option("--quantization", help="Such as fp8, awq.  [default: by the model's name or shipped profiles, or none]")
@click.option("-o", "--output", "form", type=click.Choice(["table", "json", "yaml"]), default="table",
              show_default=True, help="Form of the answer.")  # fmt: skip
def advise(
    form: Literal["table", "json", "yaml"],
    set_up: str,
    model: str | None,
    gpu: str | None,
    memory_gib: float | None,
    quantization: str | None,
    spans_nodes: bool,
    **needs: Any,
) -> None:
    """Which engine and topology serve the needs, why, and what commonly goes wrong with it.

    Rules, in order: what an engine cannot do at all before what it does better. With --model, what shipped profiles
    predict, how far they are to be trusted, and whether the model fits a node.
    """
    from models.errors import InvalidInput
    from planner.advice import Needs, SetUp
    from planner.advice import advise as advice_for
    from planner.advice_memory import widest_that_fits
    from planner.advice_numbers import compiled_gain, numbers
    from planner.advice_subject import subject
    from planner.reports.structured import render

    if model is None and (gpu is not None or quantization is not None):
        raise InvalidInput("--gpu and --quantization mean nothing without --model", remedy="add --model, or drop them")
    if model is not None and needs["llms"] == 0:
        raise InvalidInput("--model is of a language model, and --llms is 0", remedy="drop --model, or give --llms 1")
    if memory_gib is not None and (model is None or not needs["edge"] or gpu):
        raise InvalidInput("--gpu-memory is of an edge machine's GPU", remedy="add --edge and --model, and drop --gpu")
    asked = None if model is None else subject(model, gpu, quantization)
    exceeds = asked is not None and memory_gib is None and asked.exceeds_node
    fits = None if asked is None or memory_gib is None else widest_that_fits(asked, memory_gib)
    found = advice_for(
        Needs(
            set_up=SetUp(set_up),
            spans_nodes=spans_nodes or exceeds,
            trtllm_gain=None if asked is None else compiled_gain(asked),
            precision=f"{asked.precision} ({asked.basis})" if asked is not None and exceeds else "",
            edge_precision=fits or "",
            **needs,
        )
    )
    figures = [] if asked is None else list(numbers(asked, memory_gib=memory_gib))
    if form != "table":
        fields = {
            "engine": found.engine.value,
            "topology": found.topology,
            "reasons": list(found.reasons),
            "pitfalls": list(found.pitfalls),
            "numbers": figures,
        }
        click.echo(render(fields, form), nl=False)
        return
    lines = [f"{found.engine.value}: {found.topology}"]
    for heading, texts in (("Because", found.reasons), ("Numbers", figures), ("Mind", found.pitfalls)):
        if texts:
            lines += ["", f"{heading}:"]
            lines += [line for text in texts for line in _item(text)]
    click.echo("\n".join(lines))


def _item(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False)
