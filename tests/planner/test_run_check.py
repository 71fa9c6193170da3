"""Each flaw of a benchmark run planted and found by its name; a clean run, closed or open, has none."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.measurement import LatencySummary, Measurement
from planner.checks.finding import Finding, Severity
from planner.importers.benchmark_run import BenchmarkRun, RequestTable
from planner.importers.vllm_bench_serve import VllmBenchServe
from planner.run_check import check_runs

TTFT, GAP, OUTPUT = 0.05, 0.01, 33
E2E = TTFT + (OUTPUT - 1) * GAP
"""0.37 s."""


def a_table(start_s, *, ttft_s=None, gap_s=None, output=None) -> RequestTable:
    """Requests that start then; each first token after 50 ms, each further one after 10 ms, but for some noise."""
    count = len(start_s)
    noise = 1.0 + 0.02 * np.random.default_rng(1).standard_normal(count)
    ttft = TTFT * noise if ttft_s is None else np.asarray(ttft_s, dtype=float)
    gap = np.full(count, GAP) if gap_s is None else np.asarray(gap_s, dtype=float)
    tokens = np.full(count, OUTPUT) if output is None else np.asarray(output)
    return RequestTable(
        input_tokens=np.full(count, 64.0),
        output_tokens=tokens.astype(float),
        ttft_s=ttft,
        e2e_s=ttft + (tokens - 1) * gap,
        start_s=np.asarray(start_s, dtype=float),
        gaps_s=np.repeat(gap, tokens - 1),
    )


def closed_starts(users: int = 4, rounds: int = 50) -> np.ndarray:
    return (np.arange(rounds)[:, None] * E2E * 1.001 + np.zeros(users)).ravel()


def open_starts(rate: float = 5.0, count: int = 400, *, even: bool = False) -> np.ndarray:
    gaps = np.full(count, 1.0) if even else np.random.default_rng(7).exponential(size=count)
    return np.cumsum(gaps) / np.mean(gaps) / rate


def a_closed_run(table: RequestTable | None = None, *, users: int = 4, **changes: Any) -> BenchmarkRun:
    table = table or a_table(closed_starts(users))
    return a_run(table, Measurement(concurrency=users, input_tokens=64, output_tokens=OUTPUT), **changes)


def an_open_run(table: RequestTable | None = None, *, rate: float = 5.0, **changes: Any) -> BenchmarkRun:
    table = table or a_table(open_starts(rate))
    load = Measurement(arrival_rate_per_s=rate, input_tokens=64, output_tokens=OUTPUT)
    return a_run(table, load, **{"burstiness": 1.0, **changes})


def a_run(table: RequestTable, load: Measurement, **changes: Any) -> BenchmarkRun:
    assert table.start_s is not None
    assert table.e2e_s is not None
    assert table.ttft_s is not None
    duration = float(np.max(table.start_s + table.e2e_s) - np.min(table.start_s))
    count = len(table.start_s)
    seen = replace(
        load,
        requests_per_s=count / duration,
        ttft=LatencySummary(mean_s=float(np.mean(np.abs(table.ttft_s)))),
        e2e=LatencySummary(mean_s=float(np.mean(np.abs(table.e2e_s)))),
    )
    run = BenchmarkRun(
        measurement=seen, tool="a tool", place="a.json", duration_s=duration, requests=count, failed=0, table=table
    )
    return replace(run, **changes)


def expect_only(run: BenchmarkRun, code: str, severity: Severity) -> Finding:
    found = check_runs([run])
    assert [(f.code, f.severity) for f in found] == [(code, severity)], found
    assert found[0].where == f"a.json ({run.measurement})"
    assert found[0].meaning
    assert found[0].remedy
    return found[0]


@pytest.mark.parametrize("run", [a_closed_run(), a_closed_run(users=1), an_open_run(), an_open_run(rate=50.0)])
def test_a_clean_run_has_no_finding(run: BenchmarkRun) -> None:
    assert check_runs([run]) == ()


@pytest.mark.parametrize("run", [a_closed_run(), an_open_run()])
def test_without_a_table_only_the_summary_is_judged(run: BenchmarkRun) -> None:
    assert check_runs([replace(run, table=None)]) == ()
    assert [f.code for f in check_runs([replace(run, table=None, failed=100)])] == ["failed-requests"]


def test_refused_requests() -> None:
    few = expect_only(a_closed_run(failed=4), "failed-requests", Severity.WARNING)
    assert few.what == "4 of 204 requests failed (2.0%)"
    assert "the tail may be longer" in few.meaning
    many = expect_only(a_closed_run(failed=50), "failed-requests", Severity.WARNING)
    assert "plans on them too small" in many.meaning
    assert check_runs([a_closed_run(failed=1)]) == ()


def test_a_run_of_refused_requests_alone() -> None:
    load = Measurement(concurrency=4, input_tokens=64, output_tokens=OUTPUT)
    run = BenchmarkRun(measurement=load, tool="a tool", place="a.json", requests=0, failed=9)
    expect_only(run, "failed-requests", Severity.CONTRADICTION)


def test_an_open_load_beyond_capacity() -> None:
    """10 a second asked, 400 requests, one answered every 0.2 s: 5 a second, and TTFT that grows all the while."""
    start = open_starts(10.0)
    ttft = np.maximum(0.05, 0.2 * np.arange(400) - start + 0.05)
    found = {f.code: f for f in check_runs([an_open_run(a_table(start, ttft_s=ttft), rate=10.0)])}
    assert found.keys() == {"rate-not-reached", "queue-grows"}
    assert found["rate-not-reached"].what.startswith("10 requests/s were asked for and ")
    assert "capacityOnly" in found["queue-grows"].remedy


def test_a_load_known_to_be_beyond_capacity_is_not_told_again() -> None:
    start = open_starts(10.0)
    ttft = np.maximum(0.05, 0.2 * np.arange(400) - start + 0.05)
    assert check_runs([an_open_run(a_table(start, ttft_s=ttft), rate=10.0, capacity_only=True)]) == ()


def test_the_last_answers_of_a_short_run_are_no_overload() -> None:
    """60 requests at 2 a second last 30 s, the answers to the last 10 s more: 1.5 a second are all that can be."""
    load = Measurement(
        arrival_rate_per_s=2.0,
        input_tokens=64,
        output_tokens=999,
        requests_per_s=60 / 40,
        e2e=LatencySummary(mean_s=10.0),
    )
    assert check_runs([BenchmarkRun(measurement=load, tool="t", place="a.json", requests=60)]) == ()
    slow = replace(load, requests_per_s=0.9)
    run = BenchmarkRun(measurement=slow, tool="t", place="a.json", requests=60)
    expect_only(run, "rate-not-reached", Severity.WARNING)


def test_a_client_that_sends_too_slowly() -> None:
    found = {f.code: f for f in check_runs([an_open_run(a_table(open_starts(5.0)), rate=8.0)])}
    assert found["client-saturated"].what == "8 requests/s were asked for and 4.996 were sent"
    assert "looks quicker than it is" in found["client-saturated"].meaning


def test_a_client_that_sends_too_fast() -> None:
    """As GuideLLM's ten workers did: 4.0 a second for 2.6 asked."""
    finding = expect_only(an_open_run(a_table(open_starts(4.0)), rate=2.6), "sent-faster", Severity.WARNING)
    assert finding.what == "2.6 requests/s were asked for and 3.997 were sent"


