"""Selectors: whatever a label's value holds, it stays a value."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InvalidInput
from planner.promql import parse_matches, quoted, selector


def test_a_selector_of_one_and_of_several_names():
    assert selector(["up"], {}) == '{__name__="up"}'
    assert selector(["vllm:a", "vllm:b_total"], {"pod": "x"}) == '{__name__=~"vllm:a|vllm:b_total",pod="x"}'


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_a_value_is_one_string_that_reads_back(value):
    text = quoted(value)
    assert json.loads(text) == value
    inner = text[1:-1].replace("\\\\", "").replace('\\"', "")
    assert '"' not in inner
    assert "\n" not in inner


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ('a"b', r'"a\"b"'),
        ("a\\", r'"a\\"'),
        ('"} or vector(1) #', r'"\"} or vector(1) #"'),
        ("a\nb\t", r'"a\nb\t"'),
        ("é ✓", '"é ✓"'),
    ],
)
def test_what_ends_a_string_is_escaped(value, written):
    assert quoted(value) == written


@pytest.mark.parametrize("name", ["", "a b", "a|b", 'a"', "1a", "a.b"])
def test_a_name_that_is_none(name):
    with pytest.raises(InvalidInput, match="is no name of a metric"):
        selector([name], {})


def test_matches_are_labels_with_values_as_they_stand():
    assert parse_matches(["a=b", "c=", 'd="x"', "e=f=g"]) == {"a": "b", "c": "", "d": '"x"', "e": "f=g"}


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["a"], "is not LABEL=VALUE"),
        (["=b"], "is not LABEL=VALUE"),
        (["a b=c"], "is not LABEL=VALUE"),
        (["a}=c"], "is not LABEL=VALUE"),
        (["__name__=x"], "cannot choose by __name__"),
        (["le=1"], "cannot choose by le"),
        (["a=1", "a=2"], "gives a twice"),
    ],
)
def test_matches_that_are_none(texts, said):
    with pytest.raises(InvalidInput, match=said):
        parse_matches(texts)


def test_values_that_are_too_long_or_no_text():
    with pytest.raises(InvalidInput, match="2000 characters"):
        quoted("x" * 2000)
    with pytest.raises(InvalidInput, match="is not text"):
        quoted("a\udc80")
