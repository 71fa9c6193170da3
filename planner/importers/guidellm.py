"""guidellm: its report as JSON or YAML, generations up to 0.2, 0.3 to 0.5, and from 0.6."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.errors import InvalidInput
from planner.files import read_document
from planner.importers.benchmark_run import BenchmarkRun, SetUp
from planner.importers.fields import Fields
from planner.importers.guidellm_stage import Stage, run_of
from planner.importers.importer import FileStart
from planner.importers.json_stream import ENDED, parts

_STAGE = "benchmarks.item"
_PARTS = ("config", "args", "scheduler", "metrics", "run_stats", "scheduler_metrics", "worker")
_SCALARS = ("start_time", "end_time", "duration")
_STATUSES = ("successful", "errored", "incomplete")
_MODELS = ("args.model", "config.spec.backend.model")
_WANTED = frozenset(
    [f"{_STAGE}.{name}" for name in (*_PARTS, *_SCALARS)]
    + [f"{_STAGE}.requests.{status}.item" for status in _STATUSES]
    + list(_MODELS)
)
PAST_CAPACITY = 1.05
"""An open stage that sent this many times the best rate of the report left a queue that grew."""


class Guidellm:
    """Reads a sweep's stages. Its time per output token counts the first token: the latency between tokens is taken."""

    tool = "guidellm"

    def recognises(self, start: FileStart) -> bool:
        """Benchmarks of guidellm's own type, in JSON or YAML."""
        return start.has_keys("benchmarks") and (
            start.has_keys("guidellm_version")
            or "generative_benchmark" in start.text
            or start.has_keys("strategy", "type_")
        )

    def runs(self, path: Path) -> Iterator[BenchmarkRun]:
        """A run for each stage, in the report's order."""
        model, stages = None, []
        stage = _stage(path, 0)
        for prefix, value in _parts(path):
            name = prefix.removeprefix(f"{_STAGE}.")
            if prefix in _MODELS:
                model = value if isinstance(value, str) and len(value) <= 200 else model
            elif value is ENDED:
                stages.append(run_of(stage, self.tool, SetUp(model=_model(stage) or model)))
                stage = _stage(path, len(stages))
            elif name.startswith("requests."):
                status = name.split(".")[1]
                seen = len(stage.successful if status == "successful" else stage.other_start_s)
                place = Fields(values={}, place=stage.place).item(f"requests.{status}", seen, value)
                stage.add(status, place)
            else:
                stage.parts[name] = value
        if not stages:
            raise InvalidInput(f"{path}, benchmarks: there is none", remedy="is the file whole?")
        yield from _past_capacity(stages)


def _stage(path: Path, number: int) -> Stage:
    return Stage(place=f"{path}, benchmarks[{number}]")


def _model(stage: Stage) -> str | None:
    backend = (stage.parts.get("config") or {}).get("backend") if isinstance(stage.parts.get("config"), dict) else None
    named = Fields(values=backend, place=stage.place).words("model") if isinstance(backend, dict) else None
    return named or stage.fields("worker").words("backend_model")


def _past_capacity(runs: list[BenchmarkRun]) -> Iterator[BenchmarkRun]:
    """Mark open stages that sent more than the engine ever served.

    Where the report holds a stage that saturates on purpose, its rate is the capacity. Otherwise a stage is judged by
    itself: of what it sent, all but the last e2e's worth should have been served.
    """
    capacity = [run.measurement.requests_per_s or 0.0 for run in runs if run.capacity_only]
    best = max((run.measurement.requests_per_s or 0.0 for run in runs), default=0.0)
    for run in runs:
        point, sent = run.measurement, run.measurement.arrival_rate_per_s
        served = best
        if not capacity and run.duration_s and point.e2e and point.e2e.mean_s and point.requests_per_s:
            window = max(run.duration_s - point.e2e.mean_s, 0.1 * run.duration_s)
            served = max(best, point.requests_per_s * run.duration_s / window)
        if sent is not None and sent > PAST_CAPACITY * served and not run.capacity_only:
            note = f"past saturation: {sent:.4g}/s sent, at most {served:.4g}/s served"
            yield replace(run, capacity_only=True, notes=(*run.notes, note))
        else:
            yield run


def _parts(path: Path) -> Iterable[tuple[str, Any]]:
    with_brace = True
    try:
        with path.open("rb") as stream:
            with_brace = stream.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}", remedy="check the path and its mode") from None
    return parts(path, _WANTED, frozenset({_STAGE})) if with_brace else _walk(path)


def _walk(path: Path) -> Iterator[tuple[str, Any]]:
    """The same parts of a YAML report."""
    document = Fields(values=read_document(path, what="benchmark file"), place=str(path))
    for prefix in _MODELS:
        *folders, name = prefix.split(".")
        here: dict[str, Any] = document.values
        for folder in folders:
            inside = here.get(folder)
            here = inside if isinstance(inside, dict) else {}
        yield prefix, here.get(name)
    for stage in document.items("benchmarks"):
        for name in (*_PARTS, *_SCALARS):
            if stage.has(name):
                yield f"{_STAGE}.{name}", stage.values[name]
        for status in _STATUSES:
            for request in stage.inner("requests").items(status):
                yield f"{_STAGE}.requests.{status}.item", request.values
        yield _STAGE, ENDED
