"""What is believed of policies whose engines' real pages a real Prometheus scrapes, once a second."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import nan

import pytest

from benchmarks.exposition import archived
from controller.answers import Answered
from controller.asking import ask
from controller.demand import arrivals_per_s
from controller.observe import observe_all
from controller.prometheus import PrometheusSettings
from controller.queries import plan_queries
from controller.snapshot import EngineReadings, Evidence, Observation, Pods, Target
from controller.spread_observer import SpreadObserver
from controller.trust import Trust
from tests.cluster.exposition import Exposition, Shown, shown
from tests.cluster.moving_pages import MovingPage
from tests.cluster.prometheus import running_prometheus, value_of
from tests.cluster.trtllm_pages import trtllm_pages
from tests.controller.test_queries import HOSTILE, fleet, series_of, unread
from tests.controller.world import World, condition

WINDOW_S = 10
TRUST = Trust(scrape_interval_s=1.0, least_stale_s=5.0)
ODD = 'we"ird\\ {x=~".*"}|team\nnew'
STATES = archived("states.tar.xz")
RATES = {
    'finished_reason="length"': 5.0,
    'finished_reason="abort"': 0.5,
    'reason="max_num_queued_reqs"': 0.2,
    "request_prompt_tokens_sum": 5.0 * 700.0,
    "request_prompt_tokens_count": 5.0,
    "request_generation_tokens_sum": 5.0 * 32.0,
    "request_generation_tokens_count": 5.0,
    "time_to_first_token_seconds_sum": 5.0 * 0.3,
    "time_to_first_token_seconds_count": 5.0,
    "inter_token_latency_seconds_sum": 155.0 * 0.02,
    "inter_token_latency_seconds_count": 155.0,
    "e2e_request_latency_seconds_sum": 5.0 * 1.25,
    "e2e_request_latency_seconds_count": 5.0,
}


LENGTHS = {
    # Prompts of 200 to 500 tokens, and one in five of 1,000 to 2,000; answers of 20 to 50.
    **{f'request_prompt_tokens_bucket{{engine="0",le="{end}.0"': 80.0 for end in (500, 1000)},
    **{f'request_prompt_tokens_bucket{{engine="0",le="{end}': 100.0 for end in ("2000.0", "+Inf")},
    **{f'request_generation_tokens_bucket{{engine="0",le="{end}': 100.0 for end in ("50.0", "100.0", "200.0", "500.0")},
    **{f'request_generation_tokens_bucket{{engine="0",le="{end}': 100.0 for end in ("1000.0", "2000.0", "+Inf")},
    **RATES,
}


def vllm(**fields) -> MovingPage:
    return MovingPage(STATES["vllm/real_mid_load"], **{"rates_per_s": RATES, **fields})


def as_older(line: str) -> str:
    """Under the names of vLLM 0.6 to 0.8; what those did not have becomes a comment."""
    line = line.replace("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
    line = line.replace("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds")
    return re.sub(r"^vllm:(request_time_per_output_token|admission_rejections)", r"# \g<0>", line)


def triton() -> MovingPage:
    of = '{model="pyfix_d0",'
    rates = {
        f"request_success{of}": 29.0,
        f'request_failure{of}reason="REJECTED"': 1.0,
        f"request_duration_us{of}": 29.0 * 50e3,
    }
    return MovingPage(STATES["triton/d0_open_r29.mid"], rates)


def trtllm() -> MovingPage:
    rates = {
        "request_success": 3.0,
        "input_token_len_sum": 2100.0,
        "input_token_len_count": 3.0,
        "output_token_len_sum": 450.0,
        "output_token_len_count": 3.0,
        "first_response_histogram_ms_sum": 3.0 * 250.0,
        "first_response_histogram_ms_count": 3.0,
        "request_duration_us": 3.0 * 2e6,
    }
    return MovingPage(trtllm_pages(first_response=True)[-1][1], rates, {'kv_cache_block_type="used"': 3119.5})


def gateway() -> str:
    return f'gateway_requests_total{{route="chat"}} {40.0 * (time.time() - BEGAN_S)}\n'


BEGAN_S = time.time()
PAGES: dict[str, Shown] = {
    "mixed/new": vllm(),
    "mixed/old": vllm(rename=as_older),
    "growing/only": vllm(rates_per_s={**RATES, "num_requests_waiting{": 2.0}),
    "half/stays": vllm(),
    "half/goes": vllm(),
    "gone/only": vllm(),
    "spread/only": vllm(rates_per_s=LENGTHS),
    "strewn/good": vllm(),
    "strewn/nan": vllm(gauges={"num_requests_running": nan}),
    "old/only": vllm(dated_s=30.0),
    "restarted/only": vllm(),
    "triton/only": triton(),
    "trtllm/only": trtllm(),
    f"{ODD}/only": vllm(),
}
"""By namespace and pod."""
READY = {name: sum(page.startswith(f"{name}/") for page in PAGES) for name in {page.split("/")[0] for page in PAGES}}
GATEWAY = {"metric": "gateway_requests_total", "matchLabels": {"route": "chat"}}


def policies():
    engines = {"triton": "triton", "trtllm": "triton-trtllm"}
    models = {"triton": {"model": "pyfix_d0"}, "trtllm": {"model": "tensorrt_llm"}}
    vllm_model = {"model_name": "tiny-llama"}
    for name in READY.keys() - {ODD}:
        yield series_of(name, engines.get(name, "vllm"), namespace=name, **models.get(name, vllm_model))
    yield series_of("odd", namespace=ODD)
    yield series_of("behind the gateway", arrivals=GATEWAY, namespace="mixed", model_name="tiny-llama")
    yield series_of("asleep", arrivals=GATEWAY, namespace="nowhere", model_name="tiny-llama")
    yield series_of("short", namespace="mixed", model_name="tiny-llama")
    yield series_of("no such", namespace="mixed", model_name="another")
    for index, value in enumerate(HOSTILE):
        yield unread(f"hostile/{index}", value)


def targets() -> dict[str, Target]:
    ready = {**READY, "odd": 1, "behind the gateway": 2, "asleep": 0, "no such": 1, "short": 6}
    return {name: Target(uid=name, replicas=pods, pods=Pods(ready=pods)) for name, pods in ready.items()}


@dataclass
class Scraped:
    exposition: Exposition
    url: str

    def seen(self) -> dict[str, Observation]:
        plan = plan_queries(policies(), window_s=WINDOW_S)
        assert plan.problems == {}
        answers = ask(PrometheusSettings(url=self.url).connect(), plan, clock=time.time)
        assert [answer for answer in answers if not isinstance(answer, Answered)] == []
        return observe_all(plan, answers, targets(), TRUST)

    def until(self, holds: Callable[[dict[str, Observation]], bool], within_s: float = 15.0) -> dict[str, Observation]:
        """The first observations of which it holds, or the last ones."""
        deadline = time.monotonic() + within_s
        while not holds(found := self.seen()) and time.monotonic() < deadline:
            time.sleep(0.3)
        return found


def until_each_has(scrapes: int, url: str) -> None:
    """Wait until every target has been scraped so often within a window."""
    deadline = time.monotonic() + 30.0
    while (value_of(url, f"min(count_over_time(up[{WINDOW_S}s]))") or 0.0) < scrapes:
        assert time.monotonic() < deadline, "Prometheus does not scrape each second"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def scraped(tmp_path_factory) -> Iterator[Scraped]:
    paths = {page: f"/{index}" for index, page in enumerate(PAGES)}
    with shown({path: PAGES[page] for page, path in paths.items()} | {"/gateway": gateway}) as exposition:

        def job(name: str, pages: list[str]) -> dict:
            targets = [
                {
                    "targets": [exposition.address],
                    "labels": {
                        "__metrics_path__": paths[page],
                        "namespace": page.rpartition("/")[0],
                        "pod": page.rpartition("/")[2],
                    },
                }
                for page in pages
            ]
            return {"job_name": name, "static_configs": targets}

        twice = [page for page in PAGES if page.startswith("mixed/")]
        front = {"job_name": "gateway", "metrics_path": "/gateway"}
        front["static_configs"] = [{"targets": [exposition.address]}]
        configuration = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [job("engines", list(PAGES)), job("again", twice), front],
        }
        with running_prometheus(tmp_path_factory.mktemp("prometheus"), configuration) as url:
            until_each_has(5, url)
            restarted = PAGES["restarted/only"]
            assert isinstance(restarted, MovingPage)
            restarted.restarts_at_s = time.time() - restarted.began_s
            until_each_has(WINDOW_S, url)
            yield Scraped(exposition=exposition, url=url)


@pytest.fixture(scope="module")
def first(scraped) -> dict[str, Observation]:
    return scraped.seen()


def near(value: float) -> object:
    """Scrapes of a busy machine are late by some of a second's tenths, of ten seconds."""
    return pytest.approx(value, rel=0.08)


