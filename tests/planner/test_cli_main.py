"""The entry point as a process: pipes, full disks, signals, completion, unknown names."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PLANNER = [
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);from planner.cli.main import main; main()",
]
LONG = ["simulate", "--profile", "llama-3.1-8b-a100-vllm", "--replicas", "1", "--qps", "30"]
LENGTHS = ["--input-tokens", "512", "--output-tokens", "128"]


def planner(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PLANNER, *arguments], capture_output=True, text=True, env={**os.environ, **variables}, check=False, timeout=60
    )


def test_a_reader_that_goes_away_is_no_mistake() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        done = subprocess.run([*PLANNER, "profile", "list"], stdout=closed, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told_in_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*PLANNER, "profile", "list"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr.startswith("error: the output cannot be written: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_an_interrupt_ends_quietly() -> None:
    process = subprocess.Popen(
        [*PLANNER, *LONG, *LENGTHS, "--requests", "3000000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    process.stderr.readline()  # the progress bar has begun
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.endswith("stopped\n")
    assert "Traceback" not in err


def test_an_unknown_command_names_the_nearest() -> None:
    done = planner("sise")
    assert done.returncode == 2
    assert done.stderr == "error: planner: there is no command 'sise'\n  did you mean size?\n"


@pytest.mark.parametrize(
    ("words", "at", "offered"),
    [
        ("planner si", "1", ["plain,size", "plain,simulate"]),
        ("planner size --routing r", "3", ["plain,random", "plain,round-robin"]),
    ],
)
def test_the_shell_completes(words: str, at: str, offered: list[str]) -> None:
    done = planner(_PLANNER_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=at)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, offered, "")


def test_profile_names_are_completed() -> None:
    done = planner(
        _PLANNER_COMPLETE="bash_complete", COMP_WORDS="planner size --profile llama-3.1-8b-a100", COMP_CWORD="3"
    )
    assert "plain,llama-3.1-8b-a100-vllm" in done.stdout.split()
