"""PromQL selectors from names and labels, with every value quoted."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from models.errors import InvalidInput

_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_METRIC = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
_OURS = {"__name__", "le"}
MAX_VALUE = 1000
_META = re.compile(r"[\\.+*?()|\[\]{}^$]")


def parse_matches(texts: Sequence[str]) -> dict[str, str]:
    """Labels from `NAME=VALUE`; the value is taken as it stands, quotes and all."""
    labels: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not _LABEL.fullmatch(name):
            raise InvalidInput(
                f"--match {text[:80]!r} is not LABEL=VALUE",
                remedy="such as --match namespace=serving; the value needs no quotes of PromQL",
            )
        if name in _OURS:
            raise InvalidInput(f"--match cannot choose by {name}", remedy="choose by namespace, model_name, pod …")
        if name in labels:
            raise InvalidInput(f"--match gives {name} twice", remedy="one value for each label")
        labels[name] = value
    return labels


def selector(names: Sequence[str], labels: Mapping[str, str]) -> str:
    """`{__name__=~"a|b",label="value"}`: series with one of the names and all of the labels."""
    return chosen(names, [matcher(name, [value]) for name, value in labels.items()])


def chosen(names: Sequence[str], matchers: Sequence[str]) -> str:
    """Series with one of the names, whose labels match (`matcher`)."""
    for name in names:
        if not _METRIC.fullmatch(name):
            raise InvalidInput(f"{name[:80]!r} is no name of a metric")
    choice = f'__name__="{names[0]}"' if len(names) == 1 else f'__name__=~"{"|".join(names)}"'
    return "{" + ",".join([choice, *matchers]) + "}"


def matcher(name: str, values: Sequence[str]) -> str:
    """`name="value"`, or `name=~"one|other"` with what a regular expression would read as more than text escaped."""
    require_label(name)
    if len(values) == 1:
        return f"{name}={quoted(values[0])}"
    return f"{name}=~{quoted('|'.join(_META.sub(_escaped, value) for value in values))}"


def _escaped(found: re.Match[str]) -> str:
    return f"\\{found[0]}"


def require_label(name: str) -> None:
    """Raises InvalidInput where it is no label's name, or one that chooses by something else than the series."""
    if not _LABEL.fullmatch(name):
        raise InvalidInput(f"{name[:80]!r} is no name of a label", remedy="letters, digits and _, no digit first")
    if name in _OURS:
        raise InvalidInput(f"{name} cannot choose series", remedy="choose by namespace, model_name, pod …")


def quoted(value: str) -> str:
    """A string of PromQL, whose escapes are JSON's and more."""
    if len(value) > MAX_VALUE:
        raise InvalidInput(f"a label's value of {len(value)} characters", remedy=f"at most {MAX_VALUE}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"the label's value {value[:80]!r} is not text", remedy="write it in UTF-8") from None
    return json.dumps(value, ensure_ascii=False)
