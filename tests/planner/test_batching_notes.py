"""What an answer about a dynamic batcher assumes, and where it says that it is weak."""

from __future__ import annotations

import pytest

from planner.batching_answer import predict_replicas
from planner.batching_fields import answer_fields
from tests.planner.test_batching_search import question

TIMES = "serviceTime: [{batch: 1, mean: 0.028, cv: CV}, {batch: 8, mean: 0.084, cv: CV}]"


def told(limits: str, *, cv: float = 0.0, rate: float = 40.0, slo: str = "e2e:p99<=1s") -> str:
    asked = question(rate, slo, f"limits: {{maxBatchSize: 8, {limits}}}, {TIMES.replace('CV', str(cv))}")
    fields = answer_fields(asked, predict_replicas(asked, 1))
    return " ".join([*fields["assumptions"], *fields["warnings"]])


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ({"limits": ""}, "a request is one item of a batch"),
        ({"limits": "instances: 2"}, "measured with all of them busy"),
        ({"limits": "maxQueueDelay: 0.01"}, "at 96 % hardly anything"),
        ({"limits": "", "cv": 2.0}, "cv-not-a-share"),
        ({"limits": "", "cv": 1.6}, "vary by at most 1.5"),
        ({"limits": "instances: 80"}, "at most 64 instances"),
        ({"limits": "", "slo": "e2e:p99.9<=1s"}, "e2e p99.9 rests on few requests"),
        ({"limits": "", "rate": 95.2}, "is not told apart from one that grows for ever"),
        ({"limits": "maxQueueDelay: 0.01"}, "queue delay of 10.0 ms only costs"),
    ],
)
def test_what_matters_is_said(question, words):
    assert words in told(**question)


def test_what_does_not_matter_is_not_said():
    said = told("")
    assert "measured with all of them busy" not in said
    assert "only costs" not in said
    assert "cv-not-a-share" not in said
    assert "p99.9" not in said
