"""A profile from benchmark results: runs of one set-up, gathered, fitted and written down."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from models.engine import EngineLimits
from models.errors import InvalidInput
from models.load_groups import alike
from models.measurement import MAX_CV, Measurement
from models.step_fit import StepFit, fit
from planner.architecture import ModelShape
from planner.hardware import Gpu, find_gpu, find_model, known_of, named_quantization, precision_of
from planner.importers.batching_run import BatchingRun
from planner.importers.benchmark_run import BenchmarkRun, SetUp
from planner.importers.recognise import runs_of
from planner.memory_budget import memory_budget
from planner.profile import EngineProfile
from planner.profile_document import measurement_row, profile_document
from planner.sweep.measured_sweep import MeasuredSweep, sweep_beside

MOST_POINTS = 10_000
HOPELESS = 0.5
"""Median relative error of a fit that is no model of its points."""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A profile's document, and how its step time was fitted."""

    document: dict[str, Any]
    profile: EngineProfile
    fit: StepFit
    notes: tuple[str, ...]
    """What was assumed or read in a way that the user should know, beside the notes of the fit."""
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
    if run.tool == other.tool and mine == theirs and run.requests == other.requests:
        return True  # a copy, wherever it lies
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
    return all(alike(a, b) for a, b in pairs)


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
    _require_engine(known, stated, said_by)
    # What the user states goes before what files say: a served model has a name of its own.
    stated_fields = {f.name: getattr(stated, f.name) for f in fields(stated) if getattr(stated, f.name) is not None}
    return replace(known, **stated_fields)


def _require_engine(known: SetUp, stated: SetUp, said_by: dict[str, str]) -> None:
    """Refuse an engine that contradicts what the files say of it; SGLang's has no name of its own in a profile."""
    if known.engine in (None, "sglang") or stated.engine in (None, known.engine):
        return
    raise InvalidInput(
        f"--engine {stated.engine}: {said_by['engine']} was measured on {known.engine}",
        remedy=f"leave --engine out or give {known.engine}",
    )


def _require_gpus(set_up: SetUp, gpus: int) -> None:
    tensor = set_up.tensor_parallel or gpus
    if gpus % tensor:
        raise InvalidInput(
            f"--tensor-parallel {tensor} does not divide the {gpus} GPUs of a replica (--gpus-per-replica)",
            remedy="GPUs of a replica are tensor × pipeline parallel; leave --tensor-parallel out where all are tensor",
        )


def _required(set_up: SetUp) -> None:
    for field, option in (("engine", "--engine"), ("model", "--model"), ("gpu", "--gpu")):
        if not (getattr(set_up, field) or "").strip():
            raise InvalidInput(f"the files do not say which {field} was measured", remedy=f"add {option}")


def _of_sweep(sweep: MeasuredSweep) -> tuple[str, ...]:
    known = f"set-up: as in {sweep.manifest.name} of the sweep, where not stated"
    if not sweep.missing:
        return (known,)
    lost = ", ".join(sweep.missing)
    return known, f"{len(sweep.missing)} of the sweep's {sweep.runs} runs are not among the files: {lost}"


def _completed(stated: SetUp, known: SetUp) -> SetUp:
    """What is stated, and for the rest what is known."""
    return replace(known, **{f.name: value for f in fields(stated) if (value := getattr(stated, f.name)) is not None})


def _loaded(document: dict[str, Any]) -> EngineProfile:
    """The document as the product will read it: what could not be planned with is never written."""
    try:
        profile = EngineProfile.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InvalidInput(
            f"these results make no profile: {place}: {first['msg'].lower()}",
            remedy="check the units of the columns (latencies in seconds, rates per second) and the options",
        ) from None
    try:
        profile.to_engine()
    except InvalidInput as error:
        raise InvalidInput(
            f"these results make no profile: {error}",
            remedy="check the units of the columns: TTFT, TPOT and rates must be of one run and in the units named",
        ) from None
    return profile


