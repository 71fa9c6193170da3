"""`planner profile from-prometheus` against a real Prometheus that scrapes real engines' metrics."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from threading import Thread
from urllib.request import urlopen

import pytest
import yaml

from benchmarks.exposition import archived
from planner.cli.from_prometheus import from_prometheus
from planner.cli.main import run
from planner.profile import load_profile
from tests.cluster.exposition import Page, history, ramp, shown
from tests.cluster.prometheus import running_prometheus, until_scraped
from tests.cluster.trtllm_pages import BLOCK_TOKENS, BLOCKS, KNOWN, OUTPUT, PROMPT, RATES_PER_S, SEATS, trtllm_pages

PASSWORD = "s3cr:et/@"
PASSWORD_HASH = "$2b$05$MTroPjIx5U8FMCs8VJR/Hem6cAgPEs6UVkLu6ZYuD6gWTkieA2Kq6"
"""bcrypt of PASSWORD, cost 5."""
ENGINE = ["--gpu", "CPU", "--max-num-seqs", "16"]


def triton_runs() -> list[Page]:
    """Four loads of one model, a minute each: before, in and after."""
    states = archived("states.tar.xz")
    return [
        (60.0 * minute + second, states[f"triton/d0_open_r{rate}.{moment}"])
        for minute, rate in enumerate((10, 29, 67, 90))
        for second, moment in ((5.0, "before"), (30.0, "mid"), (55.0, "after"))
    ]


def histories() -> dict[str, list[Page]]:
    whole = ramp()
    idle = archived("states.tar.xz")["vllm/real_idle_fresh"]
    start = whole[0][0]
    return {
        "ramp": whole,
        "alike": [page for page in whole if 45.0 <= page[0] - start < 75.0],
        # The counters of the first minute after those of the second: an engine that was started again.
        "restart": whole[:80] + [(time + 82.0, text) for time, text in whole[:70]],
        "gap": [page for page in whole if not 45.0 <= page[0] - start < 105.0],
        "strewn": [(time, with_no_numbers(text, whole[-1][0] - time)) for time, text in whole],
        "replicas": [(time, with_a_second(text, time - start)) for time, text in whole],
        "cached": [(time, half_cached(text)) for time, text in whole],
        "older": [(time, as_older(text)) for time, text in whole],
        "partial": [
            (time, "\n".join(re.findall(r"^vllm:num_requests.*$", text, re.MULTILINE))) for time, text in whole
        ],
        # Another model's engine beside them, with less memory.
        "idle": [(start + second, idle.replace('tokens="65536"', 'tokens="4096"')) for second in range(200)],
        "streaming": trtllm_pages(first_response=True),
        "trtllm": trtllm_pages(first_response=False),
        "triton": triton_runs(),
    }


def as_older(text: str) -> str:
    """The same under the names of vLLM 0.6 to 0.8, without what those did not have."""
    text = text.replace("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
    text = text.replace("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds")
    text = text.replace("vllm:prefix_cache_", "vllm:gpu_prefix_cache_")
    text = re.sub(r'kv_cache_size_tokens="\d+",', "", text)
    return re.sub(r"^vllm:(request_time_per_output_token|admission_rejections).*\n", "", text, flags=re.MULTILINE)


def with_no_numbers(text: str, before_end_s: float) -> str:
    """The same with NaN for one metric after another, each at one edge of windows of 20 s."""
    for edge_s, name in (
        (120.0, "num_requests_running"),
        (80.0, "request_success_total"),
        (60.0, "e2e_request_latency_seconds_bucket"),
        (20.0, "time_to_first_token_seconds_sum"),
    ):
        if abs(before_end_s - edge_s) < 3.0:
            text = re.sub(rf"^(vllm:{name}\{{.*\}}) \S+$", r"\g<1> NaN", text, flags=re.MULTILINE)
    return text


def with_a_second(text: str, second: float) -> str:
    """The same with another engine that does the same, but is there for a minute and a half only."""
    twin = re.sub(r'([{,])engine="0"', r'\g<1>engine="1"', text) if 50.0 <= second < 140.0 else ""
    return f"{text}\n{twin}"


def half_cached(text: str) -> str:
    """The same, had half of the prompt tokens been in the prefix cache and an eighth in another engine's."""
    queries = re.search(r"^vllm:prefix_cache_queries_total\{.*\} (\S+)$", text, re.MULTILINE)
    assert queries is not None
    for name, share in (("prefix_cache", 0.5), ("external_prefix_cache", 0.125)):
        text = re.sub(
            rf"^(vllm:{name}_hits_total\{{.*\}}) \S+$", rf"\g<1> {share * float(queries[1])}", text, flags=re.MULTILINE
        )
    return text


