"""Numbers with units, as people write them: parsed at the edge, formatted for reading. Inside all is SI."""

from __future__ import annotations

import math
import re

from models.errors import InvalidInput

_SECONDS = {
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86_400.0,
    "w": 7 * 86_400.0,
    "y": 365 * 86_400.0,
}
_NUMBER = re.compile(r"^\s*([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*([a-zµ]*)\s*$")
_UNITS_TOGETHER = ("y", "w", "d", "h", "m", "s", "ms")
_TOGETHER = re.compile(
    r"^\s*" + "".join(rf"(?:([0-9]{{1,15}}){unit})?" for unit in _UNITS_TOGETHER) + r"\s*$", re.ASCII
)
"""As Prometheus writes durations: whole numbers with units, each at most once, the longest first."""


def parse_seconds(text: str, *, what: str) -> float:
    """Seconds from `200ms`, `0.2s`, `250us`, `2m`, a plain number of seconds, or as Prometheus has it `1d12h`, `1h30m`.

    `what` names the input in the error. Raises InvalidInput for anything else, negative or not finite.
    """
    together = _TOGETHER.match(text)
    if together is not None and any(together.groups()):
        numbers = zip(_UNITS_TOGETHER, together.groups(), strict=True)
        return math.fsum(int(number) * _SECONDS[unit] for unit, number in numbers if number)
    match = _NUMBER.match(text)
    unit = match.group(2) if match else ""
    if match is None or (unit and unit not in _SECONDS):
        raise InvalidInput(
            f"{what}: {text!r} is not a duration", remedy="write numbers with units, such as 200ms, 0.2s, 2m or 1d12h"
        )
    seconds = float(match.group(1)) * _SECONDS.get(unit, 1.0)
    if not math.isfinite(seconds):
        raise InvalidInput(f"{what}: {text!r} is not a finite duration", remedy="write for example 200ms or 0.2s")
    return seconds


_BYTES_PER_S = {
    **{f"{prefix}b/s": factor for prefix, factor in (("k", 1e3), ("m", 1e6), ("g", 1e9), ("t", 1e12))},
    **{f"{prefix}ib/s": 1024.0**power for power, prefix in enumerate("kmgt", start=1)},
}
_BANDWIDTH = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*([kKMGT](?:i?B|b|bit)(?:/s|ps))\s*", re.ASCII)


def parse_bandwidth(text: str, *, what: str) -> float:
    """Bytes per second from `50GB/s`, `400Gb/s` (bits), `400Gbps`, `12.5GiB/s`; a unit must be there."""
    match = _BANDWIDTH.fullmatch(text)
    if match is None:
        raise InvalidInput(
            f"{what}: {text[:40]!r} is not a bandwidth",
            remedy="write a number with its unit, such as 50GB/s (bytes) or 400Gb/s (bits)",
        )
    unit = match[2].replace("ps", "/s").replace("bit/", "b/")
    bits = unit[1:].startswith("b")
    value = float(match[1]) * _BYTES_PER_S[unit.lower()] / (8.0 if bits else 1.0)
    if not 1e3 <= value <= 1e15:
        raise InvalidInput(f"{what}: {text[:40]!r} is out of range", remedy="give 1kB/s to 1000TB/s")
    return value


def format_seconds(seconds: float | None) -> str:
    """Three significant digits with the unit that reads best: `45.2 ms`, `1.17 s`, `2.5 min`."""
    if seconds is None or not math.isfinite(seconds):
        return "—"
    if seconds == 0.0:
        return "0 s"
    if seconds < 1e-3:
        return f"{_three(seconds * 1e6)} µs"
    if seconds < 1.0:
        return f"{_three(seconds * 1e3)} ms"
    if seconds < 120.0:
        return f"{_three(seconds)} s"
    return f"{_three(seconds / 60.0)} min" if seconds < 7200.0 else f"{_three(seconds / 3600.0)} h"


def format_number(value: float) -> str:
    """Three significant digits, thousands separated: `3,500`, `16.6`, `0.042`."""
    if abs(value) >= 1000.0:
        return f"{value:,.0f}"
    return _three(value) if value == 0.0 or abs(value) >= 1e-4 else f"{value:.3g}"


def format_share(value: float) -> str:
    """A fraction as a percentage: `71 %`."""
    percent = 100.0 * value
    if 0.0 < abs(percent) < 0.05:
        return "< 0.1 %"
    return f"{percent:,.0f} %" if abs(percent) >= 10.0 or percent == 0.0 else f"{percent:.1f} %"


def _three(value: float) -> str:
    if value == 0.0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(digits, 6)}f}"


_BYTES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}
_QUANTITY = re.compile(r"^\s*([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*([kMGT]?i?)\s*$")


def parse_bytes(text: str, *, what: str) -> float:
    """Bytes from a quantity as Kubernetes writes it: `15Gi`, `500Mi`, `16G` (10^9); a unit must be there, save for 0.

    `what` names the input in the error. Raises InvalidInput for anything else, negative or not finite.
    """
    match = _QUANTITY.match(text)
    if match is None or match.group(2) not in _BYTES:
        raise InvalidInput(f"{what}: {text!r} is not an amount of memory", remedy="write for example 15Gi or 500Mi")
    size = float(match.group(1)) * _BYTES[match.group(2)]
    if size and not match.group(2):
        # 20 is meant as GiB far more often than as bytes, and 20 bytes fit everywhere.
        number = match.group(1)
        raise InvalidInput(f"{what}: {text!r} has no unit; write {number}Gi or {number}Mi", remedy="add the unit")
    if not math.isfinite(size):
        raise InvalidInput(f"{what}: {text!r} is not finite", remedy="write for example 15Gi or 500Mi")
    return size


def format_bytes(size: float) -> str:
    """Three significant digits in GiB or MiB: `15.2 GiB`, `512 MiB`."""
    if abs(size) < 0.9995 * 2.0**30:
        return f"{_three(size / 2.0**20)} MiB"
    return f"{_three(size / 2.0**30) if abs(size) < 1000 * 2.0**30 else f'{size / 2.0**30:,.0f}'} GiB"
