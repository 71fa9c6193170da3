"""llmperf: the summary of a run. Its inter-token latency is e2e over output tokens, so that TTFT is mixed in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from models.measurement import LatencySummary, Measurement
from planner.importers.benchmark_run import BenchmarkRun, SetUp
from planner.importers.beside import json_fields
from planner.importers.fields import Fields, naming
from planner.importers.importer import FileStart
from planner.importers.latency_summary import latency

_MIXED = (
    "ITL left out: llmperf divides e2e by the output tokens, TTFT included; the mean TPOT is (e2e − ttft)/(tokens − 1) "
    "of the means"
)


class Llmperf:
    """Reads `*_summary.json`."""

    tool = "llmperf"

    def recognises(self, start: FileStart) -> bool:
        """Its way to name results."""
        return start.has_keys("num_concurrent_requests", "results_ttft_s_mean")

    def runs(self, path: Path) -> Iterator[BenchmarkRun]:
        """The one run in the file."""
        fields = json_fields(path)
        with naming(str(path)):
            yield _run(fields, self.tool)


def _run(fields: Fields, tool: str) -> BenchmarkRun:
    def law(metric: str) -> LatencySummary | None:
        percentiles = {f"p{q}": f"results_{metric}_quantiles_p{q}" for q in (50, 90, 95, 99)}
        return latency(fields, {"mean": f"results_{metric}_mean", **percentiles})

    prompt = fields.maybe("results_number_input_tokens_mean") or fields.number("mean_input_tokens")
    output = fields.maybe("results_number_output_tokens_mean") or fields.number("mean_output_tokens")
    ttft, e2e = law("ttft_s"), law("end_to_end_latency_s")
    tpot = None
    if ttft and e2e and ttft.mean_s and e2e.mean_s and output > 1.0 and e2e.mean_s > ttft.mean_s:
        tpot = LatencySummary(mean_s=(e2e.mean_s - ttft.mean_s) / (output - 1.0))
    rate = fields.maybe("results_num_completed_requests_per_min")
    return BenchmarkRun(
        measurement=Measurement(
            input_tokens=prompt,
            output_tokens=output,
            concurrency=fields.number("num_concurrent_requests"),
            requests_per_s=rate / 60.0 if rate else None,
            output_tokens_per_s=fields.maybe("results_mean_output_throughput_token_per_s"),
            ttft=ttft,
            tpot=tpot,
            e2e=e2e,
        ),
        tool=tool,
        place=fields.place,
        setup=SetUp(model=fields.words("model")),
        requests=fields.count("results_num_completed_requests"),
        failed=fields.count("results_number_errors"),
        notes=(_MIXED,),
    )
