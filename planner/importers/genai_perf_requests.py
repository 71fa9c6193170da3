"""genai-perf and perf_analyzer: every request with its timestamps, as `profile_export.json`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import InvalidInput
from planner.importers.benchmark_run import BenchmarkRun, RequestTable, SetUp
from planner.importers.beside import neighbours
from planner.importers.fields import Fields
from planner.importers.genai_perf import set_up
from planner.importers.importer import FileStart
from planner.importers.json_stream import ENDED, parts
from planner.importers.request_run import run_of_requests
from planner.importers.streamed_answer import StreamedAnswer, read_answer

_EXPERIMENT, _LOAD, _REQUEST = "experiments.item", "experiments.item.experiment", "experiments.item.requests.item"
COUNTED_BY_CHUNKS = "output tokens: one taken for each chunk, for the server sent no count"


@dataclass
class _Experiment:
    """One load, as far as it was read."""

    load: dict[str, Any] = field(default_factory=dict)
    answers: list[StreamedAnswer] = field(default_factory=list)
    failed_start_s: list[float] = field(default_factory=list)


class GenaiPerfRequests:
    """Reads single requests and computes everything from them; texts of prompts and answers are not kept."""

    tool = "genai-perf"

    def recognises(self, start: FileStart) -> bool:
        """JSON with experiments of requests whose responses have timestamps."""
        return start.text.lstrip().startswith("{") and start.has_keys("experiments", "requests", "timestamp")

    def runs(self, path: Path) -> Iterator[BenchmarkRun]:
        """A run for each experiment."""
        number, experiment, requests = 0, _Experiment(), 0
        for prefix, value in parts(path, frozenset({_LOAD, _REQUEST}), frozenset({_EXPERIMENT})):
            if value is ENDED:
                yield _run(path, number, experiment, self.tool)
                number, experiment, requests = number + 1, _Experiment(), 0
            elif prefix == _LOAD and isinstance(value, dict):
                experiment.load = value
            elif prefix == _REQUEST:
                name = f"experiments[{number}].requests"
                _add(experiment, Fields(values={}, place=str(path)).item(name, requests, value))
                requests += 1
        if number == 0:
            raise InvalidInput(f"{path}, experiments: there is none", remedy="is the file of this tool?")


def _add(experiment: _Experiment, request: Fields) -> None:
    start = request.number("timestamp") * 1e-9
    times = request.values.get("response_timestamps")
    if times is None or times == []:
        experiment.failed_start_s.append(start)
        return
    answer = read_answer(request, times)
    if answer is None:
        experiment.failed_start_s.append(start)
    else:
        experiment.answers.append(answer)


def _run(path: Path, number: int, experiment: _Experiment, tool: str) -> BenchmarkRun:
    place = f"{path}, experiments[{number}]"
    answers = experiment.answers
    if not answers:
        raise InvalidInput(f"{place}: no request was answered", remedy="look at the benchmark's errors")
    load = Fields(values=experiment.load, place=place, path="experiment.")
    summary = next(neighbours(path, "*_genai_perf.json"), None)
    lengths, notes = _output_tokens(answers)
    table = RequestTable(
        input_tokens=_input_tokens(answers, summary, place),
        output_tokens=lengths,
        ttft_s=np.array([each.token_s[0] - each.start_s for each in answers]),
        e2e_s=np.array([each.token_s[-1] - each.start_s for each in answers]),
        start_s=np.array([each.start_s for each in answers]),
        gaps_s=np.concatenate([np.diff(each.token_s) for each in answers]),
    )
    mode, value = load.words("mode"), load.maybe("value")
    return run_of_requests(
        table,
        tool=tool,
        place=place,
        concurrency=value if mode == "concurrency" else None,
        open_loop=mode == "request_rate",
        failed_start_s=np.array(experiment.failed_start_s),
        setup=set_up(summary.inner("input_config")) if summary else SetUp(),
        notes=notes,
    )


def _output_tokens(answers: list[StreamedAnswer]) -> tuple[Any, tuple[str, ...]]:
    counted = [each.usage_output if each.usage_output is not None else each.exact_output for each in answers]
    if all(each is not None for each in counted):
        return np.array(counted, dtype=float), ()
    return np.array([float(each.token_s.size) for each in answers]), (COUNTED_BY_CHUNKS,)


def _input_tokens(answers: list[StreamedAnswer], summary: Fields | None, place: str) -> Any:
    counted = [each.usage_input if each.usage_input is not None else each.prompt_ids for each in answers]
    if all(each is not None for each in counted):
        return np.array(counted, dtype=float)
    if summary is not None and summary.inner("input_sequence_length").has("avg"):
        return np.full(len(answers), summary.inner("input_sequence_length").number("avg"))
    raise InvalidInput(
        f"{place}: it holds prompts as text, not their lengths in tokens",
        remedy="keep genai-perf's *_genai_perf.json beside it, or import that instead",
    )
