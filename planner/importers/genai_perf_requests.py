"""genai-perf and perf_analyzer: every request with its timestamps, as `profile_export.json`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import InvalidInput
from planner.importers.batching_run import BatchingRun
from planner.importers.benchmark_run import BenchmarkRun, RequestTable, SetUp
from planner.importers.beside import neighbours
from planner.importers.fields import Fields, naming
from planner.importers.genai_perf import set_up
from planner.importers.importer import FileStart
from planner.importers.json_stream import ENDED, parts
from planner.importers.request_run import run_of_requests
from planner.importers.request_statistics import sent_rate_per_s, summary
from planner.importers.streamed_answer import StreamedAnswer, read_answer, whole_answer_s, without_tokens

_EXPERIMENT, _LOAD, _REQUEST = "experiments.item", "experiments.item.experiment", "experiments.item.requests.item"
COUNTED_BY_CHUNKS = "output tokens: one taken for each chunk, for the server sent no count"


@dataclass
class _Experiment:
    """One load, as far as it was read."""

    load: dict[str, Any] = field(default_factory=dict)
    answers: list[StreamedAnswer] = field(default_factory=list)
    whole_s: list[tuple[float, float]] = field(default_factory=list)
    """Send and e2e of requests to a model without tokens."""
    failed_start_s: list[float] = field(default_factory=list)


class GenaiPerfRequests:
    """Reads single requests and computes everything from them; texts of prompts and answers are not kept."""

    tool = "genai-perf"

    def recognises(self, start: FileStart) -> bool:
        """JSON with experiments of requests whose responses have timestamps."""
        return start.text.lstrip().startswith("{") and start.has_keys("experiments", "requests", "timestamp")

    def runs(self, path: Path) -> Iterator[BenchmarkRun | BatchingRun]:
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
    if without_tokens(request):
        experiment.whole_s.append((start, whole_answer_s(request, times)))
        return
    answer = read_answer(request, times)
    if answer is None:
        experiment.failed_start_s.append(start)
    else:
        experiment.answers.append(answer)


def _run(path: Path, number: int, experiment: _Experiment, tool: str) -> BenchmarkRun | BatchingRun:
    place = f"{path}, experiments[{number}]"
    answers = experiment.answers
    load = Fields(values=experiment.load, place=place, path="experiment.")
    if experiment.whole_s and not answers:
        return _run_without_tokens(experiment, load)
    if not answers:
        raise InvalidInput(f"{place}: no request was answered", remedy="look at the benchmark's errors")
    told = next(neighbours(path, "*_genai_perf.json"), None)
    lengths, notes = _output_tokens(answers)
    table = RequestTable(
        input_tokens=_input_tokens(answers, told, place),
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
        setup=set_up(told.inner("input_config")) if told else SetUp(),
        notes=notes,
    )


def _run_without_tokens(experiment: _Experiment, load: Fields) -> BatchingRun:
    start, e2e = (np.array(each) for each in zip(*experiment.whole_s, strict=True))
    mode, value = load.words("mode"), load.maybe("value")
    users = value if mode == "concurrency" else None
    rate = None if users is not None else sent_rate_per_s(np.concatenate([start, experiment.failed_start_s]))
    with naming(load.place):
        return BatchingRun(
            tool="perf_analyzer",
            place=load.place,
            setup=SetUp(engine="triton"),
            concurrency=users,
            arrival_rate_per_s=rate,
            inferences_per_s=start.size / float((start + e2e).max() - start.min()),
            e2e=summary(e2e),
        )


def _output_tokens(answers: list[StreamedAnswer]) -> tuple[Any, tuple[str, ...]]:
    counted = [each.usage_output if each.usage_output is not None else each.exact_output for each in answers]
    if all(each is not None for each in counted):
        return np.array(counted, dtype=float), ()
    return np.array([float(each.token_s.size) for each in answers]), (COUNTED_BY_CHUNKS,)


def _input_tokens(answers: list[StreamedAnswer], told: Fields | None, place: str) -> Any:
    counted = [each.usage_input if each.usage_input is not None else each.prompt_ids for each in answers]
    if all(each is not None for each in counted):
        return np.array(counted, dtype=float)
    if told is not None and told.inner("input_sequence_length").has("avg"):
        return np.full(len(answers), told.inner("input_sequence_length").number("avg"))
    raise InvalidInput(
        f"{place}: it holds prompts as text, not their lengths in tokens",
        remedy="keep genai-perf's *_genai_perf.json beside it, or import that instead",
    )
