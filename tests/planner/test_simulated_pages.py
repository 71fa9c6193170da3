"""What simulated replicas show at /metrics is what real engines show: the same names, labels, buckets and words."""

from __future__ import annotations

import re

import pytest

from benchmarks.exposition import Sample, archived, samples
from models.errors import InvalidInput
from models.prediction import Routing
from models.token_lengths import TokenLengths
from models.workload import ClosedArrivals, OpenArrivals, Workload
from planner.engine_metrics import BY_ENGINE, EngineMetrics, Kind
from planner.profile import EngineProfile, load_profile, parse_profile
from planner.simulated_service.service import SimulatedService, simulated_batchers, simulated_tokens
from tests.cluster.trtllm_pages import trtllm_pages
from tests.planner.simulated_profiles import TRITON, TRTLLM


def served(profile: EngineProfile, *, rate_per_s: float = 8.0, oldest_names: bool = False) -> SimulatedService:
    """A minute of one replica."""
    arrivals = OpenArrivals(rate_per_s=rate_per_s)
    if profile.spec.engine == "triton":
        service = simulated_batchers(profile, arrivals, routing=Routing.RANDOM, seed=1)
    else:
        workload = Workload(arrivals=arrivals, lengths=TokenLengths.of(512.0, 128.0), prefix_hit_rate=0.25)
        service = simulated_tokens(profile, workload, routing=Routing.RANDOM, seed=1, oldest_names=oldest_names)
    service.keep(["0"])
    service.advance(60.0)
    return service


def page_of(profile: EngineProfile, **more) -> str:
    page = served(profile, **more).page("0")
    assert page is not None
    return page


def shape(page: str, model_label: str) -> set[tuple]:
    """What remains of samples without values and the model's name."""
    return {
        (each.name, *sorted((key, text) for key, text in each.labels.items() if key != model_label))
        for each in samples(page)
    }


def values(page: str) -> dict[str, float]:
    """By name, summed over labels."""
    sums: dict[str, float] = {}
    for each in samples(page):
        sums[each.name] = sums.get(each.name, 0.0) + each.value
    return sums


def words(page: str) -> set[str]:
    """The lines that tell what a metric is."""
    return {line for line in page.splitlines() if line.startswith("#")}


VLLM = load_profile("llama-3.1-8b-a100-vllm")
REAL_VLLM = archived("states.tar.xz")["vllm/real_mid_load"]
REAL_TRITON = archived("states.tar.xz")["triton/mid_load_d10000_r67"]


def test_vllm_shows_nothing_that_a_real_one_does_not():
    page = page_of(VLLM)
    assert words(page) <= words(REAL_VLLM)
    of_lengths = re.compile(r'^vllm:request_(prompt|generation)_tokens_bucket.*le="\d{4,}')
    simulated = "\n".join(line for line in page.splitlines() if not of_lengths.match(line))
    # How large the cache is, and how far the buckets of lengths go, depends on the model.
    shown = {each for each in shape(simulated, "model_name") if each[0] != "vllm:cache_config_info"}
    assert shown <= shape(REAL_VLLM, "model_name")
    kinds = {"engine", "le", "model_name", "finished_reason", "reason"}
    assert {key for each in samples(simulated) if "cache_config" not in each.name for key in each.labels} == kinds


def test_triton_shows_nothing_that_a_real_one_does_not():
    page = page_of(parse_profile(TRITON, name="reranker"))
    assert words(page) <= words(REAL_TRITON)
    assert shape(page, "model") <= shape(REAL_TRITON, "model")
    assert all(float(each.value).is_integer() for each in samples(page))
    assert 'nv_inference_request_success{model="bge-reranker-base",version="1"} ' in page


def test_tensorrt_llm_shows_what_its_documentation_says():
    page = page_of(parse_profile(TRTLLM, name="chat"))
    documented = {each.name for each in samples(trtllm_pages(first_response=True)[0][1])}
    assert documented - {each.name for each in samples(page)} == set()


def required(metrics: EngineMetrics, page: str) -> set[str]:
    """Meanings that the page has under one of their names."""
    shown = {each.name for each in samples(page)}
    return {meaning for meaning, metric in metrics.of(*Kind) if shown & {*metric.names, *metric.series()}}


@pytest.mark.parametrize("oldest_names", [False, True])
def test_all_that_is_read_of_vllm_is_there_under_new_names_and_old(oldest_names):
    page = page_of(VLLM, oldest_names=oldest_names)
    assert required(BY_ENGINE["vllm"], page) == {name for name, _ in BY_ENGINE["vllm"].of(*Kind)} - {
        "external_prefix_hits"
    }
    assert ("vllm:gpu_cache_usage_perc{" in page) == oldest_names
    assert ("vllm:kv_cache_usage_perc{" in page) == (not oldest_names)


def test_the_numbers_of_a_page_fit_each_other():
    service = served(VLLM)
    page = service.page("0")
    assert page is not None
    seen = values(page)
    ended = seen["vllm:request_success_total"]
    inside = seen["vllm:num_requests_running"] + seen["vllm:num_requests_waiting"]
    assert abs(ended + inside - 60 * 8) < 4 * (60 * 8) ** 0.5
    assert service.fleet.replicas["0"].outstanding == inside
    assert seen["vllm:e2e_request_latency_seconds_count"] == ended
    assert seen["vllm:request_generation_tokens_sum"] == 128 * ended
    assert seen["vllm:inter_token_latency_seconds_count"] == (
        seen["vllm:generation_tokens_total"] - seen["vllm:time_to_first_token_seconds_count"]
    )
    assert seen["vllm:prefix_cache_hits_total"] == 0.25 * seen["vllm:prefix_cache_queries_total"]
    assert 0.0 < seen["vllm:kv_cache_usage_perc"] < 1.0


def test_sums_of_triton_are_cumulative_microseconds():
    seen = values(page_of(parse_profile(TRITON, name="reranker"), rate_per_s=40.0))
    served, batches = seen["nv_inference_request_success"], seen["nv_inference_exec_count"]
    assert 1.0 < served / batches < 8.0
    assert 28_000 < seen["nv_inference_compute_infer_duration_us"] / served < 84_000
    assert seen["nv_inference_request_duration_us"] == (
        seen["nv_inference_queue_duration_us"] + seen["nv_inference_compute_infer_duration_us"]
    )


def test_a_model_may_be_called_anything():
    service = simulated_batchers(
        parse_profile(TRITON, name="x"), OpenArrivals(rate_per_s=1.0), routing=Routing.RANDOM, seed=1,
        model_name='a"b\\c\nd',
    )  # fmt: skip
    service.keep(["0"])
    page = service.page("0")
    assert page is not None
    assert samples(page)[0] == Sample(
        name="nv_inference_request_success", labels={"model": r"a\"b\\c\nd", "version": "1"}, value=0.0
    )


def test_what_cannot_be_simulated_live_is_refused():
    users = Workload(arrivals=ClosedArrivals(users=3), lengths=TokenLengths.of(10.0, 10.0))
    with pytest.raises(InvalidInput, match="users who wait"):
        simulated_tokens(VLLM, users, routing=Routing.RANDOM, seed=1)
    with pytest.raises(InvalidInput, match="1,001 replicas are too many"):
        served(VLLM).keep(str(index) for index in range(1001))
    with pytest.raises(InvalidInput, match="qps 1e\\+09 is out of range"):
        served(VLLM).load(1e9)