@dataclass(frozen=True)
class Scraped:
    url: str
    end_s: int

    @property
    def until(self) -> str:
        return f"{datetime.fromtimestamp(self.end_s, UTC):%Y-%m-%dT%H:%M:%S}"


@pytest.fixture(scope="module")
def scraped(tmp_path_factory) -> Iterator[Scraped]:
    end_s = int(time.time()) - 5
    pages = {f"/{job}": history(text, end_s=end_s) for job, text in histories().items()}
    jobs = [
        {
            "job_name": job,
            "metrics_path": f"/{job}",
            "static_configs": [{"targets": ["ADDRESS"], "labels": {"namespace": "serving"}}],
        }
        for job in histories()
    ]
    # As the help page calls the model, so that its examples run here.
    renamed = {
        "source_labels": ["model_name"],
        "regex": "tiny-llama",
        "target_label": "model_name",
        "replacement": "llama",
    }
    jobs[0]["metric_relabel_configs"] = [renamed]
    reranker = {"source_labels": ["model"], "regex": "pyfix_d0", "target_label": "model", "replacement": "reranker"}
    jobs[-1]["metric_relabel_configs"] = [reranker]
    with shown(pages) as exposition:
        for job in jobs:
            job["static_configs"][0]["targets"] = [exposition.address]
        configuration = {"global": {"scrape_interval": "2s", "scrape_timeout": "2s"}, "scrape_configs": jobs}
        with running_prometheus(tmp_path_factory.mktemp("prometheus"), configuration) as url:
            until_scraped(url, set(histories()))
            exposition.pages.update(dict.fromkeys(pages, ""))
            yield Scraped(url=url, end_s=end_s)


@pytest.fixture
def learn(scraped, capsys):
    """Run the command on a job; exit code, stdout, stderr."""

    def call(job: str, *arguments: str, url: str = "", last: str = "180s", window: str = "20s") -> tuple[int, str, str]:
        place = ["--prometheus", url or scraped.url, "--until", scraped.until, "--last", last, "--window", window]
        match = ["--match", f"job={job}"] if job else []
        code = run(["profile", "from-prometheus", *place, *match, *arguments])
        return code, *capsys.readouterr()

    return call


def test_a_ramp_becomes_a_profile(learn, tmp_path):
    out = tmp_path / "live.yaml"
    code, said, told = learn("ramp", *ENGINE, "-O", str(out))
    assert code == 0, told
    profile = load_profile(str(out))
    spec = profile.spec
    assert (spec.engine, spec.model, spec.limits.kv_cache_tokens, spec.limits.kv_block_size) == (
        "vllm",
        "llama",
        65536,
        128,
    )
    assert f"written: {out}" in said
    steady = [point for point in spec.measurements if not point.capacity_only]
    assert len(steady) == 3
    for point in steady:
        assert point.input_tokens == pytest.approx(64.0, abs=0.5)
        assert point.output_tokens == 32.0
        assert point.ttft.mean < point.e2e.mean
        assert point.e2e.mean == pytest.approx(point.ttft.mean + 31.0 * point.tpot.mean, rel=0.03)
        assert point.tpot.p50 <= point.tpot.p99
    # 16 sequences at a time carried 6.3 requests per second when the machine was quiet; here it was not.
    full = [point for point in spec.measurements if point.capacity_only]
    assert full
    assert all(3.5 < point.requests_per_second < 6.5 and point.ttft is None for point in full)
    origin = spec.provenance[0]
    assert origin.source.startswith("Prometheus http://127.0.0.1:")
    assert origin.points == len(steady)
    assert origin.median_error < 0.15


