"""`planner profile from-prometheus`: learn a profile from an engine in service."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from planner.cli.command import Command
from planner.units import format_number, format_seconds, parse_seconds

if TYPE_CHECKING:
    from models.engine import EngineLimits
    from planner.batching_profile import BatchingLimits, LearnedBatching
    from planner.metrics_history import History
    from planner.metrics_server import Span
    from planner.observed_profile import Identity, LearnedProfile, ObservedLoad
    from planner.steady_load import Judged

_EPILOG = """\b
Examples (each needs a Prometheus that scrapes the engine):
  planner profile from-prometheus --prometheus http://localhost:9090 \\
      --match namespace=serving --match model_name=llama --last 24h --window 5m \\
      --gpu H100-SXM5-80GB --max-num-seqs 256 -O llama-live.yaml
  planner profile from-prometheus --prometheus http://localhost:9090 --engine triton-trtllm \\
      --match model=tensorrt_llm --gpu A100-SXM4-80GB --max-num-seqs 64 -O trtllm-live.yaml
  planner profile from-prometheus --prometheus http://localhost:9090 --engine triton \\
      --match model=reranker --gpu A10G-24GB --max-batch-size 8 -O reranker-live.yaml
  planner profile check llama-live.yaml"""


@click.command("from-prometheus", cls=Command, epilog=_EPILOG)
@click.option("--prometheus", "url", required=True, metavar="URL", help="The server that scrapes the engine.")
@click.option(
    "--bearer-token-file", type=click.Path(path_type=Path), help="File with a token; user and password go in the URL."
)
@click.option("--match", "matches", multiple=True, metavar="LABEL=VALUE", help="Series to take. Repeat: all must hold.")
@click.option(
    "--engine",
    type=click.Choice(["vllm", "triton-trtllm", "triton"]),
    default="vllm",
    show_default=True,
    help="Whose metrics they are.",
)
@click.option("--last", default="6h", show_default=True, help="How much history to read.")
@click.option("--until", type=click.DateTime(["%Y-%m-%dT%H:%M:%S"]), help="Where it ends, in UTC.  [default: now]")
@click.option("--window", default="5m", show_default=True, help="The history is cut into windows of so long.")
@click.option("--gpu", "gpu_type", required=True, help="GPU type, such as H100-SXM5-80GB.")
@click.option(
    "--gpus-per-replica", type=click.IntRange(1, 4096), default=1, show_default=True, help="GPUs of a replica."
)
@click.option("--tensor-parallel", type=click.IntRange(1, 4096), help="[default: the GPUs of a replica]")
@click.option(
    "--max-num-seqs", type=click.IntRange(1, 100_000), help="The engine's setting; only TensorRT-LLM tells it."
)
@click.option(
    "--max-num-batched-tokens",
    type=click.IntRange(1, 100_000_000),
    default=2048,
    show_default=True,
    help="The engine's setting, which no metric tells.",
)
@click.option(
    "--kv-cache-tokens", type=click.IntRange(1, 10**12), help="[default: what the engine's cache_config_info says]"
)
@click.option(
    "--max-batch-size", type=click.IntRange(1, 100_000), help="Of Triton's dynamic batcher, no metric tells it."
)
@click.option(
    "--instances", type=click.IntRange(1, 10_000), default=1, show_default=True, help="Of Triton's instance group."
)
@click.option("--max-queue-delay", default="0s", show_default=True, help="Of Triton's dynamic batcher.")
@click.option(
    "--preferred-batch-size", "preferred", type=click.IntRange(1, 100_000), multiple=True, help="Likewise. Repeat."
)
@click.option("--model", help="The model's full name.  [default: the label of the metrics]")
@click.option("--quantization", default="none", show_default=True, help="Such as fp8.")
@click.option("--engine-version", default="", help="Such as 0.8.0.")
@click.option("--input-tokens", type=click.FloatRange(1, 1e8), help="Mean prompt length, for Triton.")
@click.option("--output-tokens", type=click.FloatRange(1, 1e8), help="Mean answer length, for Triton.")
@click.option("--name", help="Name of the profile.  [default: from model, GPU and engine]")
@click.option("-O", "--out", type=click.Path(path_type=Path), help="File to write.  [default: standard output]")
def from_prometheus(**options: Any) -> None:
    """Learn a profile from the metrics of an engine in service.

    Windows with a steady load become measurements: arrivals, lengths, throughput, and the laws of TTFT, ITL, TPOT, e2e
    and queue, read from the histograms' buckets. The step time is fitted to them as to a benchmark's. Windows that are
    idle, saturated, stale or across a restart are left out, with the reason; a history whose loads are all alike is
    refused, with the load to try next.

    Of Triton's dynamic batcher (--engine triton) the time of a batch by its size is learned.
    """
    from controller.prometheus import Prometheus
    from planner.engine_metrics import BY_ENGINE
    from planner.files import require_writable
    from planner.metrics_history import read_history
    from planner.promql import parse_matches
    from planner.steady_load import judge

    out: Path | None = options["out"]
    if out is not None:
        require_writable(out, what="--out")
    batching = _batching_limits(options) if options["engine"] == "triton" else None
    labels, span = parse_matches(options["matches"]), _span(options)
    server = Prometheus(options["url"], bearer_token_file=options["bearer_token_file"])
    history = read_history(server, BY_ENGINE[options["engine"]], labels, span)
    if batching is not None:
        _finish_batching(options, server.address, span, history, batching)
        return
    limits, notes = _limits(options, history)
    judged = judge(history.windows, max_num_seqs=limits.max_num_seqs)
    for why, count in judged.refused.items():
        click.echo(f"left out: {count} of {len(history.windows)} windows: {why}", err=True)
    learned = _learn(options, server.address, span, history, judged, limits, notes)
    for warning in (*notes, *learned.warnings):
        click.echo(f"warning: {warning}", err=True)
    _write(learned.document, out, _summary(learned))


def _write(document: dict[str, Any], out: Path | None, summary: str) -> None:
    from planner.files import write_atomically
    from planner.profile import parse_profile
    from planner.profile_document import text_of

    text = text_of(document, "# Learned by planner profile from-prometheus; see spec.provenance.\n")
    parse_profile(text, name=out.name if out else "learned")  # what is written can be read, whatever the options say
    if out is None:
        click.echo(text, nl=False)
    else:
        write_atomically(out, text.encode())
        click.echo(f"{summary}written: {out}")


def _batching_limits(options: dict[str, Any]) -> BatchingLimits:
    from models.errors import InvalidInput
    from planner.batching_profile import BatchingLimits

    if options["max_batch_size"] is None:
        raise InvalidInput(
            "--engine triton, the dynamic batcher, needs --max-batch-size, which no metric tells",
            remedy="give max_batch_size of the model's config.pbtxt; for TensorRT-LLM behind Triton: "
            "--engine triton-trtllm",
        )
    return BatchingLimits(
        max_batch_size=options["max_batch_size"],
        instances=options["instances"],
        preferred_batch_sizes=options["preferred"],
        max_queue_delay_s=parse_seconds(options["max_queue_delay"], what="--max-queue-delay"),
    )


def _finish_batching(
    options: dict[str, Any], address: str, span: Span, history: History, limits: BatchingLimits
) -> None:
    from planner.batching_profile import learn_batching

    learned = learn_batching(
        history.windows,
        identity=_identity(options, history),
        limits=limits,
        provenance=_provenance(address, span, history),
    )
    for why, count in learned.left_out.items():
        click.echo(f"left out: {count} of {len(history.windows)} windows: {why}", err=True)
    for warning in learned.warnings:
        click.echo(f"warning: {warning}", err=True)
    _write(learned.document, options["out"], _batching_summary(learned))


def _batching_summary(learned: LearnedBatching) -> str:
    """The mean batches beside the fit."""
    lines = [f"{'mean batch':>12}{'requests':>10}{'service':>10}{'error':>9}"]
    lines += [
        f"{format_number(load.executed.mean_batch):>12}{load.requests:>10,.0f}"
        f"{format_seconds(load.executed.service_s):>10}{100.0 * error:>+7.1f} %"
        for load, error in zip(learned.loads, learned.fit.errors, strict=True)
    ]
    return "\n".join(lines) + "\n"


def _span(options: dict[str, Any]) -> Span:
    from planner.metrics_server import Span

    window_s = round(parse_seconds(options["window"], what="--window"))
    last_s = parse_seconds(options["last"], what="--last")
    until: datetime | None = options["until"]
    end = datetime.now(tz=UTC) if until is None else until.replace(tzinfo=UTC)
    return Span(end_s=int(end.timestamp()), window_s=window_s, windows=int(last_s / window_s) if window_s else 0)


def _limits(options: dict[str, Any], history: History) -> tuple[EngineLimits, list[str]]:
    """The engine's limits: told by the user, told by the engine, or its defaults with a note."""
    from models.engine import EngineLimits
    from planner.cache_config import kv_memory, kv_memory_of_blocks

    notes = []
    memory = kv_memory(history.cache_config)
    if memory.tokens is None:
        memory = kv_memory_of_blocks(history.latest("kv_blocks"), history.latest("kv_block_tokens"))
    seats = options["max_num_seqs"] or round(history.latest("max_running") or 0) or None
    tokens = options["kv_cache_tokens"] or memory.tokens
    if seats is None:
        assumed = EngineLimits.max_num_seqs
        notes.append(f"max_num_seqs: {assumed} assumed, the engine's default; --max-num-seqs states it")
    elif options["max_num_seqs"] is None:
        notes.append(f"max_num_seqs: {seats}, as the engine reports; --max-num-seqs states another")
    if tokens is None:
        notes.append("kvCacheTokens: not known, so memory is taken as ample; --kv-cache-tokens states it")
    limits = EngineLimits(
        max_num_seqs=seats or EngineLimits.max_num_seqs,
        max_num_batched_tokens=options["max_num_batched_tokens"],
        kv_cache_tokens=tokens,
        kv_block_size=memory.block_size or EngineLimits.kv_block_size,
    )
    return limits, notes


