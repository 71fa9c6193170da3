"""Files of a report: the format by the name, all of them or none, and words for what is not possible."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.errors import InvalidInput
from planner.capacity_report import written
from planner.capacity_report.html import to_html
from planner.capacity_report.written import FORMATS, format_of, require_formats, write_report
from tests.planner.capacity_report.stated_report import stated_report

PLAIN = ("report.xlsx", "report.html", "report.md", "report.json", "report.csv", "report.csv.zip", "report.focus.csv")


def test_each_file_is_whole(tmp_path):
    paths = [tmp_path / name for name in PLAIN]
    assert write_report(stated_report(), paths) == tuple(paths)
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(PLAIN)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == to_html(stated_report())
    assert (tmp_path / "report.focus.csv").read_text(encoding="utf-8").count("\n") == 3  # two lines have a price


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("a.xlsx", ".xlsx"), ("A.HTML", ".html"), ("a.focus.csv", ".focus.csv"), ("a.b.csv", ".csv"),
     ("a.csv.zip", ".csv.zip")],
)  # fmt: skip
def test_the_suffix_says_the_format(name, suffix):
    assert format_of(Path(name)).suffix == suffix


@pytest.mark.parametrize("name", ["report", "report.pdf", "-", ".csv", "report.zip"])
def test_another_suffix_is_refused_with_all_that_are_possible(name, tmp_path):
    with pytest.raises(InvalidInput) as raised:
        require_formats([tmp_path / name])
    assert all(each.suffix in raised.value.remedy for each in FORMATS)


def test_the_same_file_twice_is_refused(tmp_path):
    (tmp_path / "sub").mkdir()
    with pytest.raises(InvalidInput, match=r"twice, as .*report\.md"):
        require_formats([tmp_path / "report.md", tmp_path / "sub" / ".." / "report.md"])


def test_a_place_that_is_none_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="there is no folder"):
        require_formats([tmp_path / "no" / "report.md"])


def test_nothing_is_written_where_one_format_fails(tmp_path, monkeypatch):
    def failing(report):
        raise InvalidInput("no", remedy="none")

    formats = tuple(
        written.Format(suffix=each.suffix, told=each.told, render=failing) if each.suffix == ".md" else each
        for each in FORMATS
    )
    monkeypatch.setattr(written, "FORMATS", formats)
    with pytest.raises(InvalidInput):
        write_report(stated_report(), [tmp_path / "report.json", tmp_path / "report.md"])
    assert list(tmp_path.iterdir()) == []


def test_a_report_in_a_file_that_was_there_takes_its_place(tmp_path):
    (tmp_path / "report.json").write_text("old", encoding="utf-8")
    write_report(stated_report(), [tmp_path / "report.json"])
    assert (tmp_path / "report.json").read_text(encoding="utf-8").startswith('{\n "format": "replicast.dev/')
