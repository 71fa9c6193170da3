"""Label selectors, as Kubernetes means them: matchLabels and matchExpressions, all of which must hold.

Kubernetes documentation, "Labels and selectors", set-based requirements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Pair = tuple[str, str]
"""A label and its value."""
Labels = frozenset[Pair]


@dataclass(frozen=True, kw_only=True, slots=True)
class Expression:
    """One requirement of one label."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def holds(self, labels: Mapping[str, str]) -> bool:
        """`NotIn` holds where the label is absent, too."""
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
            case _:
                return self.key not in labels


@dataclass(frozen=True, kw_only=True, slots=True)
class Selector:
    """An empty one means every object; what means none is no selector at all."""

    pairs: Labels = frozenset()
    expressions: tuple[Expression, ...] = ()

    def matches(self, labels: Labels) -> bool:
        """Whether an object with these labels is meant."""
        if not self.pairs <= labels:
            return False
        if not self.expressions:
            return True
        by_key = dict(labels)
        return all(each.holds(by_key) for each in self.expressions)


_OPERATORS = {"In", "NotIn", "Exists", "DoesNotExist"}


def selector_of(document: Mapping[str, Any]) -> Selector:
    """Of `{matchLabels, matchExpressions}`. Raises ValueError for an operator that there is not."""
    found = []
    for each in document.get("matchExpressions") or []:
        if each["operator"] not in _OPERATORS:
            raise ValueError(f"matchExpressions has no operator {each['operator']!r}")
        values = frozenset(map(str, each.get("values") or []))
        found.append(Expression(key=each["key"], operator=each["operator"], values=values))
    return Selector(pairs=frozenset((document.get("matchLabels") or {}).items()), expressions=tuple(found))
