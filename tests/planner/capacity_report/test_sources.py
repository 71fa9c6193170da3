"""Histories: what a table, a trace and a decision log tell of a period, and how they say what is wrong."""

from __future__ import annotations

import csv
import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from models.errors import InvalidInput
from planner.capacity_report.period import parse_period
from planner.capacity_report.sources.decisions import decision_history
from planner.capacity_report.sources.table import table_history
from planner.capacity_report.sources.trace import trace_history

OCTOBER = parse_period("2026-10")
START = datetime(2026, 10, 1, tzinfo=UTC)


def table(folder: Path, text: str) -> Path:
    path = folder / "history.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_rows_finer_than_slots_are_added_up_and_a_missing_row_makes_the_slot_unknown(tmp_path):
    rows = [  # three hours of quarters, one row missing in the second
        f"{(START + timedelta(minutes=15 * at)).isoformat()},{100 + at},{2 + at % 2},{int(at != 9)}"
        for at in range(12)
        if at != 5
    ]
    text = "\n".join(["time,requests,replicas,met", *rows])
    found = table_history(table(tmp_path, text), OCTOBER, service="chat")
    assert list(found.requests[:3]) == pytest.approx([406.0, np.nan, 438.0], nan_ok=True)
    assert list(found.replicas[:3]) == pytest.approx([2.5, np.nan, 2.5], nan_ok=True)
    assert list(found.met[:3]) == pytest.approx([1.0, np.nan, 0.0], nan_ok=True)
    assert np.isnan(found.requests[3:]).all()
    assert np.isnan(found.input_tokens).all()