def require_no_input(out: Path, paths: Sequence[Path]) -> None:
    """Raise InvalidInput where writing `out` would replace one of the measurements, or a file that is no profile."""
    if any(path.exists() and out.exists() and out.samefile(path) for path in paths):
        raise InvalidInput(f"--out {out} is one of the files to import", remedy="name another file for the profile")
    if out.exists():
        with out.open("rb") as stream:
            start = stream.read(4096)
        if start.strip() and b"EngineProfile" not in start:
            raise InvalidInput(f"--out {out} is there and is no profile", remedy="name another file, or remove it")


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What is known of the engine before a point is looked at, and in words what of it was assumed."""

    set_up: SetUp
    limits: EngineLimits
    notes: tuple[str, ...]
    served_model: str | None = None
    """What results of a sweep call the model; None where there is no sweep, or it does not say."""


def _require_sweep_of(beside: _Known, runs: Sequence[BenchmarkRun]) -> None:
    """Refuse results of another model than the sweep that their folder says they are of."""
    for run in runs:
        served = run.setup.model
        if beside.served_model and served and served not in (beside.served_model, beside.set_up.model):
            raise InvalidInput(
                f"{run.place} is of model {served}, and sweep.yaml beside it measured {beside.served_model}",
                remedy="keep results of other engines in a folder of their own",
            )


def _beside_the_files(paths: Sequence[Path], stated: SetUp, limits: EngineLimits, *, limits_stated: bool) -> _Known:
    """What is stated, completed from a sweep's manifest that lies beside the files."""
    sweep = sweep_beside(paths)
    if sweep is None:
        return _Known(set_up=stated, limits=limits, notes=() if limits_stated else (_assumed(limits),))
    if limits_stated:
        return _Known(
            set_up=_completed(stated, sweep.setup),
            limits=limits,
            notes=_of_sweep(sweep),
            served_model=sweep.served_model,
        )
    limits = replace(
        limits,
        max_num_seqs=sweep.max_num_seqs or limits.max_num_seqs,
        max_num_batched_tokens=sweep.max_num_batched_tokens or limits.max_num_batched_tokens,
    )
    assumed = () if sweep.max_num_seqs and sweep.max_num_batched_tokens else (_assumed(limits),)
    return _Known(
        set_up=_completed(stated, sweep.setup),
        limits=limits,
        notes=(*_of_sweep(sweep), *assumed),
        served_model=sweep.served_model,
    )


def _assumed(limits: EngineLimits) -> str:
    return (
        f"limits: {limits.max_num_seqs} sequences and {limits.max_num_batched_tokens:,} tokens a step, where not "
        "stated by vLLM's defaults; give --max-num-seqs and --max-num-batched-tokens as the engine was started"
    )


