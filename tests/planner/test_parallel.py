"""Large fleets on several cores: the same rows in the same order, the same errors, and a quiet end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.errors import InvalidInput, ReplicastError
from planner import fleet
from planner.fleet import FleetDefaults, FleetEntry, read_fleet, size_entries
from planner.parallel import map_in_order

CALL = """
import signal
from planner import fleet, parallel
from planner.cli.main import main
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    fleet.LEAST_ENTRIES_A_CORE, parallel.cores = 1, lambda: 2
    main()
"""


def write(folder: Path, count: int, **last: object) -> Path:
    path = folder / "fleet.yaml"
    lines = ["profile: llama-3.1-8b-a100-vllm", "objectives: ['ttft:p99<=500ms']", "workloads:"]
    lines += [
        f"  - {{name: w{index}, qps: {3 + index}, inputTokens: {100 + index}, outputTokens: 40}}"
        for index in range(count)
    ]
    if last:
        lines.append(f"  - {last}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def entries(folder: Path, count: int, **last: object) -> list[FleetEntry]:
    return read_fleet(write(folder, count, **last), FleetDefaults())


def test_the_rows_are_those_of_one_core_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = entries(tmp_path, 21)
    alone = list(size_entries(asked, cores=1))
    monkeypatch.setattr(fleet, "LEAST_ENTRIES_A_CORE", 1)
    assert list(size_entries(asked, cores=2)) == alone
    assert [row.name for row in alone] == [f"w{index}" for index in range(21)]


def test_small_fleets_start_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planner.parallel.ProcessPoolExecutor", None)
    asked = entries(tmp_path, 2 * fleet.LEAST_ENTRIES_A_CORE - 1)
    assert next(size_entries(asked, cores=64)).name == "w0"


def test_an_entry_that_cannot_be_sized_is_named_as_on_one_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = entries(tmp_path, 9, name="long", qps=1, inputTokens=600_000, outputTokens=9)
    messages = []
    for cores in (1, 2):
        monkeypatch.setattr(fleet, "LEAST_ENTRIES_A_CORE", 1)
        with pytest.raises(InvalidInput, match="workload 'long': ") as error:
            list(size_entries(asked, cores=cores))
        messages.append((str(error.value), error.value.remedy))
    assert messages[0] == messages[1]


def test_a_worker_that_is_killed_is_told() -> None:
    with pytest.raises(ReplicastError, match="was killed") as error:
        list(map_in_order(os._exit, [9, 9], workers=2))
    assert "memory" in error.value.remedy


def children(process: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def started(folder: Path) -> tuple[subprocess.Popen[str], list[int]]:
    script = folder / "planner_on_two_cores.py"
    script.write_text(CALL, encoding="utf-8")
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, str(script), "size", "--fleet", str(write(folder, 3000)), "-o", "csv"],
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    workers: list[int] = []
    while len(workers) < 3 and process.poll() is None:  # two workers and the tracker of resources
        time.sleep(0.05)
        workers = children(process.pid)
    return process, workers


def all_gone(workers: list[int]) -> bool:
    for _ in range(200):
        if not any(Path(f"/proc/{worker}").exists() and "Z" not in state(worker) for worker in workers):
            return True
        time.sleep(0.05)
    return False


def state(process: int) -> str:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


needs_proc = pytest.mark.skipif(not Path(f"/proc/self/task/{os.getpid()}/children").exists(), reason="needs /proc")


@needs_proc
@pytest.mark.parametrize("wait_s", [0.3, 1.5], ids=["while workers start", "while they work"])
def test_an_interrupt_of_all_processes_ends_quietly(tmp_path: Path, wait_s: float) -> None:
    process, workers = started(tmp_path)
    time.sleep(wait_s)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "stopped\n")
    assert all_gone(workers)


@needs_proc
def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    process, workers = started(tmp_path)
    process.kill()
    process.communicate(timeout=60)
    assert all_gone(workers)
