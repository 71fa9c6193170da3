"""Traces: what is read, and the line that an error names."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from models.errors import InvalidInput
from planner.trace import read_trace

HEAD = "arrival_s,input_tokens,output_tokens\n"


def written(folder: Path, data: str | bytes, name: str = "trace.csv") -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def test_columns_are_found_by_name_and_empty_lines_skipped(tmp_path: Path) -> None:
    text = "\ufeffid, output_tokens ,arrival_s,input_tokens\r\na,7,0.5,100\r\n\r\nb,8,1.5,200\r\n"
    assert list(read_trace(written(tmp_path, text))) == [(0.5, 100.0, 7.0), (1.5, 200.0, 8.0)]


def test_a_gzipped_trace_reads_the_same(tmp_path: Path) -> None:
    data = gzip.compress(f"{HEAD}0,10,20\n".encode())
    for name in ("trace.csv.gz", "trace.csv"):
        assert list(read_trace(written(tmp_path, data, name))) == [(0.0, 10.0, 20.0)]


def test_a_plain_trace_may_have_any_name(tmp_path: Path) -> None:
    assert list(read_trace(written(tmp_path, f"{HEAD}0,10,20\n", "trace.csv.gz"))) == [(0.0, 10.0, 20.0)]


@pytest.mark.parametrize("row", ["1,x,10", "1,10", "nan,10,1", "inf,10,1", "-1,10,1", "1,0,10", "1,10,0.5", "1,1e9,1"])
def test_a_bad_row_is_named_by_its_line(tmp_path: Path, row: str) -> None:
    with pytest.raises(InvalidInput, match=r"trace\.csv, line 4: ") as error:
        list(read_trace(written(tmp_path, f"{HEAD}0,10,10\n\n{row}\n")))
    assert "input_tokens" in error.value.remedy


@pytest.mark.parametrize(
    ("data", "name", "words"),
    [
        ("", "t.csv", "has no column arrival_s"),
        ("arrival_s;input_tokens;output_tokens\n", "t.csv", "it begins with 'arrival_s;input_tokens;output_tokens'"),
        (b"\xff\xfe\x00\x01", "t.csv", "is not text"),
        (b"\x1f\x8b\x08broken", "t.csv.gz", "is cut short or damaged"),
        (gzip.compress(f"{HEAD}0,10,20\n".encode())[:-9], "t.csv.gz", "is cut short or damaged"),
        (gzip.compress(bytes(10**7)), "t.csv.gz", "line 1 is very long"),
    ],
)
def test_what_is_no_trace_is_refused(tmp_path: Path, data: str | bytes, name: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        list(read_trace(written(tmp_path, data, name)))


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="does not exist"):
        list(read_trace(tmp_path / "none.csv"))
    with pytest.raises(InvalidInput, match="is a folder"):
        list(read_trace(tmp_path))
