"""Durations and objectives, read and written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InvalidInput
from planner.objective import parse_objective, parse_objectives
from planner.units import format_number, format_seconds, format_share, parse_bandwidth, parse_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("200ms", 0.2),
        ("0.2s", 0.2),
        ("0.2", 0.2),
        ("250us", 2.5e-4),
        ("2m", 120.0),
        ("1.5h", 5400.0),
        (" 3 s ", 3.0),
        ("90m", 5400.0),
        ("1h30m", 5400.0),
        ("2d", 172_800.0),
        ("1d12h", 129_600.0),
        ("1w", 604_800.0),
        ("1y2w3d4h5m6s7ms", 33_019_506.007),
        ("0.5d", 43_200.0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_seconds(text, what="x") == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize(
    "text",
    ["", "ms", "-1s", "1 day", "1e999", "nan", "0x10", "1,5s", "1m1h", "1h1h", "1h30", "1.5h30m", "1d 12h", "d", "1mo"],
)
def test_what_is_no_duration_says_how_to_write_one(text: str) -> None:
    with pytest.raises(InvalidInput) as error:
        parse_seconds(text, what="--think-time")
    assert "--think-time" in str(error.value)
    assert "200ms" in error.value.remedy or "0.2s" in error.value.remedy


@given(st.floats(1e-6, 1e5))
def test_a_formatted_duration_keeps_three_digits(seconds: float) -> None:
    text = format_seconds(seconds).replace(" ", "").replace("min", "m")
    assert parse_seconds(text, what="x") == pytest.approx(seconds, rel=6e-3)


@given(
    st.sampled_from(["ttft", "itl", "tpot", "e2e", "queue"]),
    st.sampled_from(["mean", "p50", "p99", "p99.9"]),
    st.floats(1e-4, 1e5),
)
def test_an_objective_reads_back_what_it_writes(metric: str, statistic: str, limit: float) -> None:
    objective = parse_objective(f"{metric}:{statistic}<={limit!r}s")
    assert (objective.metric, objective.statistic) == (metric, statistic)
    again = parse_objective(str(objective))
    assert (again.metric, again.quantile) == (objective.metric, objective.quantile)
    assert again.limit_s == pytest.approx(limit, rel=1e-9)


@pytest.mark.parametrize("text", ["ttft", "ttft:p99", "ttfx:p99<=1s", "ttft:p0<=1s", "ttft:p100<=1s", "itl:p99<=0ms"])
def test_what_is_no_objective_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as error:
        parse_objective(text)
    assert error.value.remedy


def test_two_limits_on_one_statistic_are_refused() -> None:
    with pytest.raises(InvalidInput, match="limit the same statistic twice"):
        parse_objectives(["ttft:p99<=1s", "ttft:p99<=2s"])


def test_numbers() -> None:
    assert [format_number(value) for value in (3500.0, 16.61, 0.0421, 0.0)] == ["3,500", "16.6", "0.0421", "0"]
    assert [format_number(value) for value in (1e-9, 2.5e-5, 1e-4)] == ["1e-09", "2.5e-05", "0.000100"]
    assert [format_share(value) for value in (0.714, 0.021, 0.0, 1e-5, 11.02)] == [
        "71 %",
        "2.1 %",
        "0 %",
        "< 0.1 %",
        "1,102 %",
    ]


@pytest.mark.parametrize(
    ("text", "bytes_per_s"),
    [("50GB/s", 50e9), ("400Gb/s", 50e9), ("400 Gbps", 50e9), ("100Gbit/s", 12.5e9), ("2GiB/s", 2 * 1024**3)],
)
def test_bandwidths_are_read_in_bytes_and_bits(text, bytes_per_s):
    assert parse_bandwidth(text, what="link") == pytest.approx(bytes_per_s)


@pytest.mark.parametrize("text", ["50", "GB/s", "-1GB/s", "50GB", "1e99GB/s", "0GB/s", "50 gigabytes"])
def test_what_is_no_bandwidth_is_refused(text):
    with pytest.raises(InvalidInput, match="link: "):
        parse_bandwidth(text, what="link")
