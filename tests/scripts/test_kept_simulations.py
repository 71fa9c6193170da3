"""Kept simulations: what a kill cuts short is simulated anew, and what other sources simulated is said to be."""

import json
import os

from scripts.kept_simulations import SOURCES, KeptSimulations, source_name


def line(number: int, **more) -> str:
    return json.dumps({"seed": 1, "number": number, **more}) + "\n"


def numbers(kept: KeptSimulations) -> list[int]:
    return [each["number"] for each in kept.lines()]


def test_a_half_written_last_line_does_not_count_and_is_written_anew(tmp_path):
    kept = KeptSimulations(folder=tmp_path / "new", kind="laws", source="abc")
    assert kept.lines() == []
    with kept.appending() as out:
        out.write(line(0) + line(1) + line(2)[:-9])
    assert numbers(kept) == [0, 1]
    with kept.appending() as out:
        out.write(line(2) + line(3))
    assert numbers(kept) == [0, 1, 2, 3]


def test_a_whole_number_without_its_line_end_may_be_a_part_of_it(tmp_path):
    kept = KeptSimulations(folder=tmp_path, kind="laws", source="abc")
    kept.file.write_text(line(0) + line(1).rstrip())
    assert numbers(kept) == [0]


def test_simulations_of_other_sources_are_dropped_in_one_message_or_used_where_asked(tmp_path):
    for age, (name, text) in enumerate(
        {
            "laws.jsonl": line(0, by="unknown") + line(1, by="unknown"),
            "laws-old.jsonl": line(1, by="old") + line(2, by="old"),
            "laws-now.jsonl": line(2, by="now"),
            "contention-old.jsonl": line(7),
        }.items()
    ):
        (tmp_path / name).write_text(text)
        os.utime(tmp_path / name, (age, age))
    strict = KeptSimulations(folder=tmp_path, kind="laws", source="now")
    assert numbers(strict) == [2]
    said = strict.said()
    assert said == (
        "laws: 4 kept simulations are of other sources than these: not used; --keep-stale uses them all the same"
    )
    lenient = KeptSimulations(folder=tmp_path, kind="laws", source="now", keep_stale=True)
    assert {each["number"]: each["by"] for each in lenient.lines()} == {0: "unknown", 1: "old", 2: "now"}
    assert (lenient.said() or "").endswith("used all the same")
    assert KeptSimulations(folder=tmp_path, kind="contention", source="old").said() is None


def test_another_simulator_is_another_source(tmp_path):
    for source in SOURCES:
        path = tmp_path / source
        file = path if path.suffix else path / "loop.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("1\n")
    before = source_name(tmp_path)
    assert source_name(tmp_path) == before
    (tmp_path / "models/simulation/loop.py").write_text("2\n")
    assert source_name(tmp_path) != before
