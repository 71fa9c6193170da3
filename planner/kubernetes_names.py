"""Names that Kubernetes takes, of the names in a plan."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Sequence

from models.errors import InvalidInput

_LONGEST_NAME = 50
"""Pods of a group have their number appended, and labels end at 63."""


def dns_label(name: str) -> str:
    """As Kubernetes names things; a name that had to be cut keeps a mark of what it was."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "x"
    if not plain[0].isalpha():  # a Service's name begins with a letter
        plain = f"m-{plain}"
    if len(plain) <= _LONGEST_NAME:
        return plain
    mark = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{plain[: _LONGEST_NAME - 9].rstrip('-')}-{mark}"


def require_distinct(names: Sequence[str]) -> None:
    twice = [name for name, times in Counter(map(dns_label, names)).items() if times > 1]
    if twice:
        raise InvalidInput(f"two of the plan's names are both {twice[0]!r} in Kubernetes", remedy="rename one of them")


def free_name(wanted: str, taken: Collection[str]) -> str:
    """The name itself, or with the first number that makes it one of its own."""
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}-{number}"
    return name
