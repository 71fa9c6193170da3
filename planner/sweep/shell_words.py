"""Words of a shell command: data, which is quoted, and the few fragments that the shell is meant to read."""

from __future__ import annotations

import shlex
from collections.abc import Sequence


class Fragment(str):
    """Text for the shell itself, such as `"$results"/a.json`; everything else is quoted."""

    __slots__ = ()


Word = str | Fragment


def result_path(name: str) -> Fragment:
    """A path below the folder of results, which the script knows only when it runs."""
    return Fragment(f'"$results"/{shlex.quote(name)}')


def seed(index: int) -> Fragment:
    """A seed of its own for each run, new on each run of the script."""
    return Fragment(f'"$((seed + {index}))"')


def command_line(words: Sequence[Word], *, indent: str = "  ", width: int = 110) -> str:
    """The words quoted and broken into lines of about `width`, each option kept with its value."""
    groups: list[str] = []
    for word in words:
        text = word if isinstance(word, Fragment) else shlex.quote(word)
        if groups and not word.startswith("-") and groups[-1].startswith("--") and " " not in groups[-1]:
            groups[-1] += f" {text}"
        else:
            groups.append(text)
    lines = [groups[0]]
    for group in groups[1:]:
        if len(lines[-1]) + 1 + len(group) > width:
            lines.append(f"{indent}{group}")
        else:
            lines[-1] += f" {group}"
    return " \\\n".join(lines)
