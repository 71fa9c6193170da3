"""Label selectors, by the table of Kubernetes' own documentation."""

from __future__ import annotations

import pytest

from controller.selector import selector_of

LABELS = {"app": "chat", "tier": "gold"}


def needs(operator: str, *values: str, key: str = "tier") -> dict[str, object]:
    return {"matchExpressions": [{"key": key, "operator": operator, **({"values": list(values)} if values else {})}]}


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ({}, True),
        ({"matchLabels": {"app": "chat"}}, True),
        ({"matchLabels": {"app": "other"}}, False),
        (needs("In", "gold", "silver"), True),
        (needs("In", "silver"), False),
        (needs("In", "gold", key="absent"), False),
        (needs("NotIn", "silver"), True),
        (needs("NotIn", "gold"), False),
        (needs("NotIn", "gold", key="absent"), True),
        (needs("Exists"), True),
        (needs("Exists", key="absent"), False),
        (needs("DoesNotExist"), False),
        (needs("DoesNotExist", key="absent"), True),
        ({"matchLabels": {"app": "chat"}, **needs("In", "silver")}, False),
    ],
)
def test_all_requirements_must_hold(selector: dict[str, object], matches: bool):
    assert selector_of(selector).matches(frozenset(LABELS.items())) is matches


def test_an_operator_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="no operator 'Near'"):
        selector_of(needs("Near"))