def test_what_is_left_out_is_said(learn, tmp_path):
    _, _, told = learn("ramp", *ENGINE, "-O", str(tmp_path / "live.yaml"))
    assert re.search(r"left out: \d of 9 windows: saturated: only its throughput counts", told)


def test_every_request_is_counted_once(scraped):
    """What the windows counted is what the first and the last page differ by."""
    from controller.prometheus import Prometheus
    from planner.engine_metrics import VLLM
    from planner.metrics_history import read_history
    from planner.metrics_server import Span

    span = Span(end_s=scraped.end_s, window_s=20, windows=8)
    found = read_history(Prometheus(scraped.url), VLLM, {"job": "ramp"}, span)
    readable = [window for window in found.windows if window.unreadable is None]
    assert len(readable) == 8
    pages = dict(ramp())
    last = max(pages)
    for window in readable:
        first_page = pages[min(pages, key=lambda time: abs(time - last + scraped.end_s - window.start_s))]
        last_page = pages[min(pages, key=lambda time: abs(time - last + scraped.end_s - window.end_s))]
        assert window.counted["succeeded"] == successes(last_page) - successes(first_page)
        assert window.histograms["e2e"].total == window.counted["succeeded"]


def successes(page: str) -> float:
    return sum(float(value) for value in re.findall(r"^vllm:request_success_total\{[^}]*\} (\S+)$", page, re.MULTILINE))


def test_older_names_give_the_same_loads(learn, tmp_path):
    for job in ("ramp", "older"):
        code, _, told = learn(job, *ENGINE, "-O", str(tmp_path / f"{job}.yaml"))
        assert code == 0, told
    new, old = (load_profile(str(tmp_path / f"{job}.yaml")).spec for job in ("ramp", "older"))
    assert old.limits == new.limits
    for mine, theirs in zip(new.measurements, old.measurements, strict=True):
        assert theirs.itl == mine.itl
        assert theirs.tpot is None
        assert theirs.requests == mine.requests


def test_what_the_prefix_cache_held_is_not_in_the_time_per_prompt_token(learn, tmp_path):
    said = {}
    for job in ("ramp", "cached"):
        code, _, said[job] = learn(job, *ENGINE, "-O", str(tmp_path / f"{job}.yaml"))
        assert code == 0, said[job]
    none, much = (load_profile(str(tmp_path / f"{job}.yaml")).spec for job in ("ramp", "cached"))
    assert [point.prefix_hit_rate for point in much.measurements] == pytest.approx([0.625] * len(much.measurements))
    assert [p.input_tokens for p in much.measurements] == [p.input_tokens for p in none.measurements]
    assert much.step_time.per_prefill_token > 1.5 * none.step_time.per_prefill_token
    assert "62.5 % of the prompt tokens were in the prefix cache" in said["cached"]
    assert "prefix cache" not in said["ramp"]
    assert any("prefix cache" in note for note in much.provenance[0].notes)


def test_loads_that_are_all_alike_teach_nothing(learn):
    code, said, told = learn("alike", *ENGINE, last="40s")
    assert (code, said) == (2, "")
    assert "the data do not vary enough to learn from" in told
    assert re.search(r"let it serve about \d\S* requests per second and replica for a while", told)


def test_a_restart_is_not_read_across(learn):
    _, _, told = learn("restart", *ENGINE)
    assert "windows: counters were reset: the engine restarted" in told


