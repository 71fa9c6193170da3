"""SGLang's bench_serving: a line of JSON for each run, appended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from models.errors import InvalidInput
from models.measurement import Measurement
from planner.files import read_text
from planner.importers.benchmark_run import BenchmarkRun, SetUp
from planner.importers.fields import Fields, naming
from planner.importers.importer import FileStart
from planner.importers.latency_summary import latency, without_chunks
from planner.importers.offered_load import AT_ONCE, falls_behind, is_endless


class SglangBench:
    """Reads each line as a run."""

    tool = "sglang bench_serving"

    def recognises(self, start: FileStart) -> bool:
        """Its name for e2e latency, and its token counts after tokenising again."""
        return start.has_keys("mean_e2e_latency_ms", "total_output_tokens_retokenized")

    def runs(self, path: Path) -> Iterator[BenchmarkRun]:
        """A run for each line."""
        found = 0
        for number, line in enumerate(read_text(path, what="benchmark file").splitlines(), start=1):
            if not line.strip():
                continue
            place = f"{path}, line {number}"
            try:
                values = json.loads(line)
            except (ValueError, RecursionError):
                raise InvalidInput(f"{place}: not valid JSON", remedy="is the file whole?") from None
            if not isinstance(values, dict):
                raise InvalidInput(f"{place}: fields are expected", remedy="is the file of this tool?")
            found += 1
            with naming(place):
                yield _run(Fields(values=values, place=place), self.tool)
        if not found:
            raise InvalidInput(f"{path} is empty", remedy="run the benchmark again")


def _run(fields: Fields, tool: str) -> BenchmarkRun:
    completed = fields.number("completed")
    if completed < 1:
        raise InvalidInput(f"{fields.where('completed')}: no request succeeded", remedy="look at the server's log")
    asked = fields.values.get("request_rate")
    rate = None if is_endless(asked) or asked is None else fields.number("request_rate")
    users = None if rate is not None else fields.maybe("max_concurrency")
    notes: tuple[str, ...] = ()
    at_once = rate is None and users is None
    if at_once:
        users = completed
        notes = (AT_ONCE,)
    names = {"mean": "mean_{}", "p50": "median_{}", "p90": "p90_{}", "p95": "p95_{}", "p99": "p99_{}"}

    def law(metric: str) -> dict[str, str | tuple[str, ...]]:
        return {statistic: name.format(metric) for statistic, name in names.items()}

    tpot, e2e = latency(fields, law("tpot_ms"), 1e-3), latency(fields, law("e2e_latency_ms"), 1e-3)
    ttft = latency(fields, law("ttft_ms"), 1e-3)
    itl, said = without_chunks(latency(fields, law("itl_ms"), 1e-3), tpot)
    output = fields.number("total_output_tokens") / completed
    duration = fields.number("duration")
    served = completed / duration if duration > 0.0 else None
    return BenchmarkRun(
        measurement=Measurement(
            input_tokens=fields.number("total_input_tokens") / completed,
            output_tokens=output,
            concurrency=users,
            arrival_rate_per_s=rate,
            requests_per_s=served,
            output_tokens_per_s=fields.maybe("output_throughput"),
            ttft=ttft,
            tpot=tpot,
            itl=itl,
            e2e=e2e,
        ),
        tool=tool,
        place=fields.place,
        setup=SetUp(model=fields.words("model")),
        burstiness=1.0 if rate is not None else None,
        capacity_only=at_once or falls_behind(rate, served),
        duration_s=duration,
        requests=int(completed),
        notes=(*notes, *([said] if said else [])),
    )
