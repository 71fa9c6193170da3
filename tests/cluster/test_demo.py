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
    command = [sys.executable, "-m", "scripts.demo_cluster", "--folder", str(folder), *options]
    return subprocess.Popen(
        command, cwd=ROOT, text=True, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def left_in(folder: Path) -> list[str]:
    """Commands of the processes that were started with files of this folder."""
    found = subprocess.run(["ps", "-A", "-ww", "-o", "args="], capture_output=True, text=True, check=True)
    return [line for line in found.stdout.splitlines() if str(folder) in line]


def ready_seen(said: str, model: str) -> list[int]:
    return [int(count) for count in re.findall(rf"{model}: [^|\n]*? (\d+) ready", said)]


def test_replicas_follow_the_load_up_and_down(tmp_path):
    folder = tmp_path / "demo"
    demo = started(folder, "--seconds", "60")
    said, _ = demo.communicate(timeout=150)
    assert demo.returncode == 0, said
    for model in ("chat", "reranker"):
        ready = ready_seen(said, model)
        assert max(ready) >= ready[0] + 1, said
        assert ready[-1] < max(ready), said
    entries = [entry for entry, _ in read_entries(folder / "decisions.jsonl")]
    moved = [entry.decision for entry in entries if entry.written]
    assert all(decision.reasons for decision in moved)
    assert {decision.policy for decision in moved} == {"serving/chat", "serving/reranker"}
    assert "$ planner explain serving/" in said
    assert "Replayed: the same decision." in said
    assert left_in(folder) == []


def test_ctrl_c_stops_every_part(tmp_path):
    folder = tmp_path / "demo"
    demo = started(folder, "--seconds", "300")
    try:
        eventually(lambda: len(left_in(folder)), lambda seen: seen >= 5)
        time.sleep(3.0)  # somewhere in the middle of starting
    finally:
        os.killpg(demo.pid, signal.SIGINT)
    said, _ = demo.communicate(timeout=90)
    assert demo.returncode == 130, said
    assert "Traceback" not in said
    assert left_in(folder) == []
