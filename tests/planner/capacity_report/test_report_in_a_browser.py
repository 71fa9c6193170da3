"""A real browser opens the page: no word on its console, no request, the right theme, and good pages on paper."""

from __future__ import annotations

import re

import pytest

from planner.capacity_report.html import to_html
from tests.planner.capacity_report import chromium
from tests.planner.capacity_report.chromium import pages_of, printed, visit
from tests.planner.capacity_report.stated_report import SCRIPT, days, stated_report
from tests.planner.capacity_report.tables_read_back import html_tables

BAD = '<!doctype html><title>x</title><img src="http://example.invalid/x.png"><script>console.error("of mine")</script>'


@pytest.fixture
def opened(tmp_path):
    """Write a page and say where."""

    def write(text: str):
        path = tmp_path / "report.html"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_it_says_nothing_asks_for_nothing_and_shows_what_was_written(opened, tmp_path):
    seen = visit(opened(to_html(stated_report())), tmp_path)
    assert seen.console == []
    assert seen.requests == []
    assert html_tables(seen.dom) == html_tables(to_html(stated_report()))
    assert SCRIPT not in seen.dom


def test_a_page_that_errs_and_asks_is_caught(opened, tmp_path):
    seen = visit(opened(BAD), tmp_path)
    assert [each.partition(",")[0] for each in seen.console] == ['"of mine"']
    assert seen.requests == ["http://example.invalid/x.png"]


def test_the_policy_stops_what_would_be_smuggled_in(opened, tmp_path):
    smuggled = to_html(stated_report()).replace("</main>", BAD.partition("</title>")[2] + "</main>")
    seen = visit(opened(smuggled), tmp_path)
    assert seen.requests == []
    assert len([each for each in seen.console if "Content Security Policy" in each]) == 2


def test_a_month_prints_on_few_landscape_pages_of_a4(opened, tmp_path):
    pdf = printed(opened(to_html(stated_report())), tmp_path)
    assert 6 <= pages_of(pdf) <= 14
    sizes = {tuple(map(float, box)) for box in re.findall(rb"/MediaBox ?\[0 0 ([\d.]+) ([\d.]+)\]", pdf)}
    assert [(round(width), round(height)) for width, height in sizes] == [(842, 595)]


def test_a_year_prints_the_page_of_each_day(opened, tmp_path):
    tables = tuple(days(366) if each.name == "days" else each for each in stated_report().tables)
    assert 12 <= pages_of(printed(opened(to_html(stated_report(tables=tables))), tmp_path)) <= 30


def test_where_no_browser_is_it_says_how_to_get_one(monkeypatch):
    monkeypatch.setattr(chromium, "NAMES", ("no-such-browser",))
    with pytest.raises(AssertionError, match="apt-get install chromium"):
        chromium.browser()