def readings(observation: Observation) -> EngineReadings:
    assert observation.readings is not None
    return observation.readings


def test_versions_side_by_side_and_pods_that_two_jobs_scrape_count_once(first):
    assert first["mixed"].evidence is Evidence.FRESH, first["mixed"].message
    found = readings(first["mixed"])
    assert found.pods == 2
    assert found.running == 12.0
    assert (found.succeeded_per_s, found.failed_per_s) == (near(10.0), near(1.0))
    assert found.rejected_per_s == near(0.2)  # the older version counts none
    assert found.growth_per_s == 0.0
    assert (found.prompt_tokens, found.output_tokens) == (near(700.0), near(32.0))
    assert (found.ttft_s, found.itl_s, found.e2e_s) == (near(0.3), near(0.02), near(1.25))
    assert found.kv_usage == near(0.01174)
    assert abs(time.time() - found.newest_s) < 60.0


def test_what_waits_more_and_more_has_arrived(first):
    found = readings(first["growing"])
    assert found.growth_per_s == near(2.0)
    assert arrivals_per_s(found) == near(5.0 + 0.5 + 0.2 + 2.0)


def test_how_lengths_vary_is_read_from_buckets_within_the_queries_of_a_tick(scraped):
    """Of 330 and 1,440 tokens in the mean, even in the logarithm within a bucket."""
    spreads, server = SpreadObserver(), PrometheusSettings(url=scraped.url).connect()
    asked = list(policies())
    plan = plan_queries(asked, window_s=WINDOW_S)
    spreads.look(server, asked, plan, took_s=0.0)
    seen = spreads.seen(scraped.seen())
    found = readings(seen["spread"])
    assert found.prompt_cv == pytest.approx(0.86, abs=0.06)
    assert found.output_cv == pytest.approx(0.2, abs=0.02)
    assert readings(seen["mixed"]).prompt_cv is None  # whose buckets stand still


