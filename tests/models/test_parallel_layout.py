"""Communication of a step: the formulas against sums written out, and laws that hold for every layout."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.collectives import Link, all_reduce, ring_all_reduce
from models.errors import InvalidInput
from models.layout_change import LayoutChange, carried_over
from models.parallel_layout import Layout, Talk, talk
from models.step_time import ExpertsStepTime, LinearStepTime, RooflineStepTime, SqrtStepTime

INSIDE = Link(bytes_per_s=360e9, latency_s=1.5e-6)
BETWEEN = Link(bytes_per_s=40e9, latency_s=10e-6)
LINE = LinearStepTime(base_s=0.020, per_prefill_token_s=1e-4, per_decode_s=1e-4, per_kv_token_s=4e-8)


def test_a_ring_sends_twice_its_bytes_less_a_part():
    cost = ring_all_reduce(8, INSIDE)
    assert cost.fixed_s == pytest.approx(14 * 1.5e-6)
    assert cost.per_byte_s == pytest.approx(2 * 7 / 8 / 360e9)
    alone = ring_all_reduce(1, INSIDE)
    assert (alone.fixed_s, alone.per_byte_s) == (0.0, 0.0)


def test_across_nodes_each_gpu_carries_its_part():
    cost = all_reduce(8, 2, INSIDE, BETWEEN)
    assert cost.fixed_s == pytest.approx(14 * 1.5e-6 + 2 * 10e-6)
    assert cost.per_byte_s == pytest.approx(2 * 7 / 8 / 360e9 + 2 * 1 / 2 / 8 / 40e9)


def test_the_talk_of_llama_405b_on_two_nodes():
    """126 layers of 16,384 values: 252 all-reduces, one hop between nodes and the tokens back, by hand."""
    found = talk(126, 16384, Layout(tensor=8, pipeline=2, gpus_per_node=8), INSIDE, BETWEEN)
    assert found.fixed_s == pytest.approx(252 * 21e-6 + 10e-6 + 10e-6)
    assert found.per_token_s == pytest.approx(16384 * 2 * (252 * 1.75 / 360e9 + 1 / 40e9))


@pytest.mark.parametrize(
    ("layout", "nodes", "hops_between"),
    [
        (Layout(tensor=8, pipeline=2, gpus_per_node=8), 2, 1),
        (Layout(tensor=4, pipeline=4, gpus_per_node=8), 2, 1),
        (Layout(tensor=8, pipeline=4, gpus_per_node=8), 4, 3),
        (Layout(tensor=16, pipeline=1, gpus_per_node=8), 2, 0),
        (Layout(tensor=2, pipeline=4, gpus_per_node=8), 1, 0),
    ],
)
def test_where_stages_stand(layout, nodes, hops_between):
    assert (layout.nodes, layout.hops_between) == (nodes, hops_between)


@pytest.mark.parametrize("sizes", [(3, 1, 2), (6, 4, 8), (0, 1, 1), (8, 2, 5)])
def test_a_layout_that_does_not_spread_evenly_is_refused(sizes):
    tensor, pipeline, per_node = sizes
    with pytest.raises(InvalidInput):
        Layout(tensor=tensor, pipeline=pipeline, gpus_per_node=per_node)


SILENT = Talk()


def change(after: Layout, spent: Talk = SILENT, kv_ratio: float = 1.0) -> LayoutChange:
    return LayoutChange(
        before=Layout(), after=after, talk_before=SILENT, talk_after=spent, launch_s=0.002, kv_ratio=kv_ratio
    )


def test_twice_the_width_halves_the_work_and_not_the_launches():
    found = carried_over(LINE, change(Layout(tensor=2, gpus_per_node=2), Talk(fixed_s=0.001, per_token_s=1e-6), 0.5))
    assert isinstance(found, LinearStepTime)
    assert found.base_s == pytest.approx(0.002 + 0.018 / 2 + 0.001)
    assert found.per_prefill_token_s == pytest.approx(1e-4 / 2 + 1e-6)
    assert found.per_kv_token_s == pytest.approx(4e-8 / 2)


def test_stages_share_decodes_and_each_prompt_is_in_one_batch():
    found = carried_over(LINE, change(Layout(pipeline=4, gpus_per_node=4)))
    assert isinstance(found, LinearStepTime)
    assert found.base_s == pytest.approx(LINE.base_s)
    assert found.per_prefill_token_s == pytest.approx(LINE.per_prefill_token_s)
    assert found.per_decode_s == pytest.approx(LINE.per_decode_s / 4)
    assert found.per_kv_token_s == pytest.approx(LINE.per_kv_token_s / 4)


@given(
    tensor=st.sampled_from([1, 2, 4, 8]),
    pipeline=st.sampled_from([1, 2, 4]),
    latency=st.floats(0.0, 1e-3),
    speed=st.floats(1e8, 1e12),
)
def test_a_worse_link_never_makes_a_step_shorter(tensor, pipeline, latency, speed):
    layout = Layout(tensor=tensor, pipeline=pipeline, gpus_per_node=tensor)

    def step(link: Link) -> float:
        spent = talk(32, 4096, layout, INSIDE, link)
        return float(carried_over(LINE, change(layout, spent)).seconds(100.0, 10.0, 1e4))

    good = Link(bytes_per_s=speed, latency_s=latency)
    bad = Link(bytes_per_s=speed / 2.0, latency_s=2.0 * latency)
    assert step(bad) >= step(good)


def test_there_and_back_is_where_it_was():
    wide = Layout(tensor=4, gpus_per_node=4)
    spent = Talk(fixed_s=0.001, per_token_s=1e-6)
    there = carried_over(LINE, change(wide, spent, kv_ratio=0.25))
    back = carried_over(
        there,
        LayoutChange(before=wide, after=Layout(), talk_before=spent, talk_after=Talk(), launch_s=0.002, kv_ratio=4.0),
    )
    for name in ("base_s", "per_prefill_token_s", "per_decode_s", "per_kv_token_s"):
        assert getattr(back, name) == pytest.approx(getattr(LINE, name))


def test_other_forms():
    bent = carried_over(SqrtStepTime(linear=LINE, per_sqrt_decode_s=0.01), change(Layout(pipeline=4, gpus_per_node=4)))
    assert isinstance(bent, SqrtStepTime)
    assert bent.per_sqrt_decode_s == pytest.approx(0.005)
    mixture = ExpertsStepTime(linear=LINE, experts=8, experts_per_token=2, per_expert_s=0.001)
    spread = carried_over(mixture, change(Layout(tensor=2, gpus_per_node=2)))
    assert isinstance(spread, ExpertsStepTime)
    assert spread.per_expert_s == pytest.approx(0.0005)
    roof = RooflineStepTime(overhead_s=0.001, weights_s=0.01, per_kv_token_s=0.0, per_token_compute_s=1e-5)
    with pytest.raises(InvalidInput, match="weights and perTokenCompute"):
        carried_over(roof, change(Layout(tensor=2, gpus_per_node=2)))


@pytest.mark.parametrize("link", [{"bytes_per_s": 0.0, "latency_s": 0.0}, {"bytes_per_s": 1e9, "latency_s": 2.0}])
def test_a_link_that_cannot_be(link):
    with pytest.raises(InvalidInput):
        Link(**link)
