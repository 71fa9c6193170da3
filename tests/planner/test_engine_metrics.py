"""The table of names against the text of real engines' /metrics pages."""

import re

import pytest

from benchmarks.exposition import archived, samples
from planner.cache_config import KvMemory, kv_memory, kv_memory_of_blocks
from planner.engine_metrics import BY_ENGINE, TRITON, TRITON_TRTLLM, VLLM, Kind
from tests.cluster.trtllm_pages import trtllm_pages

STATES = archived("states.tar.xz")
VLLM_PAGES = [name for name in STATES if name.startswith("vllm/")]
TRITON_PAGES = [name for name in STATES if name.startswith("triton/")]


def names_on(page: str) -> set[str]:
    return {sample.name for sample in samples(STATES[page])}


@pytest.mark.parametrize("page", VLLM_PAGES)
def test_vllm_0_32_has_every_metric_under_its_newest_name(page):
    there = names_on(page)
    for meaning, metric in VLLM.of(*Kind):
        newest = metric.names[0]
        series = {f"{newest}_bucket", f"{newest}_sum"} if metric.kind is Kind.HISTOGRAM else {newest}
        # A histogram without labels of its own shows from the start; none may be missing.
        assert series <= there, meaning


@pytest.mark.parametrize("page", TRITON_PAGES)
def test_triton_2_51_has_every_metric(page):
    there = names_on(page)
    for meaning, metric in TRITON.of(*Kind):
        assert set(metric.names) <= there, meaning


def test_tensorrt_llm_behind_triton_has_the_names_and_labels_that_its_backend_documents():
    page = samples(trtllm_pages(first_response=True)[-1][1])
    there = {(sample.name, *sample.labels.items()) for sample in page}
    for meaning, metric in TRITON_TRTLLM.of(*Kind):
        for name in metric.series():
            assert any(name == found[0] and set(metric.where.items()) <= set(found[1:]) for found in there), meaning


def test_no_older_name_is_still_there_and_would_be_counted_twice():
    there = names_on("vllm/real_mid_load")
    older = {series for _, metric in VLLM.of(*Kind) for name in metric.names[1:] for series in (name, f"{name}_bucket")}
    assert older
    assert not older & there


def test_a_metric_is_of_the_kind_that_its_page_says():
    said = dict(re.findall(r"^# TYPE (\S+) (\S+)$", STATES["vllm/real_mid_load"], re.MULTILINE))
    for meaning, metric in VLLM.of(Kind.GAUGE, Kind.COUNTER, Kind.HISTOGRAM):
        assert said[metric.names[0]] == metric.kind.value, meaning
    said = dict(re.findall(r"^# TYPE (\S+) (\S+)$", STATES["triton/idle_fresh"], re.MULTILINE))
    for meaning, metric in TRITON.of(Kind.GAUGE, Kind.COUNTER):
        assert said[metric.names[0]] == metric.kind.value, meaning


def test_triton_2_51_has_no_histograms_and_vllm_0_32_no_number_of_sequences():
    assert not [name for name in names_on("triton/mid_load_d10000_r67") if name.endswith("_bucket")]
    assert "max_num_seqs" not in STATES["vllm/real_mid_load"]


def test_the_model_s_label():
    for page, metrics in (("vllm/real_mid_load", VLLM), ("triton/idle_fresh", TRITON)):
        waiting = [sample for sample in samples(STATES[page]) if sample.name == metrics.waiting.names[0]]
        assert waiting
        assert all(metrics.model_label in sample.labels for sample in waiting)


def test_every_engine_has_a_table():
    assert set(BY_ENGINE) == {"vllm", "triton-trtllm", "triton"}


def test_kv_memory_is_in_the_labels():
    (info,) = [s for s in samples(STATES["vllm/real_mid_load"]) if s.name == "vllm:cache_config_info"]
    assert kv_memory(info.labels) == KvMemory(tokens=65_536, block_size=128)
    older = {name: value for name, value in info.labels.items() if name != "kv_cache_size_tokens"}
    assert kv_memory(older) == KvMemory(tokens=512 * 128, block_size=128)


def test_kv_memory_from_blocks():
    assert kv_memory_of_blocks(6239.0, 64.0) == KvMemory(tokens=399_296, block_size=64)
    assert kv_memory_of_blocks(None, 64.0) == kv_memory_of_blocks(6239.0, 0.0) == KvMemory(tokens=None, block_size=None)


@pytest.mark.parametrize("text", ["None", "", "-5", "1e5", "12.0", "٣", "0", "9" * 30])
def test_kv_memory_that_is_no_number_is_not_known(text):
    labels = {"block_size": text, "kv_cache_size_tokens": text, "num_gpu_blocks": "512"}
    assert kv_memory(labels) == KvMemory(tokens=None, block_size=None)