def test_tritons_batchers_have_time_and_no_tokens(first):
    assert first["triton"].evidence is Evidence.FRESH, first["triton"].message
    found = readings(first["triton"])
    assert (found.succeeded_per_s, found.failed_per_s) == (near(29.0), near(1.0))
    assert found.e2e_s == near(0.05)
    assert (found.waiting, found.running, found.ttft_s, found.prompt_tokens, found.kv_usage) == (0.0, *[None] * 4)


def test_tritons_language_models_have_tokens(first):
    assert first["trtllm"].evidence is Evidence.FRESH, first["trtllm"].message
    found = readings(first["trtllm"])
    assert (found.succeeded_per_s, found.ttft_s, found.e2e_s) == (near(3.0), near(0.25), near(2.0))
    assert (found.prompt_tokens, found.output_tokens) == (near(700.0), near(150.0))
    assert found.kv_usage == near(0.5)


def test_the_gateway_sees_what_no_engine_does(first):
    assert first["behind the gateway"].evidence is Evidence.FRESH
    assert arrivals_per_s(readings(first["behind the gateway"])) == near(40.0)
    assert first["asleep"].evidence is Evidence.FRESH
    assert arrivals_per_s(readings(first["asleep"])) == near(40.0)


def test_a_restart_is_told_and_read_on(first):
    assert first["restarted"].evidence is Evidence.FRESH
    assert first["restarted"].message == "counters began anew 1 times in 10 s"
    found = readings(first["restarted"])
    assert 3.5 < (found.succeeded_per_s or 0.0) < 5.5  # the increments between the last scrape and the restart are lost
    assert found.prompt_tokens == near(700.0)


