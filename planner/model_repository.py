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
    sequence_batching: str | None = None
    """`direct` or `oldest`, where sequences hold slots."""
    candidates: int = 1
    decoupled: bool = False

    @property
    def holds_slots(self) -> bool:
        """Whether sequences or streams hold slots, instead of requests in batches."""
        return self.decoupled or self.sequence_batching is not None

    @property
    def limits(self) -> dict[str, Any]:
        """The limits of its profile."""
        batching = {
            "maxBatchSize": self.max_batch_size,
            "instances": self.instances,
            "preferredBatchSizes": list(self.preferred_batch_sizes),
            "maxQueueDelay": self.max_queue_delay_s,
        }
        if self.decoupled:
            return {**batching, "decoupled": True}
        if self.sequence_batching is None:
            return batching
        return {
            **batching, "sequenceBatching": self.sequence_batching, "maxCandidateSequences": self.candidates
        }  # fmt: skip


def profile_from_repository(folder: Path, times: Path, *, model: str | None, gpu: str) -> EngineProfile:
    """The profile of one model of a repository, or of a model's own folder."""
    served = read_model(model_folder(folder, model))
    spec = _times_of(served, times)
    document = {
        "apiVersion": "replicast.dev/v1alpha1",
        "kind": "EngineProfile",
        "metadata": {"name": served.name},
        "spec": {
            "engine": "triton",
            "model": served.name,
            "gpu": {"type": gpu},
            "limits": served.limits,
            **spec,
        },
    }
    return EngineProfile.model_validate(document)


def _times_of(served: ServedModel, path: Path) -> dict[str, Any]:
    if served.holds_slots:
        rows = read_times(path, "held")
        return {"holdTime": [{"held": held, "mean": mean, "cv": cv} for held, mean, cv in rows]}
    rows = up_to(read_times(path, "batch"), served.max_batch_size)
    return {"serviceTime": [{"batch": batch, "mean": mean, "cv": cv} for batch, mean, cv in rows]}


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
    _refuse_what_is_no_batcher(config, scheduler, path)
    dynamic, sequences = config.dynamic_batching, config.sequence_batching
    batched = scheduler == "dynamic_batching" and config.max_batch_size > 0
    decoupled = config.model_transaction_policy.decoupled
    sequential = scheduler == "sequence_batching"
    oldest = sequences.WhichOneof("strategy_choice") == "oldest"
    groups = config.instance_group
    return ServedModel(
        name=config.name or folder.resolve().name,
        # Without dynamic batching each request is executed as it comes.
        max_batch_size=max(1, config.max_batch_size) if batched or sequential or decoupled else 1,
        instances=sum(max(1, group.count) * max(1, len(group.gpus)) for group in groups) or 1,
        preferred_batch_sizes=tuple(sorted(set(dynamic.preferred_batch_size))) if batched else (),
        max_queue_delay_s=dynamic.max_queue_delay_microseconds * _MICRO if batched else 0.0,
        sequence_batching=("oldest" if oldest else "direct") if sequential else None,
        candidates=max(1, sequences.oldest.max_candidate_sequences) if oldest else 1,
        decoupled=decoupled,
    )


_OF_TOKENS = {"vllm": "vllm", "tensorrtllm": "triton-trtllm"}
"""Backends that batch continuously, by the engine of their profiles."""


def _refuse_what_is_no_batcher(config: Any, scheduler: str | None, path: Path) -> None:
    if scheduler == "ensemble_scheduling":
        raise InvalidInput(
            f"{path}: an ensemble has no batches of its own", remedy="describe its steps for `planner pipeline`"
        )
    if config.backend in _OF_TOKENS:
        raise InvalidInput(
            f"{path}: backend {config.backend} batches token by token",
            remedy=f"size it with a profile of engine {_OF_TOKENS[config.backend]}",
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


def read_times(path: Path, key: str) -> list[tuple[int, float, float]]:
    """Rows of `key` (`batch`, or `held` slots), mean in seconds and coefficient of variation, ascending.

    Columns: the key, `mean_s` or `mean_ms`, and if measured `cv`.
    """
    table = csv.DictReader(io.StringIO(read_text(path, what="profile CSV")))
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
    if count < 1 or not (math.isfinite(mean) and mean > 0.0) or not 0.0 <= cv <= 100.0:
        raise InvalidInput(f"{where}: {key} {count}, mean {mean:g} s, cv {cv:g}", remedy="give numbers above 0")
    return count, mean, cv
