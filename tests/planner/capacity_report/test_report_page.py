"""The page by its text: what anybody with any reader, on any screen, in any light needs of it."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InvalidInput
from planner.capacity_report import html as page_module
from planner.capacity_report.delimited import guarded, without_guard
from planner.capacity_report.document import Column, Kind, Table
from planner.capacity_report.figures import bar, days_chart
from planner.capacity_report.html import to_html
from planner.capacity_report.markdown import escaped
from planner.capacity_report.shown import plain_text, shown, shown_with_unit
from planner.capacity_report.summary import glossary
from tests.planner.capacity_report.stated_report import FORMULA, SCRIPT, TURNED, days, line, stated_report

PAGE = to_html(stated_report())
TAG = re.compile(r"<(/?)([a-z0-9]+)([^>]*)>")
STYLE = re.search(r"<style>(.*?)</style>", PAGE, re.DOTALL)[1]


def tags(name: str) -> list[str]:
    return [found[3] for found in TAG.finditer(PAGE) if found[2] == name and not found[1]]


def test_headings_go_down_one_level_at_a_time():
    levels = [int(found[2][1]) for found in TAG.finditer(PAGE) if re.fullmatch("h[1-6]", found[2]) and not found[1]]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))


def test_landmarks_and_language_are_there():
    assert PAGE.startswith('<!doctype html>\n<html lang="en">')
    assert [len(tags(name)) for name in ("header", "nav", "main", "footer")] == [1, 1, 1, 1]


def test_every_id_is_one_of_a_kind_and_every_reference_leads_to_one():
    ids = re.findall(r' id="([^"]+)"', PAGE)
    assert len(ids) == len(set(ids))
    references = re.findall(r'(?:href="#|aria-labelledby=")([^"]+)"', PAGE)
    assert {each for reference in references for each in reference.split()} <= set(ids)


def test_every_table_has_a_caption_scopes_and_a_box_that_the_keyboard_scrolls():
    tables = re.findall(r"<table.*?</table>", PAGE, re.DOTALL)
    assert len(tables) == PAGE.count('role="group" aria-label=') == PAGE.count('tabindex="0"') > 20
    for table in tables:
        assert "<caption" in table
        assert all('scope="' in heading for heading in re.findall(r"<th[^e][^>]*>|<th>", table))


def test_every_figure_has_a_title_and_words():
    figures = [each for each in tags("svg") if 'role="img"' in each]
    assert len(figures) == PAGE.count("</title>\n<desc") == 2


def test_what_is_not_known_is_said_aloud():
    assert '<span aria-hidden="true">–</span><span class="aloud">not known</span>' in PAGE


def test_nothing_runs_and_nothing_is_loaded():
    assert not tags("script") + tags("img") + tags("iframe") + tags("object")
    assert not re.search(r"\son[a-z]+=|javascript:|url\(|@import|style=", PAGE)
    assert {each for each in re.findall(r'(?:href|src)="([^"#]*)', PAGE) if each} == {"data:,"}
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', PAGE)[1]
    style = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    assert policy.split("; ")[:3] == ["default-src 'none'", f"style-src 'sha256-{style}'", "img-src data:"]


@pytest.mark.parametrize("name", [FORMULA, SCRIPT, TURNED])
def test_names_are_text(name):
    assert f">{html.escape(plain_text(name)).replace('&quot;', '&#34;').replace('&#x27;', '&#39;')}<" in PAGE
    assert name not in PAGE


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    channels = [int(colour[at : at + 2], 16) / 255.0 for at in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def themes() -> list[dict[str, str]]:
    blocks = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    light, dark, paper = (dict(re.findall(r"--([a-z0-9]+): (#[0-9a-f]{6})", each)) for each in blocks)
    return [light, {**light, **dark}, {**light, **paper}]


@pytest.mark.parametrize("theme", themes(), ids=["light", "dark", "print"])
def test_text_and_marks_stand_out(theme):
    """WCAG 2.2 AA: 4.5 for text, 3 for what a figure is read by."""
    for text in ("ink", "soft", "link"):
        for ground in ("page", "paper", "band"):
            assert contrast(theme[text], theme[ground]) >= 4.5, (text, ground)
    for ground in ("good", "mind", "p1", "p2", "p3", "p4", "p5", "p6", "p7"):
        assert contrast(theme["on"], theme[ground]) >= 4.5, ground
    for mark in ("p1", "p2", "p3", "p4", "p5", "p6", "p7", "needed", "allocated", "short", "blind", "accent"):
        assert contrast(theme[mark], theme["paper"]) >= 3.0, mark


@pytest.mark.parametrize(
    ("value", "kind", "currency", "expected"),
    [
        (1234567.891, Kind.MONEY, "EUR", "EUR 1,234,567.89"),
        (1234567.891, Kind.MONEY, "JPY", "JPY 1,234,568"),
        (0.5, Kind.MONEY, "KWD", "KWD 0.500"),
        (-0.001, Kind.MONEY, "EUR", "EUR 0.00"),
        (-12.5, Kind.MONEY, "EUR", "EUR -12.50"),
        (0.02, Kind.PRICE, "USD", "USD 0.0200"),
        (0.998, Kind.SHARE, "EUR", "99.80%"),
        (0.999999, Kind.SHARE, "EUR", "99.999900%"),
        (1.0 - 1e-16, Kind.SHARE, "EUR", "100.00%"),
        (1e-7, Kind.NUMBER, "EUR", "1.00e-07"),
        (8195.0, Kind.NUMBER, "EUR", "8,195"),
        (100.0, Kind.COUNT, "EUR", "100"),
        (None, Kind.MONEY, "EUR", "–"),
        ("never", Kind.MONEY, "EUR", "never"),
    ],
)
def test_numbers_as_people_read_them(value, kind, currency, expected):
    assert shown_with_unit(value, kind, currency) == expected
    assert shown(value, kind, currency) == expected.removeprefix(f"{currency} ")


@given(st.text())
def test_a_guarded_text_begins_no_formula_and_comes_back(text):
    assert without_guard(guarded(text)) == text
    assert not guarded(text).lstrip().startswith(("=", "+", "-", "@"))


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\t=1", "\rx", " =1", "＝1", "\u200e=1", "'x"])
def test_what_a_spreadsheet_would_run_is_guarded(text):
    assert guarded(text) == f"'{text}"


@given(st.text())
def test_a_plain_text_is_one_line_without_marks_that_turn_it(text):
    assert not set(plain_text(text)) & set("\n\r\t\0\x1b\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\x85")
    assert not re.search(r"(?<!\\)[|`*<>\[\]]", escaped(text))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.0, 1.0)), max_size=9))
def test_a_bars_parts_stand_one_after_another(shares):
    segments = bar(shares, whole=10.0)
    ends = [float(each.at[:-1]) + float(each.width[:-1]) for each in segments]
    assert all(float(later.at[:-1]) >= end - 0.002 for later, end in zip(segments[1:], ends, strict=False))
    assert sum(float(each.width[:-1]) for each in segments) == pytest.approx(
        10.0 * sum(share for _, share in shares), abs=0.01
    )


def test_the_chart_of_days_marks_the_short_day_and_the_one_without_data():
    chart = days_chart(days(10))
    assert [(each.at, each.width) for each in chart.short] == [("20.000%", "10.000%")]
    assert [(each.at, each.width) for each in chart.blind] == [("40.000%", "10.000%")]
    assert [each.text for each in chart.levels] == ["0", "5", "10", "15"]
    assert chart.allocated.startswith("M0 44L10 44")  # 12 of 15 in 220 pixels


def test_a_day_of_which_nothing_is_known_is_a_gap_and_no_zero():
    table = days(3)
    blank = {**table.rows[1], "used_gpu_h": 0.0, "needed_gpu_h": 0.0, "allocated_gpu_h": 0.0, "unknown_service_h": 24.0}
    chart = days_chart(type(table)(**{**vars(table), "rows": (table.rows[0], blank, table.rows[2])}))
    assert chart.allocated.count("M") == chart.used.count("Z") == 2


def test_a_year_names_its_months():
    chart = days_chart(days(365))
    assert chart.dense
    assert [each.text for each in chart.days][:3] == ["Feb", "Mar", "Apr"]


def test_the_summary_says_what_its_costs_leave_out():
    """The H100's 23.3 GPU-hours of 689.6 have no price."""
    told = "EUR 2,285.52 for those 666.3 of 689.6 GPU-hours whose price is known. 38% was idle; the greatest cause is"
    assert f"{told} whole replicas, 18%." in PAGE
    assert "Costs and shares leave out 23.3 GPU-hours whose price is not known." in PAGE