def test_a_gap_is_not_read_across(learn):
    _, _, told = learn("gap", *ENGINE)
    assert re.search(r"left out: [3-5] of 9 windows: (stale: scrapes are missing|not scraped)", told)


def windows_of(scraped, job: str):
    from controller.prometheus import Prometheus
    from planner.engine_metrics import VLLM
    from planner.metrics_history import read_history
    from planner.metrics_server import Span

    return read_history(Prometheus(scraped.url), VLLM, {"job": job}, Span(end_s=scraped.end_s, window_s=20, windows=9))


def test_where_no_number_was_a_window_is_left_out_and_no_other_is_changed(scraped):
    whole, strewn = (windows_of(scraped, job).windows for job in ("ramp", "strewn"))
    missing = "a number is missing at its beginning or its end"
    negative = "a bucket's count is negative or not finite"
    sums = "the sum of a histogram must be finite and not negative, got nan"
    assert [window.unreadable for window in strewn[2:]] == [missing, missing, missing, missing, negative, sums, sums]
    assert all(window.unreadable is None for window in whole[1:])
    assert strewn[1] == whole[1]


def test_a_replica_that_appears_and_vanishes_is_read_while_it_is_there(scraped):
    found = windows_of(scraped, "replicas")
    assert found.replicas == ("0", "1")
    first, second = ([window for window in found.windows if window.replica == name] for name in ("0", "1"))
    read = [index for index, window in enumerate(second) if window.unreadable is None]
    assert len(read) in (3, 4)
    assert read == list(range(read[0], read[-1] + 1))
    for index in read[:-1]:
        assert second[index].counted == first[index].counted
        assert second[index].histograms == first[index].histograms
    # It went in the middle of the last: that is read up to the last scrape, and is no longer than that.
    last, longer = second[read[-1]], first[read[-1]]
    assert last.start_s == longer.start_s
    assert last.duration_s < longer.duration_s
    assert last.counted["succeeded"] < longer.counted["succeeded"]
    assert all(window.counted == {} for window in second if window.unreadable)


def test_a_gap_changes_no_window_beside_it(scraped):
    whole, gap = (windows_of(scraped, job).windows for job in ("ramp", "gap"))
    read = [(mine, theirs) for mine, theirs in zip(gap, whole, strict=True) if mine.unreadable is None]
    same = [(mine, theirs) for mine, theirs in read if (mine.start_s, mine.end_s) == (theirs.start_s, theirs.end_s)]
    assert 4 <= len(same) <= 6
    assert all(mine.counted == theirs.counted for mine, theirs in same)
    assert all(mine.duration_s < theirs.duration_s for mine, theirs in read if (mine, theirs) not in same)


def test_memory_is_that_of_the_chosen_model_s_engine(learn, tmp_path):
    """Another engine in the same namespace, scraped later, has less; its metric of memory names no model."""
    out = tmp_path / "live.yaml"
    code, _, told = learn("", *ENGINE, "--match", "namespace=serving", "--match", "model_name=llama", "-O", str(out))
    assert code == 0, told
    assert load_profile(str(out)).spec.limits.kv_cache_tokens == 65_536


def test_two_models_of_one_server_are_not_mixed(learn):
    code, _, told = learn("triton", "--engine", "triton-trtllm", *ENGINE, last="235s", window="60s")
    assert code == 2
    assert "has 3 models there: pyfix_d0_i2, pyfix_d10000, reranker" in told
    assert "--match model=pyfix_d0_i2" in told


def test_an_idle_engine_is_no_load(learn):
    code, _, told = learn("idle", *ENGINE)
    assert code == 2
    assert "left out: 9 of 9 windows: idle" in told
    assert "no window with a steady load" in told


def test_gauges_alone_are_not_enough(learn):
    code, _, told = learn("partial", *ENGINE)
    assert code == 2
    assert "left out: 8 of 9 windows: no count of requests" in told


