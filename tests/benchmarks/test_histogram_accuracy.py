"""Against what a real client measured of each request: what docs/from-prometheus.md promises of percentiles."""

import statistics

import pytest

from benchmarks.histogram_accuracy import FAMILIES, rows

TABLE = list(rows())


@pytest.mark.parametrize(
    ("metric", "median", "ninetieth"), [("itl", 0.04, 0.16), ("tpot", 0.04, 0.13), ("e2e", 0.03, 0.08)]
)
def test_percentiles_from_buckets_are_near_the_client_s(metric, median, ninetieth):
    errors = sorted(abs(error) for row in TABLE if row.metric == metric for error in row.fitted)
    assert statistics.median(errors) < median
    assert errors[int(0.9 * len(errors))] < ninetieth


@pytest.mark.parametrize("metric", FAMILIES)
def test_they_are_better_than_straight_lines(metric):
    fitted = sorted(abs(error) for row in TABLE if row.metric == metric for error in row.fitted)
    lines = sorted(abs(error) for row in TABLE if row.metric == metric for error in row.interpolated)
    assert statistics.median(fitted) < statistics.median(lines)
    assert fitted[int(0.9 * len(fitted))] < 0.65 * lines[int(0.9 * len(lines))]


def test_every_run_is_there():
    assert len(TABLE) == 16 * len(FAMILIES)
