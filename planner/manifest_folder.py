"""Writing several files into a folder: all of them or none."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from models.errors import InvalidInput


def write_folder(folder: Path, texts: Mapping[str, str], *, force: bool) -> list[Path]:
    """Each text under its name. What is there already is kept unless `force`; then nothing is written at all."""
    if folder.exists() and not folder.is_dir():
        raise InvalidInput(f"--out {folder} is not a folder", remedy="name a folder, which may be new")
    there = [name for name in texts if (folder / name).exists()]
    if there and not force:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise InvalidInput(f"{folder / there[0]} is there already{more}", remedy="add --force, or name another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as staging:
            for name, text in texts.items():
                (Path(staging) / name).write_text(text, encoding="utf-8")
            for name in texts:  # all are whole on this disk: what is left is to name them
                os.replace(Path(staging) / name, folder / name)  # noqa: PTH105
    except OSError as error:
        raise InvalidInput(
            f"{folder} cannot be written: {error.strerror or error}", remedy="check the folder"
        ) from None
    return [folder / name for name in texts]