def test_a_stream_that_is_not_poisson() -> None:
    """As perf_analyzer sends unless told otherwise: evenly."""
    run = an_open_run(a_table(open_starts(even=True)))
    finding = expect_only(run, "arrivals-not-as-stated", Severity.WARNING)
    assert "a squared coefficient of variation of 0.00; 1.00 was stated" in finding.what
    assert check_runs([replace(run, burstiness=0.0)]) == ()


@pytest.mark.parametrize("seed", range(20))
def test_poisson_streams_are_taken_for_what_they_are(seed: int) -> None:
    gaps = np.random.default_rng(seed).exponential(size=120)
    assert check_runs([an_open_run(a_table(np.cumsum(gaps) / 5.0))]) == ()


def test_users_that_wait_for_the_client() -> None:
    """0.37 s in the engine, 0.2 s in the client: of 4 users 2.6 are in flight."""
    start = (np.arange(50)[:, None] * (E2E + 0.2) + np.zeros(4)).ravel()
    finding = expect_only(a_closed_run(a_table(start)), "client-saturated", Severity.WARNING)
    assert finding.what == "2.614 requests are in flight in the mean (Σ e2e / duration) of 4 users"


def test_more_in_flight_than_users() -> None:
    run = a_closed_run(a_table(closed_starts(8)), users=8)
    stated = replace(run, measurement=replace(run.measurement, concurrency=4.0))
    expect_only(stated, "more-in-flight-than-users", Severity.CONTRADICTION)


