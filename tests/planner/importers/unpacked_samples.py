"""Samples as the tools wrote them: the packed ones are unpacked beside copies of their neighbours."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

SAMPLES = Path(__file__).parent / "samples"
C8 = "genai-perf/tiny-llama-openai-completions-concurrency8"


def unpacked(folder: str, into: Path, *names: str) -> Path:
    """A copy of a sample folder under `into`, all of it or the named files; its name is kept."""
    target = into / Path(folder).name
    target.mkdir(parents=True, exist_ok=True)
    for source in sorted((SAMPLES / folder).iterdir()):
        name = source.name.removesuffix(".gz")
        if source.is_dir() or (names and name not in names):
            continue
        if source.suffix == ".gz":
            (target / name).write_bytes(gzip.decompress(source.read_bytes()))
        else:
            shutil.copy(source, target / name)
    return target
