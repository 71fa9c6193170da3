"""Streams of requests that come several at once, and GPUs that stages share."""

from __future__ import annotations

import numpy as np
import pytest

from models.call_stream import CallStream, joined
from models.clumped_batching import clump_times
from models.neighbour_slowdown import Running, Stretch, stretches


def drawn(stream: CallStream) -> np.ndarray:
    return clump_times(stream, 400_000, np.random.default_rng(3))


def test_a_stream_has_the_clumps_and_the_long_variability_that_it_says():
    times = drawn(CallStream(rate_per_s=10.0, clump=4.0, gap_scv=0.5, long_scv=1.0))
    assert times.size / np.unique(times).size == pytest.approx(4.0, rel=0.03)
    assert times.size / times[-1] == pytest.approx(10.0, rel=0.01)
    counts = np.bincount((times / 20.0).astype(int))[:-1]
    assert counts.var() / counts.mean() == pytest.approx(1.0, abs=0.12), "not 4, as clumps at random would have"


def test_thinning_is_that_of_each_request():
    whole = CallStream(rate_per_s=10.0, clump=4.0, gap_scv=1.0)
    times = drawn(whole)
    kept = times[np.random.default_rng(5).random(times.size) < 0.3]
    thin = whole.thinned(0.3)
    assert thin.rate_per_s == 3.0
    assert thin.clump == pytest.approx(kept.size / np.unique(kept).size, rel=0.03)


def test_what_slow_stages_see_lies_between_a_clump_and_the_long_run():
    stream = CallStream(rate_per_s=10.0, clump=4.0)
    assert stream.scv_over(0.0) == stream.short_scv > 4.0
    assert stream.scv_over(1e6) == pytest.approx(1.0, abs=1e-3)


def test_streams_that_meet_weigh_by_their_rate():
    met = joined([CallStream(rate_per_s=1.0, clump=5.0), CallStream(rate_per_s=3.0)], 4.0)
    assert (met.rate_per_s, met.clump) == (4.0, 2.0)


def test_alone_on_a_gpu_nothing_takes_longer():
    assert stretches([Running(share=0.7, batch_s=0.1)]) == (Stretch(),)


def test_beside_a_long_batch_a_short_one_takes_twice_as_long_and_the_long_one_leaves_what_it_needs():
    short, long = stretches([Running(share=0.1, batch_s=1e-6), Running(share=0.6, batch_s=1.0)]) or ()
    assert long.factor == pytest.approx(1.0 / 0.9, rel=1e-3)
    assert short.factor == pytest.approx(1.0 + 0.6 / 0.9, rel=1e-3)


def test_more_work_than_a_gpu_has_time_for():
    assert stretches([Running(share=0.5, batch_s=1.0)] * 2) is None
