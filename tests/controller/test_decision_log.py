"""The decision log: every line replays to the decision that was made."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.decision_log import DecisionLog, Entry, read_entries, replayed
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
