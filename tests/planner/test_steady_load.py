"""Which windows count, for what, and which are one load."""

import math
from dataclasses import replace

import pytest

from models.histogram_law import BucketCounts
from planner.metrics_history import Window
from planner.steady_load import judge, standing_of

SEATS = 64


def lengths(mean: float, requests: float = 300.0) -> BucketCounts:
    return BucketCounts(upper_s=(50.0, 1000.0, math.inf), counts=(0.0, requests, 0.0), sum_s=mean * requests)


def window(**changes) -> Window:
    """Five minutes at one request a second, ten running."""
    steady = Window(
        replica="a",
        start_s=0.0,
        end_s=300.0,
        counted={"succeeded": 300.0, "output_tokens": 38_400.0, "prompt_tokens": 153_600.0},
        means={"running": 10.0, "waiting": 0.0, "kv_usage": 0.2},
        histograms={"prompt_length": lengths(512.0), "output_length": lengths(128.0)},
        scrapes=20,
    )
    counted = {**steady.counted, **changes.pop("counted", {})}
    means = {**steady.means, **changes.pop("means", {})}
    return replace(steady, counted=counted, means=means, **changes)


@pytest.mark.parametrize(
    ("changes", "standing", "why"),
    [
        ({}, "steady", ""),
        ({"growth": 30.0}, "steady", ""),
        ({"growth": 60.0}, "unusable", "the load changed too fast within it"),
        ({"growth": -60.0}, "unusable", "the load changed too fast within it"),
        ({"means": {"waiting": 0.9}}, "steady", ""),
        ({"means": {"waiting": 5.0}}, "saturated", "saturated: only its throughput counts"),
        ({"means": {"running": 62.0}}, "saturated", "saturated: only its throughput counts"),
        ({"means": {"kv_usage": 0.97}}, "saturated", "saturated: only its throughput counts"),
        (
            {"means": {"kv_blocks": 100.0, "kv_used_blocks": 97.0}},
            "saturated",
            "saturated: only its throughput counts",
        ),
        ({"counted": {"preemptions": 10.0}}, "saturated", "saturated: only its throughput counts"),
        ({"counted": {"succeeded": 0.0}}, "unusable", "idle"),
        ({"counted": {"succeeded": 0.0}, "growth": 3.0}, "unusable", "fewer than 20 requests"),
        ({"counted": {"succeeded": 19.0}}, "unusable", "fewer than 20 requests"),
        ({"failed": 30.0}, "unusable", "more than 5% of the requests failed or were given up"),
        ({"unreadable": "stale: scrapes are missing"}, "unusable", "stale: scrapes are missing"),
    ],
)
def test_what_a_window_is_good_for(changes, standing, why):
    assert standing_of(window(**changes), SEATS) == (standing, why)


def test_no_count_is_not_a_count_of_zero():
    assert standing_of(replace(window(), counted={}), SEATS) == ("unusable", "no count of requests")


def test_a_gauge_that_is_not_there_is_not_an_engine_where_nothing_runs():
    without = replace(window(), means={"waiting": 0.0})
    assert standing_of(without, SEATS) == ("unusable", "not known how many requests ran")


def test_windows_of_one_load_are_pooled():
    judged = judge([window(), window(means={"running": 11.0}), window(means={"running": 20.0})], max_num_seqs=SEATS)
    assert [len(load.windows) for load in judged.steady] == [2, 1]
    first, _ = judged.steady
    assert first.running == 10.5
    assert first.completed == 600.0
    assert first.duration_s == 600.0
    assert first.arrivals_per_s == 1.0
    pooled = first.histogram("prompt_length")
    assert pooled is not None
    assert (pooled.total, pooled.mean_s) == (600.0, 512.0)


def test_other_lengths_are_another_load():
    longer = window(histograms={"prompt_length": lengths(800.0), "output_length": lengths(128.0)})
    assert len(judge([window(), longer], max_num_seqs=SEATS).steady) == 2


def test_requests_that_came_and_are_still_inside_or_were_turned_away_are_arrivals():
    judged = judge([window(growth=20.0, failed=4.0, counted={"rejected": 6.0})], max_num_seqs=SEATS)
    assert judged.steady[0].arrivals_per_s == pytest.approx(330.0 / 300.0)


def test_a_metric_that_one_window_lacks_is_not_known_of_the_load():
    judged = judge([window(), window(histograms={})], max_num_seqs=SEATS)
    assert judged.steady[0].histogram("prompt_length") is None
    assert judged.steady[0].total("preemptions") is None


def test_reasons_are_counted_the_commonest_first():
    idle = window(counted={"succeeded": 0.0})
    judged = judge([idle, window(), idle, window(means={"waiting": 30.0})], max_num_seqs=SEATS)
    assert list(judged.refused.items()) == [("idle", 2), ("saturated: only its throughput counts", 1)]
    assert len(judged.saturated) == 1


def test_triton_s_requests_inside_follow_from_their_time():
    """Little: 600 s spent inside by 300 requests in 300 s are 2 at a time."""
    triton = replace(window(counted={"e2e_sum": 600.0}), means={"waiting": 1.0}, histograms={})
    assert judge([triton], max_num_seqs=SEATS).steady[0].running == 2.0
    overload = replace(triton, growth=200.0)
    assert standing_of(overload, SEATS)[0] == "saturated"
