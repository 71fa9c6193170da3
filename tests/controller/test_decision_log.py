"""The decision log: every line replays to the decision that was made."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from controller.decision_log import DecisionLog, Entry, as_it_came, line_of, read_entries, replayed
from controller.explanation import explanation
from models.errors import InvalidInput
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


def test_a_line_cut_off_while_it_was_written_is_left_aside(tmp_path: Path, world: World):
    path = write(tmp_path, world)
    text = path.read_text()
    path.write_text(text[:-100])
    assert len(list(read_entries(path))) == len(world.seen) - 1


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
