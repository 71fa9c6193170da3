"""The forms of the step time: their formulas by hand, and that no form gets faster with more work."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InvalidInput
from models.step_time import ExpertsStepTime, LinearStepTime, RooflineStepTime, SqrtStepTime, StepTime

LINEAR = LinearStepTime(base_s=1e-2, per_prefill_token_s=1e-4, per_decode_s=1e-5, per_kv_token_s=1e-8)
NOTHING = LinearStepTime(base_s=0.0, per_prefill_token_s=0.0, per_decode_s=0.0, per_kv_token_s=0.0)
FORMS: list[StepTime] = [
    LINEAR,
    SqrtStepTime(linear=LINEAR, per_sqrt_decode_s=1e-3),
    ExpertsStepTime(linear=LINEAR, experts=64, experts_per_token=6, per_expert_s=1e-4),
    RooflineStepTime(overhead_s=1e-3, weights_s=8e-3, per_kv_token_s=1e-8, per_token_compute_s=5e-5),
    RooflineStepTime(
        overhead_s=1e-3, weights_s=0.0, per_kv_token_s=1e-8, per_token_compute_s=5e-5, graph_sizes=(1, 2, 4, 64, 512)
    ),
]


def name(form: StepTime) -> str:
    return type(form).__name__


def test_linear_by_hand():
    # 10 ms + 100 × 0.1 ms + 20 × 0.01 ms + 5,000 × 10 ns = 10 + 10 + 0.2 + 0.05 ms.
    assert float(LINEAR.seconds(100, 20, 5000)) == pytest.approx(20.25e-3, rel=1e-12)


def test_square_root_by_hand():
    # 16 decodes: 10 ms + 16 × 0.01 ms + √16 × 1 ms.
    assert float(SqrtStepTime(linear=LINEAR, per_sqrt_decode_s=1e-3).seconds(0, 16, 0)) == pytest.approx(14.16e-3)


@pytest.mark.parametrize("tokens", [1, 2, 7, 40])
def test_experts_touched_are_those_of_the_occupancy_problem(tokens: int):
    form = ExpertsStepTime(linear=NOTHING, experts=8, experts_per_token=2, per_expert_s=1.0)
    # Each expert is missed by a token with probability 1 − 2/8, by all of them with that to the power of their number.
    expected = math.fsum(1.0 - (6 / 8) ** tokens for _ in range(8))
    assert float(form.seconds(0, tokens, 0)) == pytest.approx(expected, rel=1e-12)
    assert float(form.seconds(tokens, 0, 0)) == pytest.approx(expected, rel=1e-12)


def test_a_dense_mixture_touches_every_expert_at_once():
    form = ExpertsStepTime(linear=NOTHING, experts=8, experts_per_token=8, per_expert_s=1.0)
    assert form.seconds(0, np.array([0.0, 1.0, 50.0]), 0) == pytest.approx([0.0, 8.0, 8.0])


def test_roofline_pads_to_the_next_captured_graph():
    form = RooflineStepTime(
        overhead_s=0.0, weights_s=0.0, per_kv_token_s=0.0, per_token_compute_s=1.0, graph_sizes=(1, 2, 4, 8, 16)
    )
    assert form.seconds(0, np.array([0, 1, 3, 8, 9, 16, 17]), 0).tolist() == [0, 1, 4, 8, 16, 16, 17]
    # 3 decodes and 6 prompt tokens are 9 tokens.
    assert form.seconds(np.array([5, 6, 14]), 3, 0).tolist() == [8, 16, 17]


def test_roofline_takes_the_larger_of_memory_and_compute():
    form = RooflineStepTime(overhead_s=1.0, weights_s=10.0, per_kv_token_s=0.1, per_token_compute_s=0.5)
    assert float(form.seconds(0, 4, 20)) == pytest.approx(1.0 + 12.0)  # memory: 10 + 0.1 × 20 above 0.5 × 4
    assert float(form.seconds(96, 4, 20)) == pytest.approx(1.0 + 50.0)  # compute: 0.5 × 100 above 12


@pytest.mark.parametrize("form", FORMS, ids=name)
@given(
    work=st.tuples(st.floats(0, 2e4), st.floats(0, 1e3), st.floats(0, 1e6)),
    more=st.tuples(st.floats(0, 2e4), st.floats(0, 1e3), st.floats(0, 1e6)),
)
def test_more_work_never_takes_less_time(form: StepTime, work, more):
    before = float(form.seconds(*work))
    after = float(form.seconds(*(each + extra for each, extra in zip(work, more, strict=True))))
    assert 0.0 < before <= after * (1.0 + 1e-12)


@pytest.mark.parametrize("bad", [-1e-9, math.nan, math.inf])
def test_a_term_that_cannot_be_is_refused(bad: float):
    with pytest.raises(InvalidInput):
        LinearStepTime(base_s=bad, per_prefill_token_s=0.0, per_decode_s=0.0, per_kv_token_s=0.0)
    with pytest.raises(InvalidInput):
        SqrtStepTime(linear=LINEAR, per_sqrt_decode_s=bad)


def test_graph_sizes_ascend():
    with pytest.raises(InvalidInput, match="ascending"):
        RooflineStepTime(
            overhead_s=0.0, weights_s=0.0, per_kv_token_s=0.0, per_token_compute_s=0.0, graph_sizes=(1, 4, 2)
        )