def test_before_the_history_there_is_no_data_which_is_not_zero(learn, scraped):
    code, _, told = learn("ramp", *ENGINE, "--until", "2020-01-01T00:00:00")
    assert code == 2
    assert "no data, which is not the same as no load" in told or "has no vllm:num_requests_waiting" in told


def test_labels_that_match_nothing_are_answered_with_those_that_are_there(learn):
    code, _, told = learn("ramp", *ENGINE, "--match", "namespace=servin")
    assert code == 2
    assert "has no vllm:num_requests_waiting with job=ramp, namespace=servin" in told
    assert "namespace=serving" in told


def test_too_many_replicas_are_declined_before_they_are_read(learn, monkeypatch):
    monkeypatch.setattr("planner.metrics_history.MAX_REPLICA_WINDOWS", 8)
    code, _, told = learn("ramp", *ENGINE)
    assert code == 2
    assert "1 replicas × 9 windows are more than 8" in told
    assert "choose fewer replicas with --match" in told


@pytest.mark.parametrize(
    "value", ['x"} or vector(1) or {a="', "ramp\\", 'a"b', "a\nb", "ramp|older", ".*", "{}", "é✓", "'"], ids=repr
)
def test_a_label_s_value_cannot_change_the_query(learn, value):
    code, _, told = learn("", "--match", f"job={value}", *ENGINE)
    assert code == 2
    assert f"with job={value} in that time" in told


def test_several_models_are_not_mixed(learn):
    code, _, told = learn("", *ENGINE, "--match", "namespace=serving")
    assert code == 2
    assert "has 2 models there: llama, tiny-llama" in told
    assert "--match model_name=llama" in told


def test_triton_s_durations_are_divided_by_requests(learn, tmp_path):
    """As Triton's counters of each minute say: 62.7 s over 1,304 requests and so on, warm-up requests included."""
    out = tmp_path / "triton.yaml"
    engine = ["--engine", "triton-trtllm", "--gpu", "CPU", "--match", "model=reranker", "--max-num-seqs", "8"]
    lengths = ["--input-tokens", "64", "--output-tokens", "32"]
    code, _, told = learn("triton", *engine, *lengths, "-O", str(out), last="235s", window="60s")
    assert code == 0, told
    points = load_profile(str(out)).spec.measurements
    expected = [per_request(before, after) for before, after in pairwise(minutes())]
    assert [point.e2e.mean for point in points] == pytest.approx([e2e for e2e, _ in expected], rel=1e-4)
    assert [point.queue.mean for point in points] == pytest.approx([queue for _, queue in expected], rel=1e-4)
    assert 0.04 < points[0].e2e.mean < 0.06
    assert points[0].ttft is None
    assert "Triton does not tell the time to the first token" in told


def minutes() -> list[str]:
    states = archived("states.tar.xz")
    return [states[f"triton/d0_open_r{rate}.after"] for rate in (10, 29, 67, 90)]


def per_request(before: str, after: str) -> tuple[float, float]:
    """Seconds inside and in the queue, each request."""

    def grown(name: str) -> float:
        first, last = (
            re.search(rf'^{name}{{model="pyfix_d0",version="1"}} (\d+)$', page, re.MULTILINE)
            for page in (before, after)
        )
        assert first is not None
        assert last is not None
        return float(last.group(1)) - float(first.group(1))

    requests = grown("nv_inference_request_success")
    return (
        grown("nv_inference_request_duration_us") / requests / 1e6,
        grown("nv_inference_queue_duration_us") / requests / 1e6,
    )


TRTLLM = ["--engine", "triton-trtllm", "--gpu", "A100-SXM4-80GB", "--max-num-batched-tokens", "8192"]