def test_one_file_may_tell_of_several_services_and_empty_cells_are_not_zero(tmp_path):
    text = "time,service,requests,replicas\n2026-10-01T00:00Z,a,7,\n2026-10-01T00:00Z,b,,3\n2026-10-01T01:00Z,b,5,3\n"
    path = table(tmp_path, text)
    first, second = (table_history(path, OCTOBER, service=name) for name in ("a", "b"))
    assert (first.requests[0], np.isnan(first.replicas[0])) == (7.0, True)
    assert (np.isnan(second.requests[0]), second.requests[1], second.replicas[0]) == (True, 5.0, 3.0)
    with pytest.raises(InvalidInput, match="no rows of 'c'"):
        table_history(path, OCTOBER, service="c")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("requests\n1\n", "begins with 'requests'"),
        ("time,requests,reqs\n2026-10-01T00:00Z,1,2\n", "begins with"),
        ("time,requests\n2026-10-01 00:00,1\n", "line 2: 2026-10-01 00:00 has no time zone"),
        ("time,requests\n2026-10-01T00:00Z,-1\n", "line 2: requests of '-1'"),
        ("time,requests\n2026-10-01T00:00Z,nan\n", "line 2: requests of 'nan'"),
        ("time,met\n2026-10-01T00:00Z,2\n", "line 2: met of '2'"),
        ("time,requests\n2026-10-01T01:00Z,1\n2026-10-01T01:00Z,1\n", "line 3: its time is not after that of line 2"),
        ("time,requests\n2026-10-01T00:00Z,1\n2026-10-02T00:00Z,1\n", "1440 minutes apart, slots 60"),
        ("time,requests\n2026-10-01T00:00Z\n", "line 2"),
        (("time,requests\n2026-10-01T00:00Z,1\n2026-10-01T01:00Z,1\n2026-10-01T01:07Z,1\n2026-10-01T02:00Z,1\n"
         "2026-10-01T03:00Z,1\n"), "line 4: its time does not fall on the 60 minutes"),
        ("time,requests\n2026-10-01T00:30Z,1\n2026-10-01T01:30Z,1\n", "line 2: its time does not fall on"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_table_is_named_with_its_line(tmp_path, text, told):
    with pytest.raises(InvalidInput, match=told):
        table_history(table(tmp_path, text), OCTOBER, service="chat")


def trace(folder: Path, rows: list[tuple[float, int, int]]) -> Path:
    path = folder / "trace.csv.gz"
    with gzip.open(path, "wt", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("arrival_s", "input_tokens", "output_tokens"))
        writer.writerows(rows)
    return path


def test_a_trace_counts_in_the_slots_that_it_covers_whole(tmp_path):
    rows = [(float(second), 10, 2) for second in range(0, 9001, 10)]  # two and a half hours
    found = trace_history(trace(tmp_path, rows), OCTOBER, start=START + timedelta(hours=5), scale=2.0)
    assert list(found.requests[5:7]) == [720.0, 720.0]
    assert list(found.input_tokens[5:7]) == [7200.0, 7200.0]
    assert np.isnan(np.delete(found.requests, [5, 6])).all()


def test_a_repeated_trace_is_its_copies_one_after_another(tmp_path):
    rng = np.random.default_rng(3)
    arrivals = np.sort(rng.uniform(0.0, 5000.0, 400))
    path = trace(tmp_path, [(float(each), int(rng.integers(1, 900)), int(rng.integers(1, 90))) for each in arrivals])
    found = trace_history(path, OCTOBER, start=START - timedelta(hours=2), repeat=True)
    length = arrivals.max()
    copies = (arrivals[None, :] + length * np.arange(600)[:, None] - 7200.0).ravel()
    counted = np.histogram(copies, bins=3600.0 * np.arange(OCTOBER.slots + 1))[0]
    # A copy's first request and the last of the one before fall together where the trace begins at 0.
    assert np.abs(found.requests - counted).max() <= 1.0
    assert found.requests.sum() == pytest.approx(counted.sum(), abs=2)


def line(hour: float, *, ready=3, replicas=3, rate=4.0, written=None, **more) -> str:
    write = None if written is None else {"lever": "Scale", "name": "chat", "before": replicas, "replicas": written}
    decision = {
        "at_s": (START + timedelta(hours=hour)).timestamp(), "policy": "serving/chat", "ready": ready,
        "demand": {"arriving_per_s": rate, "prompt_tokens": 100.0, "output_tokens": 10.0},
        "reasons": [{"code": "DemandRose", "message": "…"}], "write": write, "proposed": write, **more,
    }  # fmt: skip
    snapshot = {"target": {"replicas": replicas}}
    return json.dumps({"version": 1, "decision": decision, "snapshot": snapshot, "written": written is not None}) + "\n"


def test_a_decision_log_holds_from_line_to_line_over_rotated_files(tmp_path):
    path = tmp_path / "decisions.jsonl"
    (tmp_path / "decisions.jsonl.1").write_text(line(0.0) + line(2.5, rate=8.0, written=5), encoding="utf-8")
    path.write_text(line(4.0, replicas=5, rate=None) + line(100.0, replicas=1)[:-5], encoding="utf-8")
    found, doings = decision_history(path, OCTOBER, policy="serving/chat")
    assert list(found.requests[:4]) == [4 * 3600, 4 * 3600, 6 * 3600, 8 * 3600]
    assert list(found.input_tokens[:2]) == [4 * 3600 * 100.0] * 2
    assert np.isnan(found.requests[4:]).all()
    assert list(found.replicas[[0, 3, 4, 27]]) == [3.0, 3.0, 5.0, 5.0]
    assert np.isnan(found.replicas[28:]).all()  # a day after the last line nothing is known
    assert (doings.decisions, doings.raised, doings.lowered, doings.reasons["DemandRose"]) == (3, 1, 0, 3)


def test_what_is_wrong_in_a_decision_log_is_named(tmp_path):
    path = tmp_path / "decisions.jsonl"
    path.write_text(line(0.0) + "{}\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match="line 2 is no decision"):
        decision_history(path, OCTOBER, policy="serving/chat")
    path.write_text(line(0.0), encoding="utf-8")
    with pytest.raises(InvalidInput, match="no decision on 'serving/other'"):
        decision_history(path, OCTOBER, policy="serving/other")
