"""A sweep as a shell script: each run once, a failed one told and passed over, an interrupted sweep taken up again."""

from __future__ import annotations

import shlex
import textwrap
from dataclasses import replace

from planner.sweep.manifest import NAME, manifest_text
from planner.sweep.plan import Sweep
from planner.sweep.shell_words import Fragment, command_line, seed

_WARM_UP_REQUESTS = 20

_HEAD = """#!/usr/bin/env bash
{about}
# Results go to the folder $RESULTS (./results); an interrupted sweep goes on where it stopped.
# Every run draws new prompts: seeds come from the clock, so that the prefix cache never answers. SEED=… repeats one.
set -euo pipefail

program={program}
if ! command -v "$program" >/dev/null; then
  echo "error: $program is not installed here" >&2
  echo "  install it, or run this where it is" >&2
  exit 2
fi
results=${{RESULTS:-results}}
seed=${{SEED:-$(( $(date +%s) % 20000000 * 100 ))}}
mkdir -p -- "$results"
"""

_WARM_UP = """# Not measured: the engine compiles and captures graphs on its first requests.
warm_up() {{
  local results
  results=$(mktemp -d)
  echo "warming up" >&2
  if ! {command} >&2; then
    rm -rf -- "$results"
    echo "error: the warm-up failed; nothing was measured" >&2
    echo "  see what $program says above: is the engine up, and at this address?" >&2
    exit 1
  fi
  rm -rf -- "$results"
}}
warm_up
"""

_RUN = """failed=()
run() {
  local name=$1 result=$2
  shift 2
  if [[ -e "$results/$name.done" ]]; then
    echo "$name: measured already" >&2
    return
  fi
  echo "$name" >&2
  if "$@" >&2 && compgen -G "$results/$result" >/dev/null; then
    touch -- "$results/$name.done"
  else
    compgen -G "$results/$result" >/dev/null || echo "error: $name left no $results/$result" >&2
    failed+=("$name")
  fi
}
"""

_TAIL = """if (( ${{#failed[@]}} )); then
  echo "error: these runs failed: ${{failed[*]}}" >&2
  echo "  see what $program says above; run this again to repeat only them" >&2
  exit 1
fi
echo "done; now make the profile:" >&2
printf '%s %q/%s\n' {command} "$results" {files}
"""


def script(sweep: Sweep) -> str:
    """The script's text."""
    tool = sweep.tool
    parts = [
        _HEAD.format(
            about="\n".join(map(_comment, _about(sweep))),
            program=shlex.quote(tool.PROGRAM),
        ),
        *(f"export {name}={shlex.quote(value)}\n" for name, value in tool.ENVIRONMENT.items()),
        f"cat > \"$results/{NAME}\" <<'MANIFEST'\n{manifest_text(sweep)}MANIFEST\n",
        _warm_up(sweep),
        _RUN,
        "".join(_run(sweep, index) for index in range(len(sweep.runs))),
        _TAIL.format(command=shlex.quote(_import(sweep)), files=shlex.quote(tool.RESULTS)),
    ]
    return "\n".join(parts)


def _run(sweep: Sweep, place: int) -> str:
    run = sweep.runs[place]
    words = sweep.tool.command(run, sweep.target, seed(run.index))
    return command_line((Fragment("run"), run.name, sweep.tool.result(run), *words)) + "\n"


def _warm_up(sweep: Sweep) -> str:
    """One run whose results are thrown away: the engine captures graphs and compiles on its first requests."""
    first = sweep.runs[0]
    run = replace(first, requests=max(_WARM_UP_REQUESTS, int(first.load.concurrency or 1)), warmups=1)
    words = command_line(sweep.tool.command(run, sweep.target, seed(0)), indent="    ")
    return _WARM_UP.format(command=words)


def _about(sweep: Sweep) -> tuple[str, str, str]:
    count = len(sweep.runs)
    title = f"{count} run{'s' if count > 1 else ''} of {sweep.tool_name} for a profile of {sweep.setup.model}."
    return title, sweep.reason, _lasting(sweep)


def _comment(text: str) -> str:
    """A text as lines of comment, whatever it holds: a profile's name is the user's."""
    plain = "".join(character if character.isprintable() else " " for character in text)
    return textwrap.fill(plain, 110, initial_indent="# ", subsequent_indent="# ") or "#"


def _lasting(sweep: Sweep) -> str:
    requests = sum(run.requests + run.warmups for run in sweep.runs)
    if sweep.expected_s is None:
        return f"{requests:,} requests; how long they take is not known beforehand."
    return f"{requests:,} requests; about {_minutes(sweep.expected_s)} if the engine is as expected."


def _minutes(seconds: float) -> str:
    minutes = max(1, round(seconds / 60.0))
    return f"{minutes} minute{'s' if minutes > 1 else ''}"


def _import(sweep: Sweep) -> str:
    """The command that makes the profile, without the files."""
    return f"{command_line(sweep.import_command())} -O profile.yaml"
