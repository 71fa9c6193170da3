"""The kill switch: whatever is there and does not plainly say `false` stops every write of replicas."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from controller.kill_switch import KillSwitch
from tests.controller.soak_world import SPACE, SoakWorld
from tests.controller.test_controller_loop import mid_tick


@pytest.mark.parametrize(
    ("content", "on"),
    [
        (b"", True), (b"true", True), (b"false\n", False), (b" FALSE ", False), (b"\xff\xfe\x00", True),
        (b"false" + b"\n" * 100, True), (b"falsehood", True),
    ],
)  # fmt: skip
def test_a_file_says_stop_unless_it_says_false(tmp_path: Path, content: bytes, on: bool):
    (tmp_path / "stop").write_bytes(content)
    assert KillSwitch(tmp_path / "stop").on() is on


def test_no_file_says_nothing(tmp_path: Path):
    assert KillSwitch(tmp_path / "stop").on() is False


@pytest.mark.parametrize("odd", ["pipe", "folder", "device", "link to nothing", "below a file"])
def test_what_cannot_be_read_says_stop_at_once(tmp_path: Path, odd: str):
    path = tmp_path / "stop"
    if odd == "pipe":
        os.mkfifo(path)
    elif odd == "folder":
        path.mkdir()
    elif odd == "device":
        path.symlink_to("/dev/zero")
    elif odd == "link to nothing":
        path.symlink_to("nowhere")
    else:
        path.write_text("false")
        path /= "more"
    assert KillSwitch(path).on() is True


def test_a_file_that_may_not_be_read_says_stop(tmp_path: Path, monkeypatch):
    def forbidden(*_arguments: object) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "open", forbidden)
    assert KillSwitch(tmp_path / "stop").on() is True


def test_it_is_looked_at_before_each_write(tmp_path: Path):
    world, path = SoakWorld(0), tmp_path / "stop"
    controller = mid_tick(world, lambda _judged: None)
    controller.kill_switch = KillSwitch(path)
    patch = controller.api.patch

    def turned_on(where, body, **more):
        if not where.endswith("/status"):
            path.write_text("true")
        return patch(where, body, **more)

    controller.api.patch = turned_on
    ticked = controller.tick()
    assert len(world.writes) == 1
    assert sum(each.write is not None for each in ticked.decisions.values()) > 1
    held = [each for _, name, told in world.told for each in told["conditions"] if name != world.writes[0].name]
    assert any("the kill switch was turned on" in each["message"] for each in held)
    assert (SPACE, "plain") in ticked.decisions
