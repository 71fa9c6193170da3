"""focus-validator in an environment of its own, in the user's cache: never among the project's packages.

    python -m scripts.focus_validator            # makes it where it is missing, and prints its interpreter

2.2.1 checks FOCUS 1.2 and needs Python 3.12 or newer; where none is found, 1.0.0 on Python 3.11 checks FOCUS 1.0. Both
bring their rules with them, so that a check needs no network. Pins: `RELEASES`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "REPLICAST_FOCUS_PYTHON"
"""Names the Python to take, where the search would find another one or none."""


class ValidatorMissing(Exception):
    """There is no validator and none can be made; says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Release:
    """A release of the validator, and what it runs on."""

    focus: str
    """The version of FOCUS that it checks."""
    pins: tuple[str, ...]
    pythons: tuple[str, ...]
    """Versions of Python, the best first: those with wheels of all its parts before those that must build some."""


RELEASES = (
    Release(
        focus="1.2",
        # Newer ones of pyarrow want NumPy 2, which the validator excludes.
        pins=("focus-validator==2.2.1", "pyarrow>=17,<22", "numpy==1.26.4"),
        pythons=("3.12", "3.13", "3.14"),
    ),
    Release(
        focus="1.0",
        # It asks for no version of multimethod, whose second one took away what pandera calls.
        pins=("focus-validator==1.0.0", "multimethod<1.13", "numpy==1.26.4"),
        pythons=("3.11",),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Validator:
    """One that is there."""

    python: Path
    focus: str

    @property
    def package(self) -> Path:
        """The folder of its code, with the rules."""
        (found,) = self.python.parent.parent.glob("lib/python3.*/site-packages/focus_validator")
        return found


def validator() -> Validator:
    """The newest that this machine can have, made where it is missing. Raises ValidatorMissing."""
    for release in RELEASES:
        if python := _python(release.pythons):
            return Validator(python=_environment(python, release), focus=release.focus)
    if own := os.environ.get(VARIABLE):
        raise ValidatorMissing(
            f"{VARIABLE} names {own}, which is no Python 3.11 or newer with venv; name one, or unset it"
        )
    raise ValidatorMissing(
        "there is no Python 3.12 or newer on the path, among pyenv's versions or as this one, and no 3.11 with a "
        f"working venv: install one (`pyenv install 3.12`, `apt install python3-venv`), or let {VARIABLE} name it"
    )


def _python(versions: tuple[str, ...]) -> Path | None:
    return next((path for version in versions for path in _candidates(version) if _version(path) == version), None)


def _candidates(version: str) -> Iterator[Path]:
    if own := os.environ.get(VARIABLE):
        yield Path(own)
        return
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        yield Path(sys.executable)
    if found := shutil.which(f"python{version}"):
        yield Path(found)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob(f"versions/{version}*/bin/python"))


def _version(python: Path) -> str | None:
    """Such as 3.12; None for what does not run (pyenv's shims of versions that are not chosen) or makes no venv."""
    code = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 and re.fullmatch(r"3\.\d+\s*", done.stdout) else None


def _environment(python: Path, release: Release) -> Path:
    digest = hashlib.sha256("\n".join((*release.pins, str(python.resolve()))).encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = cache / "replicast" / "focus-validator" / digest
    done, inside = place / ".complete", place / "bin" / "python"
    with _alone(place):
        if not done.exists() or not inside.exists():
            shutil.rmtree(place, ignore_errors=True)
            _make(python, place, release)
            done.touch()
    return inside


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Two that make the same would spoil each other's: the second waits, and then finds it there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with (place.parent / f".{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(python: Path, place: Path, release: Release) -> None:
    print(f"installing {release.pins[0]} into {place}: once, about a minute", file=sys.stderr, flush=True)
    inside = place / "bin" / "python"
    pip: list[str | Path] = [inside, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *release.pins]
    commands: tuple[list[str | Path], ...] = ([python, "-m", "venv", place], pip)
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ValidatorMissing(
                f"`{' '.join(map(str, command))}` failed:\n{done.stderr[-1500:].rstrip()}\n"
                "a package registry that pip reaches is needed once; `python -m scripts.focus_validator` tries again"
            )


if __name__ == "__main__":
    try:
        print(validator().python)
    except ValidatorMissing as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(2)
