"""What the learned correction may do to a law, and where it must keep away."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.capacity import capacity
from models.continuous_batching import circumstances, predict
from models.discrepancy import CORRECTED, KNOTS, Circumstances, _warped, moved
from models.engine import Engine, EngineLimits
from models.latency_law import LatencyLaw
from models.prediction import Routing
from models.step_time import LinearStepTime
from models.token_lengths import TokenLengths
from tests.strategies import Question, questions

CHAT = Question(
    engine=Engine(
        step_time=LinearStepTime(base_s=9e-3, per_prefill_token_s=8.5e-5, per_decode_s=5e-5, per_kv_token_s=6.5e-8),
        limits=EngineLimits(),
    ),
    lengths=TokenLengths.of(512, 128, prompt_cv=0.5, output_cv=0.8),
    load=0.6,
    burstiness=1.0,
    replicas=2,
    routing=Routing.RANDOM,
)


def circumstances_of(question: Question) -> Circumstances:
    work = question.workload()
    top = capacity(question.engine, question.lengths)
    return circumstances(question.engine, work, replicas=question.replicas, routing=question.routing, top=top)


def shares(**knots: float) -> np.ndarray:
    """Log-odds to move by: nothing but what is named, as metric_percentile."""
    rows = np.zeros((len(CORRECTED), len(KNOTS)))
    for name, value in knots.items():
        metric, percentile = name.split("_")
        rows[[*CORRECTED].index(metric), KNOTS.index(int(percentile) / 100)] = value
    return rows.ravel()


@given(question=questions())
@settings(max_examples=25)
def test_nothing_moved_is_nothing_changed(question: Question):
    at = circumstances_of(question)
    for metric, law in moved(at, shares()).items():
        # Quantiles of a grid of 2,048 values may fall on the neighbour.
        for level in (0.1, 0.5, 0.95, 0.99):
            near = [at.laws[metric].quantile(min(max(level + by, 0.0), 1.0)) for by in (-1e-3, 1e-3)]
            assert near[0] * (1 - 1e-9) <= law.quantile(level) <= near[1] * (1 + 1e-9), metric


def test_a_quantile_is_read_at_other_odds():
    # Values 1 … 1000, evenly: at log-odds of 99 to 1 plus log(1/2) stands 0.99 at odds 49.5 to 1: 980.2.
    law = LatencyLaw.from_atoms(np.arange(1.0, 1001.0), np.ones(1000))
    rows = np.zeros(len(KNOTS))
    rows[KNOTS.index(0.99)] = -np.log(2.0)
    assert _warped(law, rows).quantile(0.99) == pytest.approx(1000 * 49.5 / 50.5, abs=1.5)
    assert _warped(law, rows).quantile(0.5) == pytest.approx(500.0, abs=1.5)


@given(question=questions(), odds=st.lists(st.floats(-3.0, 3.0), min_size=25, max_size=25))
@settings(max_examples=25)
def test_whatever_is_learned_a_law_stays_a_law_of_possible_values(question: Question, odds: list[float]):
    at = circumstances_of(question)
    laws = moved(at, np.array(odds))
    for metric, law in laws.items():
        assert (np.diff(law.cdf) >= 0.0).all()
        assert law.cdf[-1] == pytest.approx(1.0)
        assert (np.diff(law.values_s) >= 0.0).all()
        if metric in ("ttft", "itl", "tpot"):
            assert set(law.values_s.tolist()) <= set(at.laws[metric].values_s.tolist())
    for level in (0.5, 0.95, 0.99):
        queue, ttft, e2e = (laws[metric].quantile(level) for metric in ("queue", "ttft", "e2e"))
        assert queue <= ttft <= e2e


@given(question=questions())
@settings(max_examples=15)
def test_at_rest_the_analytic_laws_answer(question: Question):
    work = question.workload(times=1e-6 / question.load)
    found = predict(question.engine, work, replicas=question.replicas, routing=question.routing)
    for metric in ("ttft", "itl"):
        assert found.laws[metric].quantile(0.5) == pytest.approx(found.analytic[metric].quantile(0.5), rel=1e-3)


def test_an_unfamiliar_question_is_told_and_left_to_the_analytic_laws():
    far = replace(CHAT, burstiness=60.0, replicas=1)
    found = predict(far.engine, far.workload(), replicas=1)
    assert found.familiarity < 1e-3
    for metric, law in found.laws.items():
        assert law.quantile(0.9) == pytest.approx(found.analytic[metric].quantile(0.9), rel=2e-2)


def test_a_familiar_question_is_corrected_in_full():
    assert predict(CHAT.engine, CHAT.workload(), replicas=2).familiarity == pytest.approx(1.0, abs=0.02)
