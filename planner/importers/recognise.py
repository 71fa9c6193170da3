"""Which tool wrote a file: asked of every importer, by content."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from models.errors import InvalidInput
from planner.importers.batching_run import BatchingRun
from planner.importers.benchmark_run import BenchmarkRun
from planner.importers.importer import FileStart, Importer
from planner.importers.inference_perf import InferencePerf
from planner.importers.inferencex_table import InferencexTable
from planner.importers.llmperf import Llmperf
from planner.importers.load_tools import LOAD_TOOLS
from planner.importers.points_table import PointsTable
from planner.importers.possible_figures import require_possible
from planner.importers.sglang_bench import SglangBench
from planner.importers.vllm_bench_offline import VllmBenchOffline
from planner.importers.vllm_bench_serve import VllmBenchServe
from planner.importers.vllm_pytorch_records import VllmPytorchRecords

IMPORTERS: tuple[Importer, ...] = (
    *LOAD_TOOLS,
    VllmBenchServe(),
    VllmPytorchRecords(),
    VllmBenchOffline(),
    SglangBench(),
    InferencexTable(),
    InferencePerf(),
    Llmperf(),
    PointsTable(),
)
UNFINISHED = "the file's last line has no end: were it cut there, its last number would be another"
_JSON = re.compile(r"\s*(\{|\[\s*[\[{\]])")
"""Whose end its own brackets tell."""
START_BYTES = 64 * 1024
MOST_BYTES = 2**30
"""Larger files are refused: their requests would not fit in memory."""


def runs_of(path: Path) -> Iterator[BenchmarkRun | BatchingRun]:
    """Every run in the file. Raises InvalidInput where it cannot be read, is unknown, or cannot be true."""
    start = _start(path)
    importer = _importer(path, start)
    cut = not start.ends_a_line and not _JSON.match(start.text)
    if cut and not isinstance(importer, PointsTable):
        raise InvalidInput(f"{path} ends in the middle of a line", remedy="is the file whole? copy it again")
    for run in importer.runs(path):
        if isinstance(run, BatchingRun):
            yield run
            continue
        require_possible(run)
        yield replace(run, file=path, notes=(*run.notes, UNFINISHED) if cut else run.notes)


def importer_of(path: Path) -> Importer:
    """The importer whose tool wrote the file."""
    return _importer(path, _start(path))


def _importer(path: Path, start: FileStart) -> Importer:
    found = next((each for each in IMPORTERS if each.recognises(start)), None)
    if found is None:
        raise InvalidInput(
            f"{path} is of no benchmark tool that is known here",
            remedy=f"known are {', '.join(dict.fromkeys(each.tool for each in IMPORTERS))}",
        )
    return found


def _start(path: Path) -> FileStart:
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder", remedy="name the files in it")
    if path.exists() and not path.is_file():
        raise InvalidInput(f"{path} is a pipe or a device", remedy="write it to a file first: it is read twice")
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            head = stream.read(START_BYTES)
            stream.seek(max(0, size - 2))
            end = stream.read(2)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidInput(f"{path} cannot be read: {reason}", remedy="check the path and its mode") from None
    if size > MOST_BYTES:
        raise InvalidInput(
            f"{path} is {size / 2**30:.1f} GiB, more than the {MOST_BYTES / 2**30:.0f} GiB that are read",
            remedy="import the tool's summary, or fewer requests",
        )
    if not head.strip():
        raise InvalidInput(f"{path} is empty", remedy="run the benchmark again")
    if b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InvalidInput(f"{path} is not text", remedy="unpack it, or name the result that the tool wrote")
    encoding = "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    return FileStart(
        name=path.name,
        text=head.decode(encoding, errors="replace"),
        ends_a_line=end in (b"\n\0", b"\0\n") or end.endswith(b"\n"),
    )