def _learn(
    options: dict[str, Any],
    address: str,
    span: Span,
    history: History,
    judged: Judged,
    limits: EngineLimits,
    notes: list[str],
) -> LearnedProfile:
    from planner.importers.benchmark_run import SetUp
    from planner.observed_profile import ObservedLoad, learn
    from planner.observed_run import StatedLengths, run_of

    stated = StatedLengths(input_tokens=options["input_tokens"], output_tokens=options["output_tokens"])
    setup = SetUp(
        engine=options["engine"],
        model=_model(options, history),
        gpu=options["gpu_type"],
        gpus_per_replica=options["gpus_per_replica"],
    )

    def observed(loads: Any) -> list[ObservedLoad]:
        return [
            ObservedLoad(
                run=run_of(load, setup=setup, source=_windows(len(load.windows), span), stated=stated),
                running=load.running,
            )
            for load in loads
        ]

    return learn(
        observed(judged.steady),
        observed(judged.saturated),
        identity=_identity(options, history),
        limits=limits,
        provenance=_provenance(address, span, history),
        notes=[*notes, *(f"windows left out: {count}, {why}" for why, count in judged.refused.items())],
    )


def _model(options: dict[str, Any], history: History) -> str:
    return options["model"] or history.model or "unknown"


def _identity(options: dict[str, Any], history: History) -> Identity:
    from planner.observed_profile import Identity

    model, gpus = _model(options, history), options["gpus_per_replica"]
    return Identity(
        name=options["name"] or _name(model, options["gpu_type"], options["engine"]),
        engine=options["engine"],
        engine_version=options["engine_version"],
        model=model,
        quantization=options["quantization"],
        gpu={
            "type": options["gpu_type"],
            "perReplica": gpus,
            "tensorParallel": options["tensor_parallel"] or gpus,
            "pipelineParallel": 1,
            "nodesPerReplica": 1,
        },
    )


