"""Stand-ins for the benchmark tools of a sweep: they write down how they were called and leave a result where the tool
would."""

from __future__ import annotations

import shlex
from pathlib import Path

PLACES = {
    "vllm": '"$dir/$file"',
    "genai-perf": '"$artifacts/named-by-the-tool/profile_export_genai_perf.json"',
    "aiperf": '"$artifacts/profile_export_aiperf.json"',
    "guidellm": '"${report#kind=json,path=}"',
}
"""Where each program leaves its result, by its own options."""

_BODY = """#!/usr/bin/env bash
printf "%q " "$@" >> {calls}
echo >> {calls}
case "$*" in *{fails_on}*) exit 3;; esac
previous=
for word in "$@"; do
  case "$previous" in
    --result-dir) dir=$word;;
    --result-filename) file=$word;;
    --artifact-dir) artifacts=$word;;
    --output) report=$word;;
  esac
  previous=$word
done
result={place}
mkdir -p -- "$(dirname -- "$result")"
{leave}
"""


def install(
    programs: Path, calls: Path, *, fails_on: str = "no such load", results: dict[str, Path] | None = None
) -> None:
    """Put one of each program into a folder. `results` are real results by program; else they are empty files."""
    programs.mkdir()
    for program, place in PLACES.items():
        real = None if results is None else results[program]
        leave = ': > "$result"' if real is None else f'cp -- {shlex.quote(str(real))} "$result"'
        path = programs / program
        text = _BODY.format(calls=shlex.quote(str(calls)), fails_on=shlex.quote(fails_on), place=place, leave=leave)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
