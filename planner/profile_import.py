"""A profile from benchmark results: runs of one set-up, gathered, fitted and written down."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from models.engine import EngineLimits
from models.errors import InvalidInput
from models.measurement import MAX_CV, Measurement
from models.step_fit import StepFit, fit
from planner.hardware import find_gpu, find_model, known_of, kv_cache_tokens, precision_of
from planner.importers.batching_run import BatchingRun
from planner.importers.benchmark_run import BenchmarkRun, SetUp
from planner.importers.recognise import runs_of
from planner.profile_document import measurement_row, profile_document

SAME = 0.02
"""Relative difference within which two files tell of one run."""
MOST_POINTS = 10_000


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A profile's document, and how its step time was fitted."""

    document: dict[str, Any]
    fit: StepFit
    runs: tuple[BenchmarkRun, ...]


def read_runs(paths: Sequence[Path]) -> tuple[BenchmarkRun, ...]:
    """Every run of all files; one that several files of a tool tell of, once. Raises InvalidInput."""
    runs: list[BenchmarkRun] = []
    for path in paths:
        for run in runs_of(path):
            if isinstance(run, BatchingRun):
                raise InvalidInput(
                    f"{run.place}: {run.tool} counts inferences and no tokens: no token profile can be made of it",
                    remedy="measure an LLM with a tool that counts tokens, such as genai-perf or `vllm bench serve`",
                )
            runs.append(run)
            if len(runs) > MOST_POINTS:
                raise InvalidInput(f"more than {MOST_POINTS:,} points", remedy="import fewer files")
    if not runs:
        raise InvalidInput("the files hold no run", remedy="run the benchmark again")
    return tuple(_once(runs))


def _once(runs: Iterable[BenchmarkRun]) -> list[BenchmarkRun]:
    kept: list[BenchmarkRun] = []
    for run in runs:
        twin = next((index for index, other in enumerate(kept) if _one_run(run, other)), None)
        if twin is None:
            kept.append(run)
        elif run.table is not None and kept[twin].table is None:
            kept[twin] = run
    return kept


def _one_run(run: BenchmarkRun, other: BenchmarkRun) -> bool:
    """Whether two files of one folder and tool tell of the same run."""
    mine, theirs = run.measurement, other.measurement
    if run.tool != other.tool or run.file is None or other.file is None or run.file == other.file:
        return False
    if run.file.parent != other.file.parent:
        return False
    pairs = (
        (mine.concurrency, theirs.concurrency),
        (mine.arrival_rate_per_s, theirs.arrival_rate_per_s),
        (mine.input_tokens, theirs.input_tokens),
        (mine.output_tokens, theirs.output_tokens),
        (mine.ttft_s, theirs.ttft_s),
        (mine.requests_per_s, theirs.requests_per_s),
    )
    return all(_near(a, b) for a, b in pairs)


def _near(mine: float | None, theirs: float | None) -> bool:
    if mine is None or theirs is None:
        return mine is theirs
    return abs(mine - theirs) <= SAME * max(abs(mine), abs(theirs))


def one_set_up(runs: Sequence[BenchmarkRun], stated: SetUp) -> SetUp:
    """What all files and options say of the engine. Raises InvalidInput that names a difference and its places."""
    known = SetUp()
    said_by: dict[str, str] = {}
    for run in runs:
        for name in run.setup.differences(known):
            first = said_by.get(name.partition(" ")[0], "another file")
            raise InvalidInput(
                f"{run.place}: {name}, which {first} says: these are not of one set-up",
                remedy="import the files of each set-up on their own",
            )
        found = {f.name: getattr(run.setup, f.name) for f in fields(run.setup)}
        for name, value in found.items():
            if value is not None and getattr(known, name) is None:
                known = replace(known, **{name: value})
                said_by[name.partition("_")[0]] = str(run.file or run.place)
    # What the user states goes before what files say: a served model has a name of its own.
    stated_fields = {f.name: getattr(stated, f.name) for f in fields(stated) if getattr(stated, f.name) is not None}
    return replace(known, **stated_fields)