def _provenance(address: str, span: Span, history: History) -> dict[str, Any]:
    begin, end = (datetime.fromtimestamp(second, UTC) for second in (span.start_s, span.end_s))
    return {
        "source": f"Prometheus {address}, {begin:%Y-%m-%dT%H:%M:%SZ} to {end:%Y-%m-%dT%H:%M:%SZ}, "
        f"{len(history.replicas)} replica{'s' if len(history.replicas) > 1 else ''}",
        "date": f"{end:%Y-%m-%d}",
    }


def _windows(count: int, span: Span) -> str:
    return f"{count} window{'s' if count > 1 else ''} of {span.window_s} s"


def _name(model: str, gpu: str, engine: str) -> str:
    text = "-".join((model.rpartition("/")[2], gpu, engine)).lower()
    return re.sub(r"[^a-z0-9.]+", "-", text).strip("-.")[:253] or "profile"


def _summary(learned: LearnedProfile) -> str:
    """The loads beside the fit."""
    lines = [f"{'req/s':>8}{'running':>9}{'requests':>10}{'TTFT':>10}{'TPOT':>10}{'fitted':>10}{'error':>8}"]
    residuals = {residual.measurement: residual for residual in learned.fit.residuals}
    for load in learned.loads:
        point = load.run.measurement
        residual = residuals.get(point)
        if residual is None:
            continue
        lines.append(
            f"{format_number(point.arrival_rate_per_s or 0.0):>8}{format_number(load.running):>9}"
            f"{load.run.requests or 0:>10,}{format_seconds(point.ttft_s):>10}{format_seconds(point.tpot_s):>10}"
            f"{format_seconds(residual.predicted.tpot_s):>10}{100.0 * residual.tpot:>+6.1f} %"
        )
    return "\n".join(lines) + "\n"
