"""Slices of multi-instance GPUs by type: `catalogue/hardware/mig.csv` (see SOURCE.md there)."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from models.errors import InvalidInput
from models.mig_layouts import MigGpu, MigSlice
from planner.hardware import GIB

_TABLE = Path(__file__).parent / "catalogue" / "hardware" / "mig.csv"


@cache
def mig_gpus() -> Mapping[str, MigGpu]:
    """Every GPU of the table by its type in lower case."""
    rows: dict[str, list[dict[str, str]]] = {}
    with _TABLE.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            rows.setdefault(row["gpu"].lower(), []).append(row)
    return {gpu: _gpu(own) for gpu, own in rows.items()}


def mig_gpu(gpu_type: str, profiles: Sequence[str]) -> MigGpu:
    """The GPU with the slices that are named (`all`: every one). Raises InvalidInput for what is not known."""
    known = mig_gpus().get(gpu_type.lower())
    if known is None:
        raise InvalidInput(
            f"GPU {gpu_type}: its MIG slices are not known",
            remedy=f"leave out `mig`; known are those of {', '.join(_types())}",
        )
    wanted = [name.lower().removeprefix("mig ").removeprefix("mig-") for name in profiles]
    names = [each.name for each in known.slices]
    unknown = [name for name in wanted if name not in (*names, "all")]
    if unknown:
        raise InvalidInput(
            f"GPU {gpu_type} has no MIG slice {unknown[0]!r}", remedy=f"it has {', '.join(names)}; or say `mig: [all]`"
        )
    slices = tuple(each for each in known.slices if "all" in wanted or each.name in wanted)
    return MigGpu(compute_slices=known.compute_slices, memory_slices=known.memory_slices, slices=slices)


def _types() -> list[str]:
    with _TABLE.open(encoding="utf-8", newline="") as lines:
        return list(dict.fromkeys(row["gpu"] for row in csv.DictReader(lines)))


def _gpu(rows: Sequence[dict[str, str]]) -> MigGpu:
    compute = max(int(row["compute_slices"]) for row in rows)
    memory = max(int(row["memory_slices"]) for row in rows)
    return MigGpu(
        compute_slices=compute,
        memory_slices=memory,
        slices=tuple(_slice(row, compute, memory) for row in rows),
    )


def _slice(row: dict[str, str], compute: int, memory: int) -> MigSlice:
    """Its share of the GPU is the least of those of multiprocessors, compute slices and memory slices (bandwidth)."""
    shares = (
        int(row["sms"]) / int(row["gpu_sms"]),
        int(row["compute_slices"]) / compute,
        int(row["memory_slices"]) / memory,
    )
    return MigSlice(
        name=row["profile"],
        compute_slices=int(row["compute_slices"]),
        memory_slices=int(row["memory_slices"]),
        starts=tuple(map(int, row["starts"].split())),
        instances=int(row["instances"]),
        memory_bytes=float(row["memory_gib"]) * GIB,
        compute=min(shares),
    )