@pytest.mark.parametrize("job", ["streaming", "trtllm"])
def test_tensorrt_llm_behind_triton_tells_lengths_memory_and_seats(learn, tmp_path, job):
    out = tmp_path / "trtllm.yaml"
    code, _, told = learn(job, *TRTLLM, "-O", str(out), last="230s", window="20s")
    assert code == 0, told
    spec = load_profile(str(out)).spec
    assert (spec.engine, spec.model) == ("triton-trtllm", "tensorrt_llm")
    assert (spec.limits.kv_cache_tokens, spec.limits.kv_block_size) == (BLOCKS * BLOCK_TOKENS, BLOCK_TOKENS)
    assert spec.limits.max_num_seqs == SEATS
    assert f"max_num_seqs: {SEATS}, as the engine reports" in told
    rates = [point.arrival_rate for point in spec.measurements]
    assert rates == pytest.approx(RATES_PER_S, rel=0.03)  # windows in which the rate rises are among them
    for point in spec.measurements:
        assert (point.input_tokens, point.output_tokens) == (PROMPT, OUTPUT)


@pytest.mark.parametrize(("job", "within"), [("streaming", 0.02), ("trtllm", 0.04)])
@pytest.mark.parametrize("sequences", [4.0, 16.0])
def test_the_known_step_of_tensorrt_llm_is_found(learn, tmp_path, job, within, sequences):
    out = tmp_path / "trtllm.yaml"
    learn(job, *TRTLLM, "-O", str(out), last="230s", window="20s")
    step = load_profile(str(out)).to_engine().step_time
    load = (0.0, sequences, 775.0 * sequences)
    assert float(step.seconds(*load)) == pytest.approx(float(KNOWN.seconds(*load)), rel=within)


def test_without_a_first_response_it_says_what_is_missing_and_what_to_do(learn):
    _, _, streaming = learn("streaming", *TRTLLM, last="230s", window="20s")
    _, _, plain = learn("trtllm", *TRTLLM, last="230s", window="20s")
    assert "does not tell the time to the first token" not in streaming
    assert "Triton does not tell the time to the first token: the time of a token is by the share of requests" in plain
    assert "--metrics-config histogram_latencies=true" in plain


def test_percentiles_of_wide_buckets_are_not_stated(learn):
    _, said, _ = learn("streaming", *TRTLLM, last="230s", window="20s")
    for point in yaml.safe_load(said)["spec"]["measurements"]:
        assert list(point["ttft"]) == ["mean"]


def test_triton_needs_the_lengths(learn):
    code, _, told = learn(
        "triton", "--engine", "triton-trtllm", "--match", "model=reranker", *ENGINE, last="235s", window="60s"
    )
    assert code == 2
    assert "the metrics do not count tokens" in told
    assert "--input-tokens" in told
    assert "--match model=tensorrt_llm" in told


TRITON = ["--engine", "triton", "--gpu", "CPU", "--match", "model=reranker"]
MINUTES = {"last": "235s", "window": "60s"}


def test_triton_s_dynamic_batcher_tells_the_time_of_a_batch(learn, tmp_path, capsys):
    """Each execution sleeps 20 ms + 8 ms a request; other runs have 29.1 ms for one and 86.4 for 7.9."""
    out = tmp_path / "batcher.yaml"
    code, said, told = learn("triton", *TRITON, "--max-batch-size", "8", "-O", str(out), **MINUTES)
    assert code == 0, told
    assert "a straight line in the size of the batch is assumed" in told
    assert re.search(r"mean batch +requests +service +error\n +1\.3\d +1,3\d\d +3\d\.\d ms", said)
    profile = load_profile(str(out))
    assert profile.service_time.batches == (1, 2, 4, 8)
    for batch, seconds in zip((1, 2, 4, 8), profile.service_time.means_s, strict=True):
        assert seconds == pytest.approx(21e-3 + 8.2e-3 * batch, rel=0.06)
    assert profile.spec.provenance[0].points == 3
    assert run(["profile", "show", str(out)]) == 0
    assert "batches of up to 8, 1 instance, no queue delay" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "--engine triton, the dynamic batcher, needs --max-batch-size, which no metric tells"),
        (["--max-batch-size", "4"], "with --max-batch-size 4"),
        (["--max-batch-size", "8", "--last", "60s"], "the batches do not vary enough to learn from"),
    ],
)
def test_what_a_dynamic_batcher_s_profile_needs(learn, options, said):
    code, out, told = learn("triton", *TRITON, *options, **MINUTES)
    assert (code, out) == (2, "")
    assert said in told


