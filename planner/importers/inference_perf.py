"""inference-perf: lifecycle metrics of a stage or of the whole, in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from models.errors import InvalidInput
from models.measurement import LatencySummary, Measurement
from planner.importers.benchmark_run import BenchmarkRun
from planner.importers.beside import json_fields
from planner.importers.fields import Fields, naming
from planner.importers.importer import FileStart
from planner.importers.latency_summary import latency, without_chunks

_NAMES: dict[str, str | tuple[str, ...]] = {"mean": "mean", "p50": "median", "p90": "p90", "p95": "p95", "p99": "p99"}
_PROMPT, _OUTPUT = ("prompt_tokens", "prompt_len"), ("output_tokens", "output_len")
"""The server's count, of newer releases, before the client's, who tokenises the answer again."""
_KEEPS_UP = 0.95
_SAME_TPOT = 0.1


class InferencePerf:
    """Reads a stage: one constant rate or number of users. The summary over all stages mixes loads and is refused."""

    tool = "inference-perf"

    def recognises(self, start: FileStart) -> bool:
        """Its two sections."""
        return start.has_keys("load_summary", "successes")

    def runs(self, path: Path) -> Iterator[BenchmarkRun]:
        """The one stage in the file."""
        document = json_fields(path)
        load, seen = document.inner("load_summary"), document.inner("successes")
        if not load.values:
            raise InvalidInput(
                f"{path}, load_summary is empty: what Prometheus saw of a run does not say its load",
                remedy="import the stages' lifecycle metrics (…stage_N_lifecycle_metrics.json)",
            )
        if not load.has("requested_rate"):
            raise InvalidInput(
                f"{path}, load_summary.requested_rate is missing: a summary over stages mixes their loads",
                remedy="import the stages' lifecycle metrics (…stage_N_lifecycle_metrics.json)",
            )
        with naming(str(path)):
            yield _stage(load, seen, document.inner("failures"), self.tool)


def _recounted(laws: dict[str, LatencySummary | None], output_tokens: float) -> str:
    """Put TPOT and the mean gap right where the tool counted other tokens than it says; a note of it."""
    ttft, e2e, tpot = laws["ttft"], laws["e2e"], laws["tpot"]
    if not (ttft and e2e and tpot and ttft.mean_s and e2e.mean_s and tpot.mean_s) or output_tokens <= 1.0:
        return ""
    gap = (e2e.mean_s - ttft.mean_s) / (output_tokens - 1.0)
    if gap <= 0.0 or abs(tpot.mean_s / gap - 1.0) <= _SAME_TPOT:
        return ""
    laws["tpot"] = laws["itl"] = LatencySummary(mean_s=gap)
    return (
        f"TPOT and ITL: (e2e − ttft)/(tokens − 1) of the means, {gap:.4g} s; the tool says {tpot.mean_s:.4g} s, which "
        "does not fit its own e2e and lengths"
    )


def _lengths(seen: Fields, newer: str, older: str) -> Fields:
    return seen.inner(newer if seen.inner(newer).has("mean") else older)


def _stage(load: Fields, seen: Fields, failures: Fields, tool: str) -> BenchmarkRun:
    if not seen.count("count"):
        raise InvalidInput(f"{seen.where('count')}: no request succeeded", remedy="look at the server's log")
    laws: dict[str, LatencySummary | None] = {}
    for metric, name in (
        ("ttft", "time_to_first_token"),
        ("tpot", "time_per_output_token"),
        ("itl", "inter_token_latency"),
        ("e2e", "request_latency"),
    ):
        laws[metric] = latency(seen.inner("latency", name), _NAMES)
    prompt, output = (_lengths(seen, *names).number("mean") for names in (_PROMPT, _OUTPUT))
    recounted = _recounted(laws, output)
    gaps = seen.inner("latency", "inter_token_latency")
    laws["itl"], said = without_chunks(laws["itl"], laws["tpot"], zero_median=gaps.maybe("median") == 0.0)
    throughput = seen.inner("throughput")
    served = throughput.maybe("requests_per_sec")
    # A closed loop sends a request for each that ends: the rate that it is given is one of the tool's own making.
    users = load.maybe("concurrency")
    asked, sent = load.number("requested_rate"), load.number("achieved_rate")
    late = users is None and (sent < _KEEPS_UP * asked or (served is not None and served < _KEEPS_UP * sent))
    notes = [each for each in (said, recounted) if each]
    if late:
        notes.append(f"{asked:g} requests/s were asked for, {sent:.4g} sent: a point of capacity, not of latency")
    return BenchmarkRun(
        measurement=Measurement(
            input_tokens=prompt,
            output_tokens=output,
            concurrency=users,
            arrival_rate_per_s=sent if users is None else None,
            requests_per_s=served,
            output_tokens_per_s=throughput.maybe("output_tokens_per_sec"),
            ttft=laws["ttft"],
            tpot=laws["tpot"],
            itl=laws["itl"],
            e2e=laws["e2e"],
        ),
        tool=tool,
        place=load.place,
        capacity_only=late,
        duration_s=load.maybe("send_duration"),
        requests=seen.count("count"),
        failed=failures.count("count"),
        notes=tuple(notes),
    )