def import_profile(
    paths: Sequence[Path],
    *,
    name: str,
    stated: SetUp,
    limits: EngineLimits,
    limits_stated: bool = True,
    nodes: int = 1,
) -> Imported:
    """The profile that the files make. Raises InvalidInput that names file, field or option.

    What is not stated is taken from a sweep's manifest beside the files; where limits of the running set are not known,
    a note says what was assumed.
    """
    beside = _beside_the_files(paths, stated, limits, limits_stated=limits_stated)
    runs = read_runs(paths)
    _require_sweep_of(beside, runs)
    set_up = one_set_up(runs, beside.set_up)
    _required(set_up)
    engine, model, gpu_type = set_up.engine, set_up.model, set_up.gpu
    assert engine is not None
    assert model is not None
    assert gpu_type is not None
    gpus = set_up.gpus_per_replica or set_up.tensor_parallel or 1
    _require_gpus(set_up, gpus)
    gpu, shape = find_gpu(gpu_type), find_model(model)
    quantization = set_up.quantization or named_quantization(model)
    precision = precision_of(quantization)
    prior, experts = known_of(gpu, shape, precision=precision, gpus_per_replica=gpus)
    notes = list(beside.notes)
    if any(run.setup.engine == "sglang" for run in runs):
        notes.append(f"measured on SGLang, planned as {engine}: its scheduler is near to vLLM's, not the same")
    if set_up.quantization is None and quantization != "none":
        notes.append(f"quantization: {quantization}, by the model's name; give --quantization where it is another")
    stages = gpus // (set_up.tensor_parallel or gpus)
    bounds, estimated = _with_kv_memory(beside.limits, gpu, shape, precision=precision, gpus=gpus, stages=stages)
    notes += estimated
    usable = [_as_sent(run) for run in runs if not run.capacity_only]
    if not usable:
        raise InvalidInput(
            "every run was past saturation: its latencies only say how long it lasted",
            remedy="measure lower loads too",
        )
    result = fit(usable, limits=bounds, prior=prior, experts=experts)
    if result.median_error > HOPELESS:
        raise InvalidInput(
            f"no step time explains these runs: the best misses their TPOT by {result.median_error:.0%} in the median",
            remedy="check that TTFT, TPOT and rates are in the units of their columns and of one run each",
        )
    if prior is None:
        notes.append(_no_data_sheet(gpu_type, gpu, model, shape))
    notes += dict.fromkeys(note for run in runs for note in run.notes)
    document = profile_document(
        name,
        engine=engine,
        version=set_up.engine_version or "",
        model=model,
        quantization=quantization,
        gpu={
            "type": gpu_type,
            "perReplica": gpus,
            "tensorParallel": set_up.tensor_parallel or gpus,
            **({"nodesPerReplica": nodes} if nodes > 1 else {}),
        },
        limits=bounds,
        step_time=result.step_time,
        uncertainty=result.uncertainty,
        noise=result.noise,
        overhead_s=result.overhead_s,
        measurements=[_row(run) for run in runs],
        provenance=_provenance(runs, result, notes),
    )
    return Imported(document=document, profile=_loaded(document), fit=result, notes=tuple(notes), runs=runs)


def _with_kv_memory(
    limits: EngineLimits, gpu: Gpu | None, shape: ModelShape | None, *, precision: str, gpus: int, stages: int
) -> tuple[EngineLimits, tuple[str, ...]]:
    """The limits with KV memory estimated from data sheets where it is not stated, and a note that says so."""
    if limits.kv_cache_tokens is not None or gpu is None or shape is None:
        return limits, ()
    budget = memory_budget(gpu, shape, precision=precision, limits=limits, gpus=gpus, pipeline_parallel=stages)
    if budget is None or not budget.kv_tokens:
        return limits, ()
    note = "kvCacheTokens: estimated from data sheets with 16-bit KV, not reported by the engine"
    return replace(limits, kv_cache_tokens=budget.kv_tokens), (note,)


def _no_data_sheet(gpu_type: str, gpu: Gpu | None, model: str, shape: ModelShape | None) -> str:
    named = (("GPU", gpu_type, gpu), ("model", model, shape))
    unknown = [f"{what} {name}" for what, name, found in named if found is None]
    return (
        f"no data sheet of {' and '.join(unknown) or 'this precision'} is known: terms are told apart by the points "
        "alone, and nothing checks them against the hardware"
    )


def _provenance(runs: Sequence[BenchmarkRun], result: StepFit, notes: Sequence[str]) -> dict[str, Any]:
    dates = sorted(run.date for run in runs if run.date)
    tools = ", ".join(dict.fromkeys(run.tool for run in runs))
    cross_validated = result.cross_validated_error
    return {
        "source": f"{tools}: {', '.join(dict.fromkeys(_source(run) for run in runs))}"[:1000],
        **({"date": dates[-1]} if dates else {}),
        "points": result.points,
        "medianError": round(result.median_error, 4),
        **({"crossValidatedError": round(cross_validated, 4)} if cross_validated is not None else {}),
        "notes": [*notes, *result.notes][:50],
    }


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