def import_profile(
    paths: Sequence[Path], *, name: str, stated: SetUp, limits: EngineLimits | None, nodes: int = 1
) -> Imported:
    """The profile that the files make. Raises InvalidInput that names file, field or option."""
    runs = read_runs(paths)
    set_up = one_set_up(runs, stated)
    for field, option in (("engine", "--engine"), ("model", "--model"), ("gpu", "--gpu")):
        if getattr(set_up, field) is None:
            raise InvalidInput(f"the files do not say which {field} was measured", remedy=f"add {option}")
    assert set_up.engine is not None
    assert set_up.model is not None
    assert set_up.gpu is not None
    gpus = set_up.gpus_per_replica or set_up.tensor_parallel or 1
    gpu, shape = find_gpu(set_up.gpu), find_model(set_up.model)
    precision = precision_of(set_up.quantization or "none")
    prior, experts = known_of(gpu, shape, precision=precision, gpus_per_replica=gpus)
    notes: list[str] = []
    bounds = limits or EngineLimits()
    if bounds.kv_cache_tokens is None and gpu and shape:
        tokens = kv_cache_tokens(gpu, shape, precision=precision, tensor_parallel=gpus)
        if tokens:
            bounds = replace(bounds, kv_cache_tokens=tokens)
            notes.append("kvCacheTokens: estimated from data sheets with 16-bit KV, not reported by the engine")
    usable = [_as_sent(run) for run in runs if not run.capacity_only]
    if not usable:
        raise InvalidInput(
            "every run was past saturation: its latencies only say how long it lasted",
            remedy="measure lower loads too",
        )
    result = fit(usable, limits=bounds, prior=prior, experts=experts)
    if prior is None:
        notes.append("no data sheet of this GPU and model is known: its terms are told apart by the points alone")
    notes += dict.fromkeys(note for run in runs for note in run.notes)
    dates = sorted(run.date for run in runs if run.date)
    tools = ", ".join(dict.fromkeys(run.tool for run in runs))
    provenance: dict[str, Any] = {
        "source": f"{tools}: {', '.join(dict.fromkeys(_source(run) for run in runs))}"[:1000],
        **({"date": dates[-1]} if dates else {}),
        "points": result.points,
        "medianError": round(result.median_error, 4),
        **(
            {"crossValidatedError": round(result.cross_validated_error, 4)}
            if result.cross_validated_error is not None
            else {}
        ),
        "notes": [*notes, *result.notes][:50],
    }
    document = profile_document(
        name,
        engine=set_up.engine,
        version=set_up.engine_version or "",
        model=set_up.model,
        quantization=set_up.quantization or "none",
        gpu={
            "type": set_up.gpu,
            "perReplica": gpus,
            "tensorParallel": set_up.tensor_parallel or gpus,
            **({"nodesPerReplica": nodes} if nodes > 1 else {}),
        },
        limits=bounds,
        step_time=result.step_time,
        uncertainty=result.uncertainty,
        noise=result.noise,
        measurements=[_row(run) for run in runs],
        provenance=provenance,
    )
    return Imported(document=document, fit=result, runs=runs)


def _as_sent(run: BenchmarkRun) -> Measurement:
    """The measurement with how regularly its requests were sent, where that is known of an open stream."""
    if run.burstiness is None or run.measurement.arrival_rate_per_s is None:
        return run.measurement
    return replace(run.measurement, burstiness=min(run.burstiness, MAX_CV))


def _row(run: BenchmarkRun) -> dict[str, Any]:
    row = measurement_row(run.measurement)
    if run.burstiness is not None and run.measurement.arrival_rate_per_s is not None:
        row["burstiness"] = float(f"{min(run.burstiness, 100.0):.4g}")
    if run.capacity_only:
        row["capacityOnly"] = True
    if run.requests is not None:
        row["requests"] = run.requests
    if run.failed:
        row["failed"] = run.failed
    row["source"] = _source(run)
    return row


def _source(run: BenchmarkRun) -> str:
    return run.place if run.file is None else run.file.name
