"""`planner …` in sessions of their own: Ctrl-C reaches the demonstration alone, which ends them in order."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
_PLANNER = "import sys; from planner.cli.main import main; sys.exit(main())"
_END_S = 15.0


@contextmanager
def planner(arguments: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`planner …` in the background; what it says goes to the log. It is gone afterwards."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-u", "-c", _PLANNER, *arguments],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        _end(process)


def said(arguments: Sequence[str], folder: Path) -> str:
    """What `planner …` says in a folder."""
    command, path = [sys.executable, "-c", _PLANNER, *arguments], {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=path, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout or done.stderr


def tail(log: Path, lines: int = 15) -> str:
    """The end of a log."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
