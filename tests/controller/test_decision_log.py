"""The decision log: every line replays to the decision that was made."""

from __future__ import annotations

import json
import resource
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from controller import decision_log
from controller.decision_log import DecisionLog, Entry, as_it_came, line_of, read_entries, replayed
from controller.explanation import explanation
from planner.cli.main import run
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


@pytest.mark.parametrize(
    "odd",
    [b"{", b"", b"null", b"[]", b"\xff\xfe", b"\x00" * 50, b"{}", b'{"version": 2}', b"[" * 100_000, b"9" * 5000,
     b'{"version":1,"profile":{"kind":"x"},"snapshot":{},"memory":{},"decision":{}}'],
)  # fmt: skip
def test_a_line_that_is_no_decision_is_named_and_the_others_are_read(tmp_path: Path, world: World, odd: bytes):
    path = write(tmp_path, world)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:4], odd + b"\n", *lines[4:]]))
    told: list[str] = []
    assert [entry.decision for entry, _ in read_entries(path, told.append)] == [each for _, _, each in world.seen]
    (said,) = told
    assert said.startswith(f"{path}:5 is no decision: ")
    assert said.endswith(", and is left aside")
    assert len(said) < 400


def test_explain_names_bad_lines_and_tells_the_decision(tmp_path: Path, world: World, capsys):
    path = write(tmp_path, world)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*[b"junk\n"] * 12, *lines, lines[0][:-50]]))
    assert run(["explain", "serving/chat", "--decision-log", str(path), "--replay"]) == 0
    out, err = capsys.readouterr()
    assert "Replayed: the same decision." in out
    assert [f"{path}:{number} is no decision" in err for number in (1, 10, 11)] == [True, True, False]
    assert "and 3 more lines" in err
    path.write_bytes(b"junk\n")
    assert run(["explain", "serving/chat", "--decision-log", str(path)]) == 2
    assert "holds no decision" in capsys.readouterr().err


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


def test_an_explanation_says_what_why_and_what_one_fewer_would_do(world: World):
    text = explanation(world.decisions[-1])
    assert text.startswith("serving/chat, 2027-01-15 08:09:45 UTC\n")
    for words in ("requests/s of 512 tokens in and 128 out arrive.", "Why:", "are needed by", "(DemandExpected)"):
        assert words in text


def test_a_write_that_was_not_made_is_not_told_as_written():
    made = World(load=lambda _: 160.0, replicas=1)
    made.tick()
    (snapshot, memory, decision), *_ = made.seen
    entry = Entry(snapshot=snapshot, memory=memory, decision=decision, error="the policy was changed")
    text = explanation(as_it_came(entry))
    assert "Not written; it would be: scale it from 1 to 2" in text
    assert "the write was not made: the policy was changed" in text
    assert "Written: scale it" in explanation(as_it_came(replace(entry, written=True, error="")))


def test_a_line_of_before_who_is_written_to_was_kept_replays_to_the_same(tmp_path: Path):
    made = World(load=lambda _: 160.0, replicas=1)
    made.tick()
    (snapshot, memory, decision), *_ = made.seen
    line = json.loads(line_of(Entry(snapshot=snapshot, memory=memory, decision=decision), None))
    for each in ("write", "proposed"):
        for name in ("uid", "maximum_before", "stated"):
            del line["decision"][each][name]
    for name in ("running", "running_changes", "written_max", "written_version", "tried"):
        del line["memory"][name]
    del line["snapshot"]["target"]["resource_version"]
    path = tmp_path / "old.jsonl"
    path.write_text(json.dumps(line) + "\n", encoding="utf-8")
    ((entry, _),) = read_entries(path)
    assert replayed(entry, made.capacity.profile) == entry.decision