def test_doubt_is_named(first):
    assert first["strewn"].evidence is Evidence.CONTRADICTORY
    assert first["strewn"].message == "running is not a number; running growth is not a number"
    assert first["old"].evidence is Evidence.STALE
    assert first["old"].message.startswith("the newest sample is of 20")
    assert first["no such"].evidence is Evidence.ABSENT


DOUBTED = {
    "strewn": Evidence.CONTRADICTORY,
    "old": Evidence.STALE,
    "no such": Evidence.ABSENT,
    "short": Evidence.PARTIAL,
}


@pytest.mark.parametrize("name", DOUBTED)
def test_in_doubt_nothing_is_scaled_down_and_all_goes_on_by_itself(first, name):
    """Six replicas for the load of one, seen as Prometheus has it now for half an hour, and then as engines are."""
    world = World(load=lambda _: 2.0, replicas=6)
    world.see = lambda _, snapshot: replace(snapshot, observation=first[name])
    for decision in world.run(1800.0):
        assert decision.write is None or decision.write.replicas >= 6
        assert condition(decision, "MetricsFresh")[:2] == ("False", DOUBTED[name].value)
    assert world.replicas == 6
    world.see = lambda _, snapshot: snapshot
    world.run(1800.0)
    assert world.replicas < 6


def test_hostile_labels_choose_nothing_but_themselves(first):
    assert first["odd"].evidence is Evidence.FRESH
    assert readings(first["odd"]).pods == 1
    for index, _ in enumerate(HOSTILE):
        assert first[f"hostile/{index}"].evidence is Evidence.ABSENT


def test_the_questions_of_a_thousand_policies_are_answered(scraped):
    plan = plan_queries(fleet(1000))
    answers = ask(PrometheusSettings(url=scraped.url).connect(), plan, clock=time.time)
    assert [answer for answer in answers if not isinstance(answer, Answered)] == []


def test_pods_that_go_are_missed_and_found_again_when_they_are_back(scraped):
    names = list(PAGES)
    lost = [f"/{names.index(name)}" for name in ("half/goes", "gone/only")]
    kept = {path: scraped.exposition.pages.pop(path) for path in lost}
    # Each page has a moment of its own in the second at which it is scraped.
    found = scraped.until(
        lambda seen: (seen["gone"].evidence, seen["half"].evidence) == (Evidence.ABSENT, Evidence.PARTIAL)
    )
    assert found["gone"].evidence is Evidence.ABSENT
    assert found["gone"].message == "no engine reports any more how many requests wait; one did within 10 s"
    assert (found["half"].evidence, found["half"].message) == (Evidence.PARTIAL, "1 of 2 ready pods report")
    assert found["mixed"].evidence is Evidence.FRESH
    scraped.exposition.pages.update(kept)
    found = scraped.until(lambda seen: seen["gone"].evidence is seen["half"].evidence is Evidence.FRESH)
    assert found["gone"].evidence is found["half"].evidence is Evidence.FRESH
    assert readings(found["half"]).pods == 2


def test_where_prometheus_is_not(scraped):
    plan = plan_queries(policies(), window_s=WINDOW_S)
    answers = ask(PrometheusSettings(url="http://127.0.0.1:9").connect(), plan, clock=time.time)
    for observation in observe_all(plan, answers, targets(), TRUST).values():
        assert observation.evidence is Evidence.UNREACHABLE
        assert "http://127.0.0.1:9 cannot be reached (connection refused)" in observation.message