def test_a_throughput_of_another_time() -> None:
    run = a_closed_run()
    assert run.measurement.requests_per_s is not None
    wrong = replace(run.measurement, requests_per_s=1.3 * run.measurement.requests_per_s)
    finding = expect_only(replace(run, measurement=wrong), "requests-and-duration", Severity.CONTRADICTION)
    assert "260 requests; 200 were answered" in finding.what


def test_a_duration_that_its_requests_do_not_span() -> None:
    run = a_closed_run()
    assert run.duration_s is not None
    assert run.measurement.requests_per_s is not None
    for factor, severity in ((0.8, Severity.CONTRADICTION), (1.25, Severity.WARNING)):
        rate = run.measurement.requests_per_s / factor
        changed = replace(
            run,
            duration_s=factor * run.duration_s,
            measurement=replace(run.measurement, requests_per_s=rate),
        )
        expect_only(changed, "duration", severity)


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("ttft_s", "1 with a TTFT of nothing or less"),
        ("e2e_s", "1 with an e2e of nothing or less, 1 with a first token after the last"),
        ("gaps_s", "1 with (gaps between tokens) negative"),
    ],
)
def test_a_clock_that_runs_backwards(column: str, said: str) -> None:
    run = a_closed_run()
    assert run.table is not None
    times = getattr(run.table, column).copy()
    times[100] = -0.01
    found = check_runs([replace(run, table=replace(run.table, **{column: times}))])
    assert (found[0].code, found[0].severity) == ("clock-runs-backwards", Severity.CONTRADICTION)
    assert found[0].what == f"of 200 requests {said}"


def test_gaps_of_another_clock() -> None:
    run = a_closed_run()
    assert run.table is not None
    assert run.table.gaps_s is not None
    slower = replace(run.table, gaps_s=1.2 * run.table.gaps_s)
    expect_only(replace(run, table=slower), "gaps-and-e2e", Severity.WARNING)


def test_tokens_that_arrive_in_chunks() -> None:
    run = a_closed_run()
    assert run.table is not None
    chunks = replace(run.table, gaps_s=np.full(200 * 8, 4 * GAP))
    finding = expect_only(replace(run, table=chunks), "tokens-in-chunks", Severity.NOTE)
    assert finding.what == "1,600 gaps for 6,400 tokens: 4 tokens arrive at once"


def test_a_cold_engine() -> None:
    gap = np.full(200, GAP)
    gap[:4] = 5 * GAP
    start = closed_starts()
    start[4:] += 4 * GAP * (OUTPUT - 1)
    found = {f.code for f in check_runs([a_closed_run(a_table(start, gap_s=gap))])}
    assert found == {"cold-engine"}


def test_first_requests_that_carry_the_mean() -> None:
    ttft = np.full(200, TTFT)
    ttft[:4] = 0.3
    finding = expect_only(a_closed_run(a_table(closed_starts(), ttft_s=ttft)), "warm-up-in-means", Severity.NOTE)
    assert finding.what == "mean TTFT is 55 ms with the first 4 requests (all users at once) and 50 ms without them"
    assert "10% more than the steady state" in finding.meaning


def test_the_order_of_the_table_does_not_matter() -> None:
    ttft = np.full(200, TTFT)
    ttft[:4] = 0.3
    run = a_closed_run(a_table(closed_starts(), ttft_s=ttft))
    table = run.table
    assert table is not None
    mixed = np.random.default_rng(3).permutation(200)
    columns = {name: getattr(table, name)[mixed] for name in ("ttft_s", "e2e_s", "start_s", "output_tokens")}
    assert check_runs([replace(run, table=replace(table, **columns))]) == check_runs([run])


def test_a_request_that_stalled() -> None:
    ttft = np.full(200, TTFT)
    ttft[120] = 6.0
    start = closed_starts()
    start[121:] += 6.0
    found = {f.code: f for f in check_runs([an_open_run(a_table(start, ttft_s=ttft), rate=200 / (start[-1] + 0.37))])}
    assert found["stalled-requests"].what.startswith("1 of 200 requests are more than 10 times slower")
    assert "one took 6.32 s" in found["stalled-requests"].what


