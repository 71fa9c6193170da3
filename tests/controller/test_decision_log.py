"""The decision log: every line replays to the decision that was made."""

from __future__ import annotations

import resource
import shutil
import signal
from pathlib import Path

import pytest

from controller import decision_log
from controller.decision_log import DecisionLog, Entry, read_entries, replayed
from controller.explanation import explanation
from models.errors import InvalidInput
from tests.controller.soak_world import NAMES, SoakWorld
from tests.controller.world import World


@pytest.fixture(scope="module")
def world() -> World:
    made = World(load=lambda seconds: 40.0 + seconds / 5.0)
    made.run(600.0)
    return made


def write(folder: Path, world: World) -> Path:
    path = folder / "decisions.jsonl"
    log = DecisionLog(path)
    for snapshot, memory, decision in world.seen:
        log.add(Entry(snapshot=snapshot, memory=memory, decision=decision), world.capacity.profile)
    log.close()
    return path


def test_what_is_read_is_what_was_written_and_replays(tmp_path: Path, world: World):
    found = list(read_entries(write(tmp_path, world)))
    assert [(each.snapshot, each.memory, each.decision) for each, _ in found] == world.seen
    assert len({each.decision.desired for each, _ in found}) > 1
    for entry, profile in (found[0], found[-1]):
        assert replayed(entry, profile) == entry.decision


def add(log: DecisionLog, world: World, index: int = -1) -> bool:
    snapshot, memory, decision = world.seen[index]
    return log.add(Entry(snapshot=snapshot, memory=memory, decision=decision), world.capacity.profile)


def test_a_last_line_that_was_cut_off_is_told_and_left_aside(tmp_path: Path, world: World):
    path = write(tmp_path, world)
    text = path.read_text()
    path.write_text(text[:-100])
    told: list[str] = []
    assert len(list(read_entries(path, told.append))) == len(world.seen) - 1
    assert told == [f"{path}:{len(world.seen)} was cut off while it was written, and is left aside"]


def test_a_line_cut_off_in_the_middle_is_named_by_its_number(tmp_path: Path, world: World):
    path = write(tmp_path, world)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:4], lines[4][:-100], *lines[5:]]))
    with pytest.raises(InvalidInput, match=r"decisions.jsonl:5 is no decision"):
        list(read_entries(path))


def test_the_next_process_takes_a_torn_line_away_and_all_can_be_read(tmp_path: Path, world: World, caplog):
    path = write(tmp_path, world)
    path.write_bytes(path.read_bytes()[:-100])
    log = DecisionLog(path)
    assert "its last line was cut off" in caplog.text
    assert add(log, world)
    assert len(list(read_entries(path))) == len(world.seen)


def test_what_was_rotated_away_is_read_in_order(tmp_path: Path, world: World, monkeypatch):
    monkeypatch.setattr(decision_log, "MAX_BYTES", 50_000)
    monkeypatch.setattr(decision_log, "BACKUPS", 3)
    path = write(tmp_path, world)
    assert {each.name for each in tmp_path.iterdir()} == {
        "decisions.jsonl", "decisions.jsonl.1", "decisions.jsonl.2", "decisions.jsonl.3",
    }  # fmt: skip
    found = [entry.snapshot.now_s for entry, _ in read_entries(path)]
    assert found == [snapshot.now_s for snapshot, _, _ in world.seen][-len(found) :]
    assert len(found) > 4


def test_a_disk_that_is_full_loses_decisions_counts_them_and_tears_no_line(tmp_path: Path, world: World, caplog):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    log, path = DecisionLog(tmp_path / "decisions.jsonl"), tmp_path / "decisions.jsonl"
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        kept = [add(log, world, index) for index in range(20)]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    assert True in kept
    assert False in kept
    assert len(list(read_entries(path))) == kept.count(True)
    assert add(log, world)
    assert len(list(read_entries(path))) == kept.count(True) + 1
    told = [each.getMessage() for each in caplog.records]
    assert told == [
        f"decisions are not kept: {path} cannot be written: [Errno 28] No space left on device",
        f"decisions are kept again; {kept.count(False)} were not",
    ]


def test_a_folder_that_is_gone_stops_no_tick_and_is_counted(tmp_path: Path):
    folder = tmp_path / "volume"
    folder.mkdir()
    soak = SoakWorld(0)
    soak.settle()
    controller = soak.controllers["one"].controller
    controller.log = DecisionLog(folder / "decisions.jsonl")
    controller.log.close()
    shutil.rmtree(folder)
    assert len(controller.tick().decisions) == len(NAMES)
    page = controller.telemetry.text().decode()
    assert f"replicast_decisions_not_kept_total {float(len(NAMES))}" in page
    folder.mkdir()
    soak.models["plain"].rate_per_s = 150.0
    controller.tick()
    assert "serving/plain" in {entry.decision.policy for entry, _ in read_entries(folder / "decisions.jsonl")}


@pytest.mark.parametrize("text", ["{}\n", "[]\n", "nothing\n", '{"version": 99}\n'])
def test_what_is_no_decision_is_told_with_its_line(tmp_path: Path, text: str):
    path = tmp_path / "other.jsonl"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=r"other.jsonl:1 is no decision"):
        list(read_entries(path))


def test_an_explanation_says_what_why_and_what_one_fewer_would_do(world: World):
    text = explanation(world.decisions[-1])
    assert text.startswith("serving/chat, 2027-01-15 08:09:45 UTC\n")
    for words in ("requests/s of 512 tokens in and 128 out arrive.", "Why:", "are needed by", "(DemandExpected)"):
        assert words in text