def test_the_examples_of_the_help_page_run(scraped, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"^ +(planner .*)$", (from_prometheus.epilog or "").replace("\\\n", " "), re.MULTILINE)
    assert len(examples) == 4
    for example in examples:
        arguments = shlex.split(example)[1:]
        if "--prometheus" in arguments:
            arguments[arguments.index("--prometheus") + 1] = scraped.url
            window, last = ("60s", "240s") if "--engine" in arguments else ("20s", "180s")
            arguments += ["--until", scraped.until, "--last", last, "--window", window]
        assert run(arguments) in (0, 1), capsys.readouterr().err  # `profile check` may find fault with a CPU as an H100
    assert {path.name for path in tmp_path.iterdir()} == {"llama-live.yaml", "trtllm-live.yaml", "reranker-live.yaml"}


# --- the way there


@pytest.fixture(scope="module")
def guarded(tmp_path_factory) -> Iterator[str]:
    """A Prometheus that asks for user and password."""
    web = {"basic_auth_users": {"reader": PASSWORD_HASH}}
    with running_prometheus(tmp_path_factory.mktemp("guarded"), {"scrape_configs": []}, web) as url:
        yield url


def test_without_the_password_it_says_so(learn, guarded):
    code, said, told = learn("ramp", *ENGINE, url=guarded)
    assert (code, said) == (2, "")
    assert f"{guarded} refuses the credentials (HTTP 401)" in told
    assert "--bearer-token-file" in told


def test_user_and_password_go_in_the_url_and_nowhere_else(learn, guarded):
    host = guarded.removeprefix("http://")
    code, said, told = learn("ramp", *ENGINE, url=f"http://reader:s3cr%3Aet%2F%40@{host}/?x=s3cret#s3cret")
    assert code == 2
    assert "no data, which is not the same as no load" not in told or guarded in told
    assert f"{guarded} has no vllm:num_requests_waiting" in told
    assert "s3cr" not in said + told