def test_long_answers_are_no_stalls() -> None:
    output = np.full(200, OUTPUT)
    output[120] = 1500
    found = {f.code for f in check_runs([an_open_run(a_table(open_starts(count=200), output=output))])}
    assert "stalled-requests" not in found


def test_an_engine_that_changes_its_pace() -> None:
    gap = np.where(np.arange(200) < 136, GAP, 1.3 * GAP)
    start = closed_starts()
    start += np.cumsum(np.where(np.arange(200) < 136, 0.0, 0.3 * GAP * 32 / 4))
    finding = expect_only(a_closed_run(a_table(start, gap_s=gap)), "drift", Severity.WARNING)
    assert finding.what == "a token takes 10 ms in the middle of the run and 13 ms in its last third"


def test_answers_of_another_length_than_asked() -> None:
    short = expect_only(a_closed_run(requested_output_tokens=64.0), "output-length", Severity.WARNING)
    assert short.what == "64 output tokens were asked for and 33 came in the mean"
    assert "the load was lighter than planned" in short.meaning
    long = expect_only(a_closed_run(requested_output_tokens=30.0), "output-length", Severity.WARNING)
    assert "tokens of its own" in long.meaning
    assert check_runs([a_closed_run(requested_output_tokens=33.0)]) == ()


def test_answers_that_end_early_where_no_length_is_known_to_be_asked() -> None:
    output = np.where(np.arange(200) % 2, OUTPUT, 17)
    found = {f.code: f for f in check_runs([an_open_run(a_table(open_starts(count=200), output=output))])}
    assert found.keys() == {"answers-ended-early"}
    assert found["answers-ended-early"].what == "50% of the answers have 33 tokens, the limit, and the mean is 25"


def test_too_few_requests() -> None:
    run = a_closed_run(a_table(closed_starts(16, 2)), users=16)
    finding = expect_only(run, "few-requests", Severity.WARNING)
    assert finding.what == "32 requests, 2.0 for each user"
    p99 = a_closed_run(a_table(closed_starts(1, 40)), users=1)
    tail = replace(p99.measurement, ttft=LatencySummary(mean_s=0.05, p99_s=0.06))
    expect_only(replace(p99, measurement=tail), "few-requests-for-p99", Severity.NOTE)


def test_contradictions_come_first() -> None:
    run = a_closed_run(requested_output_tokens=64.0)
    assert run.measurement.requests_per_s is not None
    wrong = replace(run.measurement, requests_per_s=2.0 * run.measurement.requests_per_s)
    found = check_runs([a_closed_run(failed=4), replace(run, measurement=wrong)])
    assert [f.severity for f in found] == [Severity.CONTRADICTION, Severity.WARNING, Severity.WARNING]


def test_thin_tails_of_many_runs_are_one_finding() -> None:
    runs = []
    for count in (40, 60, 200):
        run = a_closed_run(a_table(closed_starts(1, count)), users=1)
        runs.append(replace(run, measurement=replace(run.measurement, ttft=LatencySummary(mean_s=0.05, p99_s=0.06))))
    (finding,) = check_runs(runs)
    assert finding.where.endswith("(1 user, 64 in / 33 out) (and 1 more)")
    assert finding.what == "p99 of 40 requests is the slowest of them, or nearly so"


PACED = Path(__file__).parents[2] / "benchmarks" / "measured" / "vllm-paced" / "open_f0.70_r5.39.json.gz"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"request_rate": 50.0}, "client-saturated"),
        ({"burstiness": 10.0}, "arrivals-not-as-stated"),
        ({"duration": 5.0}, "duration"),
        ({"request_throughput": 900.0}, "requests-and-duration"),
        ({"total_output_tokens": 3_000}, "tokens-and-lengths"),
        ({"output_lens": [8] * 403, "total_output_tokens": 8 * 403}, "more-gaps-than-tokens"),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(value),
)
def test_a_real_result_is_held_against_its_own_requests(change: dict[str, Any], code: str, tmp_path: Path) -> None:
    document = json.loads(gzip.decompress(PACED.read_bytes()))
    whole, altered = tmp_path / "whole.json", tmp_path / "altered.json"
    whole.write_text(json.dumps(document), encoding="utf-8")
    altered.write_text(json.dumps({**document, **change}), encoding="utf-8")
    assert not check_runs(VllmBenchServe().runs(whole))
    assert code in {finding.code for finding in check_runs(VllmBenchServe().runs(altered))}
