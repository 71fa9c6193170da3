"""Keep the command reference in README.md equal to the commands' own `--help`.

`readme_help.py` fails when the two differ; `readme_help.py --write` (that is `make docs`) brings them together.
"""

import difflib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- commands: begin -->", "<!-- commands: end -->"
AS_THE_USER_CALLS_IT = "import sys; sys.argv[0] = 'planner'; from planner.cli.main import main; sys.exit(main())"
WIDTH = "100"


def help_text(command: tuple[str, ...]) -> str:
    """What `planner COMMAND --help` prints."""
    done = subprocess.run(
        [sys.executable, "-c", AS_THE_USER_CALLS_IT, *command, "--help"],
        env={**os.environ, "COLUMNS": WIDTH, "PYTHONUTF8": "1", "PYTHONPATH": str(README.parent)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"planner {' '.join(command)} --help failed:\n{done.stderr}")
    return "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())


def commands(group: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every command below `group`, the group itself first, with its help text."""
    text = help_text(group)
    yield group, text
    listing = re.search(r"^Commands:\n((?:  .*\n?)+)", text, re.MULTILINE)
    for name in re.findall(r"^  (\S+)", listing.group(1), re.MULTILINE) if listing else ():
        yield from commands((*group, name))


def reference() -> str:
    """The section between the markers."""
    parts = [f"### {' '.join(('planner', *command))}\n\n```text\n{text}\n```" for command, text in commands()]
    return "\n\n".join([BEGIN, *parts, END])


def rewritten(readme: str) -> str:
    """The README with the section between its markers made anew."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + reference() + after


def main(arguments: list[str]) -> int:
    """Compare, or write."""
    old = README.read_text(encoding="utf-8")
    new = rewritten(old)
    if "--write" in arguments:
        README.write_text(new, encoding="utf-8")
        return 0
    difference = difflib.unified_diff(old.splitlines(), new.splitlines(), "README.md", "planner --help", lineterm="")
    print("\n".join(difference))
    return int(old != new)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
