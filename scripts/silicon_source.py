"""Reads the measured curves that the project keeps: rows grouped into set-ups, and which rows are no plain replica."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from models.measurement import LatencySummary, Measurement
from planner.hardware import find_gpu, gpu_name

SOURCE = Path(__file__).resolve().parent.parent / "planner" / "catalogue" / "sources" / "silicon.csv"


@dataclass(frozen=True, kw_only=True)
class SetUp:
    """What makes two measurements comparable."""

    engine: str
    version: str
    model: str
    gpu: str
    precision: str
    tensor_parallel: int
    pipeline_parallel: int
    expert_parallel: int

    @property
    def gpus(self) -> int:
        return self.tensor_parallel * self.pipeline_parallel

    @property
    def weights(self) -> str:
        """Precision of the weights; 16 bits where the source states none."""
        return self.precision or "bf16"

    @property
    def base_name(self) -> str:
        model = self.model.rpartition("/")[2].lower().removeprefix("meta-")
        model = re.sub(r"(-instruct|-fp8|-nvfp4)+$", "", model)
        gpu = gpu_name(self.gpu).partition("-")[0].lower()
        parts = [model, "" if self.weights == "bf16" else self.weights, gpu, self.engine, f"tp{self.tensor_parallel}"]
        if self.expert_parallel > 1:
            parts.append(f"ep{self.expert_parallel}")
        return "-".join(part for part in parts if part)


def source_groups() -> dict[tuple[SetUp, tuple[int, ...]], list[dict[str, str]]]:
    """Rows by set-up and by the parallelism that a set-up does not name."""
    groups: dict[tuple[SetUp, tuple[int, ...]], list[dict[str, str]]] = defaultdict(list)
    with SOURCE.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if row["engine"] in ("vllm", "trtllm"):
                groups[_setup(row), _parallelism(row)[:2]].append(row)
    return groups


def _setup(row: dict[str, str]) -> SetUp:
    return SetUp(
        engine=row["engine"],
        version=row["engine_version"],
        model=row["model"],
        gpu=row["gpu"],
        precision=row["precision"],
        tensor_parallel=int(row["tensor_parallel"]),
        pipeline_parallel=int(row["pipeline_parallel"]),
        expert_parallel=_parallelism(row)[2],
    )


def _parallelism(row: dict[str, str]) -> tuple[int, int, int]:
    """Attention data parallel, experts' tensor parallel, expert parallel; 0 or nothing is 1."""
    columns = ("attention_data_parallel", "moe_tensor_parallel", "moe_expert_parallel")
    attention, moe, expert = (max(1, int(row[column] or 1)) for column in columns)
    return attention, moe, expert


def not_one_replica(row: dict[str, str]) -> str:
    """Why a row is not a plain replica of one node, or nothing."""
    tensor = int(row["tensor_parallel"])
    attention, moe, expert = _parallelism(row)
    if attention > 1:
        return "attention data parallel: the source does not say whether concurrency is per rank"
    gpu = find_gpu(gpu_name(row["gpu"]))
    if gpu is None or tensor * int(row["pipeline_parallel"]) > gpu.gpus_per_node:
        return "more GPUs than a node: disaggregated or wide expert parallel"
    if moe * expert not in (1, tensor):
        return "parallelism columns contradict one another"
    return ""


def measurement_of(row: dict[str, str]) -> Measurement:
    return Measurement(
        concurrency=float(row["concurrency"]),
        input_tokens=float(row["input_tokens"]),
        output_tokens=float(row["output_tokens"]),
        ttft=LatencySummary(mean_s=round(float(row["ttft_ms"]) / 1e3, 7)),
        tpot=LatencySummary(mean_s=round(float(row["tpot_ms"]) / 1e3, 8)),
    )
