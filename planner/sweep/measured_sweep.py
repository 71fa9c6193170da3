"""The sweep that results came from, where its manifest lies beside them: its set-up, and runs that are missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from planner.file_model import FileModel, first_problem
from planner.files import parse_document, read_text
from planner.importers.benchmark_run import SetUp
from planner.sweep.manifest import NAME

_ABOVE = 3
"""Folders above a result in which its manifest may lie: some tools make folders of their own."""

Text = Annotated[str, Field(max_length=400)]
Count = Annotated[int, Field(ge=1, le=10**8)]


class _Gpu(FileModel):
    type: Text | None = None
    per_replica: Count = 1


class _Run(FileModel):
    name: Text
    result: Annotated[str, Field(min_length=1, max_length=400)]
    concurrency: Count | None = None
    arrival_rate: float | None = None
    burstiness: float | None = None
    input_tokens: Count
    output_tokens: Count
    requests: Count
    warmups: Annotated[int, Field(ge=0)] = 0


class _Spec(FileModel):
    tool: Text
    engine: Literal["vllm", "triton-trtllm"]
    model: Text
    served_model: Text | None = None
    quantization: Text
    gpu: _Gpu
    max_num_seqs: Count | None = None
    max_num_batched_tokens: Count | None = None
    reason: Annotated[str, Field(max_length=4000)]
    runs: Annotated[tuple[_Run, ...], Field(max_length=1000)]


class _Metadata(FileModel):
    name: Text


class _Manifest(FileModel):
    api_version: Literal["replicast.dev/v1alpha1"]
    kind: Literal["Sweep"]
    metadata: _Metadata
    spec: _Spec


@dataclass(frozen=True, kw_only=True)
class MeasuredSweep:
    """What a manifest says of the engine, and the runs of it that are not among the files."""

    manifest: Path
    setup: SetUp
    served_model: str | None
    """What the model is called in requests, and so in results."""
    max_num_seqs: int | None
    max_num_batched_tokens: int | None
    runs: int
    missing: tuple[str, ...]


def sweep_beside(files: Sequence[Path]) -> MeasuredSweep | None:
    """The sweep whose results all of the files are; None where they are of none. Raises InvalidInput where its manifest
    cannot be read.
    """
    found = {_manifest_of(path) for path in files}
    if len(found) != 1:
        return None
    (path,) = found
    if path is None:
        return None
    text = read_text(path, what="sweep")
    if "kind: Sweep" not in text:
        return None  # somebody else's file of that name
    document = parse_document(text, name=str(path), what="sweep")
    if document.get("kind") != "Sweep":
        return None
    try:
        spec = _Manifest.model_validate(document).spec
    except ValidationError as error:
        raise first_problem(error, _Manifest, text, f"sweep {path}") from None
    given = [file.resolve().relative_to(path.resolve().parent) for file in files]
    missing = [run.name for run in spec.runs if not any(file.match(run.result) for file in given)]
    return MeasuredSweep(
        manifest=path,
        setup=SetUp(
            engine=spec.engine,
            model=spec.model,
            quantization=spec.quantization,
            gpu=spec.gpu.type,
            gpus_per_replica=spec.gpu.per_replica,
        ),
        served_model=spec.served_model,
        max_num_seqs=spec.max_num_seqs,
        max_num_batched_tokens=spec.max_num_batched_tokens,
        runs=len(spec.runs),
        missing=tuple(missing),
    )


def _manifest_of(file: Path) -> Path | None:
    folders = file.resolve().parents[:_ABOVE]
    return next((folder / NAME for folder in folders if (folder / NAME).is_file()), None)
