"""`make demo-cluster`: the controller follows the load on a real cluster, tells why, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from controller.decision_log import read_entries
from scripts.control_plane import ControlPlaneMissing, program
from tests.cluster.control_plane import ROOT
from tests.cluster.waiting import eventually


@pytest.fixture(autouse=True)
def _programs():
    try:
        program("kube-apiserver")
    except ControlPlaneMissing as missing:
        pytest.fail(f"there is no control plane: {missing}", pytrace=False)


def started(folder: Path, *options: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "scripts.demo_cluster", *options]
    return subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "TMPDIR": str(folder)}, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def left_in(folder: Path) -> list[str]:
    """Commands of the processes that were started with files of this folder."""
    found = subprocess.run(["ps", "-A", "-ww", "-o", "args="], capture_output=True, text=True, check=True)
    return [line for line in found.stdout.splitlines() if str(folder) in line]


def ready_seen(said: str, model: str) -> list[int]:
    return [int(count) for count in re.findall(rf"{model}: [^|\n]*? (\d+) ready", said)]


def test_replicas_follow_the_load_up_and_down(tmp_path):
    log = tmp_path / "decisions.jsonl"
    demo = started(tmp_path, "--seconds", "40", "--decision-log", str(log))
    said, _ = demo.communicate(timeout=150)
    assert demo.returncode == 0, said
    for model in ("chat", "reranker"):
        ready = ready_seen(said, model)
        assert max(ready) >= ready[0] + 1, said
        assert ready[-1] < max(ready), said
    entries = [entry for entry, _ in read_entries(log)]
    moved = [entry.decision for entry in entries if entry.written]
    assert all(decision.reasons for decision in moved)
    assert {decision.policy for decision in moved} == {"serving/chat", "serving/reranker"}
    assert "$ planner explain serving/" in said
    assert "Replayed: the same decision." in said
    assert left_in(tmp_path) == []
    assert [each.name for each in tmp_path.iterdir()] == ["decisions.jsonl"]


def test_ctrl_c_stops_every_part(tmp_path):
    demo = started(tmp_path, "--seconds", "300")
    try:
        eventually(lambda: len(left_in(tmp_path)), lambda seen: seen >= 5)
        time.sleep(3.0)  # somewhere in the middle of starting
    finally:
        os.killpg(demo.pid, signal.SIGINT)
    said, _ = demo.communicate(timeout=90)
    assert demo.returncode == 130, said
    assert "Traceback" not in said
    assert left_in(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