def test_a_column_that_means_something_else_elsewhere_says_where():
    one, other = (
        Table(name=name, title=name, columns=(Column(key="x", title="Cost", meaning=name),), rows=()) for name in "ab"
    )
    assert glossary((one, other)) == (("Cost (a)", "a"), ("Cost (b)", "b"))
    assert glossary((one, one)) == (("Cost", "a"),)


def test_checks_that_fail_are_told_first():
    checks = stated_report().table("checks")
    wrong = Table(**{**vars(checks), "rows": ({**checks.rows[0], "difference": 0.5}, *checks.rows[1:])})
    tables = tuple(wrong if each.name == "checks" else each for each in stated_report().tables)
    assert 'aria-hidden="true">!</span> <a href="#checks">1 of 16 checks differ</a>' in to_html(
        stated_report(tables=tables)
    )


@pytest.mark.parametrize("name", ["by_team", "days"])
def test_a_report_with_an_empty_table_is_a_page_too(name):
    tables = tuple(
        type(each)(**{**vars(each), "rows": () if each.name == name else each.rows}) for each in stated_report().tables
    )
    assert to_html(stated_report(tables=tables)).endswith("</html>\n")


def test_without_jinja2_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(page_module, "find_spec", lambda _: None)
    with pytest.raises(InvalidInput, match="jinja2") as raised:
        to_html(stated_report())
    assert "replicast[report]" in raised.value.remedy


def test_jinja2_is_loaded_only_for_a_page():
    code = "import planner.capacity_report.written, sys; sys.exit(bool({'jinja2', 'xlsxwriter'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_stated_lines_are_what_the_golden_files_rest_on():
    assert line("chat", team="a")["idle_gpu_h"] == pytest.approx(62.5 + 1.0 / 12.0)
