"""`planner profile check` of a dynamic batcher's profile."""

from __future__ import annotations

from datetime import date

import pytest

from planner.profile import parse_profile
from planner.profile_check import check_profile, is_fit


def findings(limits: str = "maxBatchSize: 8", times: str = "[{batch: 1, mean: 0.028}, {batch: 8, mean: 0.084}]"):
    text = (
        "{apiVersion: replicast.dev/v1alpha1, kind: EngineProfile, metadata: {name: m}, spec: {engine: triton, "
        f"model: m, gpu: {{type: A10G-24GB}}, limits: {{{limits}}}, serviceTime: {times}, "
        "provenance: [{source: us, date: 2026-11-01}]}}"
    )
    found = check_profile(parse_profile(text, name="m"), date(2026, 11, 25))
    return {each.code: each.severity.value for each in found}, is_fit(found)


def test_an_ordinary_batcher_has_nothing_wrong():
    assert findings() == ({}, True)


WRONG = {
    "no largest batch": ({"limits": ""}, {"no-batcher": "contradiction"}),
    "times end early": ({"limits": "maxBatchSize: 16"}, {"no-batcher": "contradiction"}),
    "preferred too large": (
        {"limits": "maxBatchSize: 8, preferredBatchSizes: [16]"}, {"no-batcher": "contradiction"},
    ),
    "cv in per cent": (
        {"times": "[{batch: 1, mean: 0.028, cv: 2}, {batch: 8, mean: 0.084}]"}, {"cv-not-a-share": "warning"},
    ),
    "cv absurd": (
        {"times": "[{batch: 1, mean: 0.028, cv: 50}, {batch: 8, mean: 0.084}]"}, {"cv-not-a-share": "contradiction"},
    ),
    "nanoseconds": (
        {"times": "[{batch: 1, mean: 1.0e-9}, {batch: 8, mean: 2.0e-9}]"}, {"time-too-short": "contradiction"},
    ),
    "falling": ({"times": "[{batch: 1, mean: 0.084}, {batch: 8, mean: 0.028}]"}, {"time-falls": "warning"}),
    "no gain": ({"times": "[{batch: 1, mean: 0.01}, {batch: 8, mean: 0.1}]"}, {"batching-does-not-pay": "warning"}),
    "delay in seconds": ({"limits": "maxBatchSize: 8, maxQueueDelay: 5"}, {"long-queue-delay": "warning"}),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_or_is_doubtful_is_found(case: str):
    changes, expected = WRONG[case]
    found, fit = findings(**changes)
    assert found == expected
    assert fit is ("contradiction" not in expected.values())
