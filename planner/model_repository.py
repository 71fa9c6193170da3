"""A profile from a Triton model repository: limits from `config.pbtxt`, times of a batch from a CSV file.

The configuration is read by Triton's own definitions (`model_config_pb2` of tritonclient, the `triton` extra).
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from models.errors import InvalidInput
from planner.batching_config import LARGEST_BATCH, ServedModel, served_model
from planner.file_model import first_problem
from planner.files import read_text
from planner.profile import EngineProfile

CONFIG = "config.pbtxt"
MOST = {"batch": LARGEST_BATCH, "held": 1_000_000}


def profile_from_repository(folder: Path, times: Path, *, model: str | None, gpu: str | None) -> EngineProfile:
    """The profile of one model of a repository, or of a model's own folder."""
    return profile_of(document_from_repository(folder, times, model=model, gpu=gpu), folder)


def document_from_repository(folder: Path, times: Path, *, model: str | None, gpu: str | None) -> dict[str, Any]:
    """The same as plain data, in the order people read it."""
    found = model_folder(folder, model)
    served = read_model(found)
    return {
        "apiVersion": "replicast.dev/v1alpha1",
        "kind": "EngineProfile",
        "metadata": {"name": served.name},
        "spec": {
            "engine": "triton",
            "model": served.name,
            "gpu": {"type": gpu or ("unnamed GPU" if served.gpus else "CPU"), "perReplica": served.gpus},
            "limits": served.limits,
            **_times_of(served, times),
            "provenance": [{"source": f"{found / CONFIG}, {times}", "notes": list(served.notes)}],
        },
    }


def profile_of(document: dict[str, Any], folder: Path) -> EngineProfile:
    """The profile that such a document is. Errors name the repository and the field."""
    try:
        return EngineProfile.model_validate(document)
    except ValidationError as error:
        raise first_problem(error, EngineProfile, "", f"model repository {folder}") from None


def _times_of(served: ServedModel, path: Path) -> dict[str, Any]:
    if served.holds_slots:
        rows = read_times(path, "held")
        return {"holdTime": [{"held": held, "mean": mean, "cv": cv} for held, mean, cv in rows]}
    rows = up_to(read_times(path, "batch"), served.max_batch_size)
    return {"serviceTime": [{"batch": batch, "mean": mean, "cv": cv} for batch, mean, cv in rows]}


def model_folder(folder: Path, model: str | None) -> Path:
    """The folder of the model that is meant; the repository may be that folder itself."""
    if folder.is_file():
        raise InvalidInput(f"model repository {folder} is a file", remedy="name the folder that holds the models")
    if not folder.is_dir():
        raise InvalidInput(f"model repository {folder} does not exist", remedy="check the path")
    if (folder / CONFIG).is_file() and model in (None, folder.resolve().name):
        return folder
    found = sorted(each.parent.name for each in folder.glob(f"*/{CONFIG}"))
    if not found:
        raise InvalidInput(f"model repository {folder} has no model with a {CONFIG}", remedy="check the path")
    if model is None and len(found) == 1:
        return folder / found[0]
    if model not in found:
        what = "several models" if model is None else f"no model {model!r}"
        raise InvalidInput(
            f"model repository {folder} has {what}", remedy=f"give --model-name: {', '.join(found[:20])}"
        )
    return folder / model


def read_model(folder: Path) -> ServedModel:
    """The configuration in a model's folder. Raises InvalidInput for what is not batched dynamically."""
    path = folder / CONFIG
    return served_model(_parsed(read_text(path, what="model configuration"), path), path)


def _parsed(text: str, path: Path) -> Any:
    try:
        from google.protobuf import text_format
        from tritonclient.grpc import model_config_pb2
    except (ImportError, RuntimeError):  # tritonclient says so where only a part of it is installed
        raise InvalidInput(
            "--model-repository needs Triton's definitions", remedy="install the extra: pip install 'replicast[triton]'"
        ) from None
    try:
        return text_format.Parse(text, model_config_pb2.ModelConfig())
    except text_format.ParseError as error:
        raise InvalidInput(
            f"{path} is no model configuration: {error}", remedy="check it as tritonserver does"
        ) from None


def read_times(path: Path, key: str) -> list[tuple[int, float, float]]:
    """Rows of `key` (`batch`, or `held` slots), mean in seconds and coefficient of variation, ascending.

    Columns: the key, `mean_s` or `mean_ms`, and if measured `cv`.
    """
    # Read as text with any end of line: the csv module takes a lone carriage return for a mistake.
    table = csv.DictReader(io.StringIO(read_text(path, what="profile CSV"), newline=None))
    try:
        return _rows(table, key, path)
    except csv.Error as error:
        raise InvalidInput(
            f"profile CSV {path}, line {table.line_num + 1}: {error}", remedy="is it the right file?"
        ) from None


def _rows(table: csv.DictReader[str], key: str, path: Path) -> list[tuple[int, float, float]]:
    columns = set(table.fieldnames or ())
    unit = {"mean_s": 1.0, "mean_ms": 1e-3}
    known = [name for name in unit if name in columns]
    if key not in columns or len(known) != 1:
        raise InvalidInput(
            f"profile CSV {path} has the columns {', '.join(sorted(columns)) or 'none'}",
            remedy=f"give {key}, mean_s or mean_ms, and if known cv",
        )
    rows = sorted(_row(row, key, known[0], unit[known[0]], f"{path}:{table.line_num}") for row in table)
    if len({first for first, *_ in rows}) != len(rows) or not rows:
        raise InvalidInput(f"profile CSV {path} has no row, or one twice", remedy=f"give each {key} once")
    return rows


def up_to(rows: list[tuple[int, float, float]], largest: int) -> list[tuple[int, float, float]]:
    """The rows up to a largest batch, with one of that very size where larger ones are known."""
    batches, means, cvs = (np.array(column) for column in zip(*rows, strict=True))
    within = [row for row in rows if row[0] <= largest]
    if batches[-1] > largest and largest not in batches:
        within.append((largest, float(np.interp(largest, batches, means)), float(np.interp(largest, batches, cvs))))
    return within


def _row(row: dict[str, Any], key: str, column: str, unit: float, where: str) -> tuple[int, float, float]:
    try:
        count, mean, cv = int(row[key]), float(row[column]) * unit, float(row.get("cv") or 0.0)
    except (TypeError, ValueError):
        raise InvalidInput(f"{where}: not a number", remedy=f"give {key}, mean and cv as numbers") from None
    if not 1 <= count <= MOST[key]:
        raise InvalidInput(f"{where}: {key} is {row[key][:30]}", remedy=f"give 1 to {MOST[key]:,}")
    if not 0.0 < mean < 1e12 or not 0.0 <= cv <= 100.0:
        raise InvalidInput(f"{where}: mean {mean:g} s, cv {cv:g}", remedy="give a mean above 0, and cv as a share")
    return count, mean, cv
