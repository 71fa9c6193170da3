"""Documents: bounded in size, depth and repetition; errors that name the place; writes that are whole or not at all."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from models.errors import InvalidInput
from planner.files import MAX_DOCUMENT_BYTES, line_of, parse_document, read_text, write_atomically


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no fields"),
        ("- a\n", "holds no fields"),
        ("a: 1\na: 2\n", "line 2: 'a' is given twice"),
        ("a: 1\nb: {c: 1, c: 2}\n", "line 2: 'c' is given twice"),
        ("a: &x [1]\nb: *x\n", r"line 2: aliases \(\*name\) are not supported"),
        ("a: " + "[" * 100_000, "nested too deeply"),
        ("- " * 100_000 + "a\n", "nested too deeply"),
        ("? [a, b]\n: c\n", "line 1: a field's name is not a word"),
        ("a: 1\n---\nb: 2\n", "line 2: "),
        ("a: \x00\n", "not valid YAML"),
        ("a: !!python/object:os.system x\n", "line 1: "),
        ("a: " + "9" * 5000 + "\n", "not valid YAML"),
        ("a: 1\n\tb: 2\n", "line 2: "),
    ],
)
def test_a_document_that_is_refused_says_where(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as error:
        parse_document(text, name="x.yaml", what="profile")
    assert str(error.value).startswith("profile x.yaml")
    assert error.value.remedy


def test_json_is_a_document_too() -> None:
    assert parse_document('{"a": {"b": [1, 2.5e-3]}}', name="x.json", what="profile") == {"a": {"b": [1, 2.5e-3]}}


def test_the_line_of_a_field_or_of_its_nearest_parent() -> None:
    text = "a:\n  b:\n    - c: 1\n    - c: 2\n"
    assert line_of(text, ("a", "b", 1, "c")) == 4
    assert line_of(text, ("a", "b", 1, "missing")) == 4
    assert line_of(text, ("missing",)) is None


def test_a_file_is_read_without_its_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_text(path, what="profile") == "a: 1\n"


def test_a_file_is_read_no_further_than_the_bound(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    with path.open("wb") as stream:
        stream.truncate(MAX_DOCUMENT_BYTES + 1)
    with pytest.raises(InvalidInput, match="is larger than 64 MiB"):
        read_text(path, what="profile")


@pytest.mark.parametrize(("data", "words"), [(None, "does not exist"), (b"\xff\xfe\x00", "is not text")])
def test_what_cannot_be_read(tmp_path: Path, data: bytes | None, words: str) -> None:
    path = tmp_path / "a.yaml"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(InvalidInput, match=words):
        read_text(path, what="profile")
    with pytest.raises(InvalidInput, match="is a folder"):
        read_text(tmp_path, what="profile")


def test_a_write_replaces_the_whole_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "plan.svg"
    path.write_bytes(b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(InvalidInput, match="cannot be written"):
        write_atomically(tmp_path / "none" / "plan.svg", b"new")
    with pytest.raises(InvalidInput, match="cannot be written"):
        write_atomically(tmp_path, b"new")
