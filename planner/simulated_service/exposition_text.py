"""Prometheus's text format, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate

from models.simulation.live.observations import Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]


def sample(name: str, labels: Labels, value: float | int) -> str:
    """One line. A whole number stays one where it is an int: Triton's are, vLLM's end in `.0`."""
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{inside}}} {value!r}"


def family(name: str, kind: str, about: str, samples: Iterable[str]) -> list[str]:
    """A metric's lines."""
    return [f"# HELP {name} {about}", f"# TYPE {name} {kind}", *samples]


def histogram(name: str, about: str, labels: Labels, seen: Histogram, *, scale: float = 1.0) -> list[str]:
    """A histogram's lines. `scale`: its unit in the page over that of the observations and edges."""
    ends = [*(repr(float(edge * scale)) for edge in seen.edges), "+Inf"]
    lines = [
        sample(f"{name}_bucket", dict(sorted({**labels, "le": end}.items())), float(count))
        for end, count in zip(ends, accumulate(seen.counts.tolist()), strict=True)
    ]
    sums = [
        sample(f"{name}_count", labels, float(seen.count)),
        sample(f"{name}_sum", labels, seen.sum * scale),
    ]
    return family(name, "histogram", about, [*lines, *sums])


def page(*families: list[str]) -> str:
    """The whole text."""
    return "".join(f"{line}\n" for lines in families for line in lines)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
