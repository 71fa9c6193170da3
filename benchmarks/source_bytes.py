"""The sources that something simulated depends on: kept results are known by them, and stale when they change."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def source_bytes(paths: Iterable[str], root: Path = ROOT) -> bytes:
    """All the Python below `root` that `paths` (files and folders) name, in that order."""
    named = [root / path for path in paths]
    files = [file for path in named for file in (sorted(path.glob("*.py")) if path.is_dir() else [path])]
    return b"".join(file.read_bytes() for file in files)
