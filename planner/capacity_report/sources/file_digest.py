"""Which bytes a history was read from: a name that an auditor can compute too."""

from __future__ import annotations

import hashlib
from pathlib import Path


def named(path: Path) -> str:
    """The file's name and the beginning of its SHA-256."""
    with path.open("rb") as stream:
        return f"{path.name} (sha256 {hashlib.file_digest(stream, 'sha256').hexdigest()[:12]})"
