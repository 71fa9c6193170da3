"""A profile from a Triton model repository: limits from `config.pbtxt`, times of a batch from a CSV file.

The configuration is read by Triton's own definitions (`model_config_pb2` of tritonclient, the `triton` extra).
"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import InvalidInput
from planner.files import read_text
from planner.profile import EngineProfile

CONFIG = "config.pbtxt"
_MICRO = 1e-6


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """What of a model's configuration decides on its batches."""

    name: str
    max_batch_size: int
    instances: int
    preferred_batch_sizes: tuple[int, ...]
    max_queue_delay_s: float


def profile_from_repository(folder: Path, times: Path, *, model: str | None, gpu: str) -> EngineProfile:
    """The profile of one model of a repository, or of a model's own folder."""
    served = read_model(model_folder(folder, model))
    rows = read_times(times, served.max_batch_size)
    document = {
        "apiVersion": "replicast.dev/v1alpha1",
        "kind": "EngineProfile",
        "metadata": {"name": served.name},
        "spec": {
            "engine": "triton",
            "model": served.name,
            "gpu": {"type": gpu},
            "limits": {
                "maxBatchSize": served.max_batch_size,
                "instances": served.instances,
                "preferredBatchSizes": list(served.preferred_batch_sizes),
                "maxQueueDelay": served.max_queue_delay_s,
            },
            "serviceTime": [{"batch": batch, "mean": mean, "cv": cv} for batch, mean, cv in rows],
        },
    }
    return EngineProfile.model_validate(document)


def model_folder(folder: Path, model: str | None) -> Path:
    """The folder of the model that is meant."""
    if model is None and (folder / CONFIG).is_file():
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
    config = _parsed(read_text(path, what="model configuration"), path)
    scheduler = config.WhichOneof("scheduling_choice")
    if scheduler in ("sequence_batching", "ensemble_scheduling") or config.model_transaction_policy.decoupled:
        what = "a decoupled model" if config.model_transaction_policy.decoupled else scheduler.replace("_", " ")
        raise InvalidInput(
            f"{path}: {what} cannot be sized from its configuration", remedy="size its stages one by one"
        )
    dynamic = config.dynamic_batching
    batched = scheduler == "dynamic_batching" and config.max_batch_size > 0
    groups = config.instance_group
    return ServedModel(
        name=config.name or folder.resolve().name,
        # Without dynamic batching each request is executed as it comes.
        max_batch_size=config.max_batch_size if batched else 1,
        instances=sum(max(1, group.count) * max(1, len(group.gpus)) for group in groups) or 1,
        preferred_batch_sizes=tuple(sorted(set(dynamic.preferred_batch_size))) if batched else (),
        max_queue_delay_s=dynamic.max_queue_delay_microseconds * _MICRO if batched else 0.0,
    )


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


def read_times(path: Path, largest: int) -> list[tuple[int, float, float]]:
    """Rows of batch, mean in seconds and coefficient of variation, ascending, none beyond the largest batch.

    Columns: `batch`, `mean_s` or `mean_ms`, and if measured `cv`.
    """
    table = csv.DictReader(io.StringIO(read_text(path, what="profile CSV")))
    columns = set(table.fieldnames or ())
    unit = {"mean_s": 1.0, "mean_ms": 1e-3}
    known = [name for name in unit if name in columns]
    if "batch" not in columns or len(known) != 1:
        raise InvalidInput(
            f"profile CSV {path} has the columns {', '.join(sorted(columns)) or 'none'}",
            remedy="give batch, mean_s or mean_ms, and if known cv",
        )
    rows = sorted(_row(row, known[0], unit[known[0]], f"{path}:{table.line_num}") for row in table)
    if len({batch for batch, *_ in rows}) != len(rows) or not rows:
        raise InvalidInput(f"profile CSV {path} has no row, or a batch twice", remedy="give each batch size once")
    batches, means, cvs = (np.array(column) for column in zip(*rows, strict=True))
    within = [row for row in rows if row[0] <= largest]
    if batches[-1] > largest and largest not in batches:
        within.append((largest, float(np.interp(largest, batches, means)), float(np.interp(largest, batches, cvs))))
    return within


def _row(row: dict[str, Any], column: str, unit: float, where: str) -> tuple[int, float, float]:
    try:
        batch, mean, cv = int(row["batch"]), float(row[column]) * unit, float(row.get("cv") or 0.0)
    except (TypeError, ValueError):
        raise InvalidInput(f"{where}: not a number", remedy="give batch, mean and cv as numbers") from None
    if batch < 1 or not (math.isfinite(mean) and mean > 0.0) or not 0.0 <= cv <= 100.0:
        raise InvalidInput(f"{where}: a batch of {batch}, mean {mean:g} s, cv {cv:g}", remedy="give numbers above 0")
    return batch, mean, cv
