"""A run from the summary that genai-perf or aiperf wrote, where single requests were not kept."""

from __future__ import annotations

import math
from dataclasses import dataclass

from models.measurement import LatencySummary, Measurement
from planner.importers.benchmark_run import BenchmarkRun, SetUp
from planner.importers.client_tokens import COUNTED_BY_CLIENT, corrected_note, latencies_after_first
from planner.importers.fields import naming
from planner.importers.metric_table import MetricTable
from planner.importers.request_statistics import CHUNKED_BELOW, TOKENS_PER_CHUNK


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the tool was told to do, as far as its file says."""

    concurrency: float | None = None
    rate_per_s: float | None = None
    asked_output_tokens: float | None = None
    """Mean output length that was asked for, whether or not it was enforced."""
    exact_output_tokens: float | None = None
    """Set where every output must have this length: max_tokens together with ignore_eos."""
    server_output_tokens: float | None = None
    """Mean that the server counted, from its own metrics."""


def run_of_summary(
    table: MetricTable,
    request: Request,
    *,
    tool: str,
    setup: SetUp | None = None,
    failed: int | None = None,
    date: str | None = None,
) -> BenchmarkRun:
    """The run, with token counts of the server wherever it is known to have counted."""
    table.required("request_latency")
    table.required("time_to_first_token")
    e2e, ttft = table.latency("request_latency"), table.latency("time_to_first_token")
    assert e2e is not None
    assert ttft is not None
    client = table.required("output_sequence_length")
    server = table.value("usage_completion_tokens") or request.server_output_tokens or request.exact_output_tokens
    output = server or client
    fixed = request.exact_output_tokens is not None or table.value("usage_completion_tokens", "std") == 0.0
    notes = [] if server else [COUNTED_BY_CLIENT]
    if server and abs(server - client) > 0.005 * client:
        notes.append(corrected_note(client, server))
    tpot, itl = latencies_after_first(
        ttft=ttft,
        e2e=e2e,
        output_tokens=output,
        fixed_length=fixed,
        client=table.latency("inter_token_latency", positive_only=True),
        server_counted=server is not None,
        decode=table.latency("decode_duration", positive_only=True),
    )
    requests = table.value("request_count")
    itl, chunked = _with_chunk_gaps(table, itl)
    rate = _requests_per_s(table, client)
    concurrency, arrival, saturated, how = _load(request, rate, requests, e2e.mean_s or math.nan)
    with naming(table.place):
        point = Measurement(
            input_tokens=table.value("usage_prompt_tokens") or table.required("input_sequence_length"),
            output_tokens=output,
            input_tokens_cv=_variation(table, "usage_prompt_tokens", "input_sequence_length"),
            output_tokens_cv=0.0 if fixed else _variation(table, "usage_completion_tokens", "output_sequence_length"),
            concurrency=concurrency,
            arrival_rate_per_s=arrival,
            requests_per_s=rate,
            output_tokens_per_s=rate * output,
            ttft=ttft,
            tpot=tpot,
            itl=itl,
            e2e=e2e,
        )
    return BenchmarkRun(
        measurement=point,
        tool=tool,
        place=table.place,
        setup=setup or SetUp(),
        capacity_only=saturated,
        duration_s=table.value("benchmark_duration") or (requests / rate if requests else None),
        requests=None if requests is None else int(requests),
        failed=failed,
        requested_output_tokens=request.asked_output_tokens,
        date=date,
        notes=(*notes, *chunked, *how),
    )


def _variation(table: MetricTable, *counts: str) -> float | None:
    """Coefficient of variation of the first of these counts that is there."""
    for name in counts:
        mean, spread = table.value(name), table.value(name, "std")
        if mean and spread is not None:
            return spread / mean
    return None


def _with_chunk_gaps(table: MetricTable, itl: LatencySummary | None) -> tuple[LatencySummary | None, tuple[str, ...]]:
    """Percentiles of ITL from the gaps between chunks, where a chunk is a token."""
    chunks = table.latency("inter_chunk_latency", positive_only=True)
    if itl is None or itl.mean_s is None or chunks is None or chunks.mean_s is None:
        return itl, ()
    per_chunk = chunks.mean_s / itl.mean_s
    if per_chunk > TOKENS_PER_CHUNK or (chunks.p50_s or 0.0) < CHUNKED_BELOW * itl.mean_s:
        return itl, (f"percentiles of ITL left out: tokens came in chunks ({per_chunk:.2f} a chunk)",)
    percentiles = {f"{name}_s": value for name, value in chunks.items() if name != "mean"}
    return LatencySummary(mean_s=itl.mean_s, **percentiles), ()


def _requests_per_s(table: MetricTable, client_tokens: float) -> float:
    """Completions per second; from the token rate where it has more digits than a CSV's 0.17."""
    rate, tokens = table.required("request_throughput"), table.value("output_token_throughput")
    with naming(f"{table.place}, request_throughput"):
        Measurement(input_tokens=1.0, output_tokens=1.0, concurrency=1.0, requests_per_s=rate)
    finer = tokens / client_tokens if tokens and client_tokens > 0.0 else rate
    return finer if abs(finer - rate) <= 0.0051 else rate


def _load(
    request: Request, rate: float, requests: float | None, e2e_s: float
) -> tuple[float | None, float | None, bool, tuple[str, ...]]:
    """(concurrency, arrival rate, past saturation, how it was found)."""
    if request.rate_per_s is not None:
        # All requests were sent about one e2e before the last one ended.
        window = None if requests is None else requests / rate - e2e_s
        sent = requests / window if requests and window and window > 0.0 else request.rate_per_s
        spread = max(0.05, 2.0 / math.sqrt(requests)) if requests else 0.05
        saturated = sent < (1.0 - spread) * request.rate_per_s
        note = f"arrival rate {sent:.4g}/s from requests, duration and e2e; {request.rate_per_s:g}/s was asked for"
        return None, request.rate_per_s if saturated else sent, saturated, (note,)
    if request.concurrency is not None:
        return request.concurrency, None, False, ()
    return max(1.0, rate * e2e_s), None, False, ("concurrency from Little's law: throughput times mean e2e",)