@pytest.fixture
def gateway(scraped) -> Iterator[str]:
    """A proxy before Prometheus that lets through who bears the token, as clusters have it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            allowed = self.headers.get("Authorization") == "Bearer t0ken"
            with urlopen(scraped.url + self.path if allowed else f"{scraped.url}/-/ready") as answer:
                body = answer.read() if allowed else b""
            self.send_response(200 if allowed else 403)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_token_is_read_from_its_file(learn, gateway, tmp_path):
    token = tmp_path / "token"
    token.write_text("t0ken\n")
    code, said, told = learn("ramp", *ENGINE, "--bearer-token-file", str(token), url=gateway)
    assert code == 0, told
    assert yaml.safe_load(said)["spec"]["model"] == "llama"
    token.write_text("other")
    code, _, told = learn("ramp", *ENGINE, "--bearer-token-file", str(token), url=gateway)
    assert code == 2
    assert "refuses the credentials (HTTP 403)" in told


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:1", "http://127.0.0.1:1 cannot be reached (connection refused)"),
        ("http://no-such-host.invalid:9090", "cannot be reached"),
        ("localhost:9090", "is no URL of a server"),
        ("ftp://localhost", "is no URL of a server"),
        ("http://", "is no URL of a server"),
        ("http://u:p@[::1", "is no URL of a server"),
        ("", "is no URL of a server"),
    ],
)
def test_a_url_that_leads_nowhere(learn, url, said):
    code, out, told = learn("ramp", *ENGINE, url=url or " ")
    assert (code, out) == (2, "")
    assert said in told
    assert "u:p" not in told


def test_a_url_below_the_api_or_of_another_server(learn, scraped):
    code, _, told = learn("ramp", *ENGINE, url=f"{scraped.url}/wrong/path")
    assert code == 2
    assert "is not Prometheus: there is no query API (HTTP 404)" in told
    with shown({f"/api/v1/query_range{rest}": "up 1" for rest in ("",)}) as other:
        code, _, told = learn("ramp", *ENGINE, url=f"http://{other.address}")
    assert code == 2
    assert "is not Prometheus" in told


def test_nothing_is_written_where_nothing_was_learned(learn, tmp_path):
    out = tmp_path / "live.yaml"
    out.write_text("as it was")
    code, _, _ = learn("idle", *ENGINE, "-O", str(out))
    assert code == 2
    assert [path.read_text() for path in tmp_path.iterdir()] == ["as it was"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--match", "job"], "is not LABEL=VALUE"),
        (["--match", "9a=b"], "is not LABEL=VALUE"),
        (["--match", "le=1"], "--match cannot choose by le"),
        (["--match", "job=a", "--match", "job=b"], "--match gives job twice"),
        (["--window", "1s"], "a window of 1 s is too short"),
        (["--window", "0s"], "a window of 0 s is too short"),
        (["--window", "5x"], "is not a duration"),
        (["--last", "5s"], "the history makes 0 windows of 20 s"),
        (["--last", "1000h"], "windows of 20 s"),
        (["--last", "1d12h"], "the history makes 6480 windows of 20 s"),
        (["--last", "900y", "--window", "90y"], "the history begins before 1970"),
        (["-O", "no/such/folder/x.yaml"], "there is no folder"),
        (["--bearer-token-file", "no-such-file"], "bearer token file no-such-file does not exist"),
    ],
)
def test_options_that_mean_nothing(learn, arguments, said):
    code, out, told = learn("", *ENGINE, *arguments)
    assert (code, out) == (2, "")
    assert said in told
    assert "Traceback" not in told


def test_an_engine_scraped_live_that_goes_away(tmp_path):
    """Idle, at middle load, saturated, gone: six seconds each, read at the middle of each."""
    from controller.prometheus import Prometheus
    from planner.engine_metrics import VLLM
    from planner.metrics_history import read_history
    from planner.metrics_server import Span

    states = archived("states.tar.xz")
    phases = [states[f"vllm/{name}"] for name in ("real_idle_fresh", "real_mid_load", "real_saturated")]
    with shown({"/metrics": phases[0]}) as exposition:
        job = {"job_name": "live", "static_configs": [{"targets": [exposition.address]}]}
        configuration = {"global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"}, "scrape_configs": [job]}
        with running_prometheus(tmp_path, configuration) as url:
            until_scraped(url, {"live"})
            begin_s = int(time.time()) + 1
            for number, page in enumerate(phases):
                exposition.pages["/metrics"] = page
                time.sleep(begin_s + 6 * (number + 1) - time.time())
            del exposition.pages["/metrics"]
            time.sleep(begin_s + 21.5 - time.time())
            found = read_history(Prometheus(url), VLLM, {}, Span(end_s=begin_s + 21, window_s=6, windows=3))
    rising, filling, gone = found.windows
    counts = [successes(page) for page in phases]
    assert rising.counted["succeeded"] == counts[1] - counts[0]
    assert filling.counted["succeeded"] == counts[2] - counts[1]
    assert 0.0 < rising.means["running"] < 6.0 < filling.means["running"] < 15.0
    assert rising.growth == 6.0
    assert filling.growth == 15.0 + 21.0 - 6.0
    assert gone.unreadable == "not scraped at its beginning or its end"
    assert gone.counted == {}
