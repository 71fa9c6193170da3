"""The wheel: exactly three packages with their data, and it runs where no checkout is."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import planner

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built without network: hatchling is one of the tools in the environment."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    subprocess.run([*command, "--no-deps", "--target", str(target), str(wheel)], check=True)
    return target


def content(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def python(installed: Path, folder: Path, *arguments: str) -> str:
    """Run in `folder`, with the installed wheel in front of the checkout that an editable install adds."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_top_level_is_three_packages_and_their_metadata(wheel):
    tops = {name.partition("/")[0] for name in content(wheel)}
    assert tops == {"models", "planner", "controller", f"replicast-{planner.__version__}.dist-info"}


def test_every_source_and_data_file_is_inside(wheel):
    tracked = subprocess.run(
        ["git", "ls-files", "models", "planner", "controller"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if tracked.returncode != 0:
        pytest.skip("not a git checkout")
    assert set(tracked.stdout.split()) <= set(content(wheel))


@pytest.mark.parametrize("package", ["models", "planner", "controller"])
def test_types_are_inside(wheel, package):
    assert f"{package}/py.typed" in content(wheel)


def test_no_tests_are_inside(wheel):
    assert not [name for name in content(wheel) if {"tests", "conftest.py"} & set(name.split("/"))]


def test_the_licence_is_inside(wheel):
    assert f"replicast-{planner.__version__}.dist-info/licenses/LICENSE" in content(wheel)


@pytest.mark.parametrize("package", ["models", "planner", "controller"])
def test_packages_come_from_the_wheel(installed, tmp_path, package):
    where = python(installed, tmp_path, "-c", f"import {package}; print({package}.__file__)")
    assert Path(where.strip()).is_relative_to(installed)


def test_the_command_runs_outside_the_checkout(installed, tmp_path):
    script = str(installed / "bin" / "planner")
    assert planner.__version__ in python(installed, tmp_path, script, "--version")


def test_the_catalogue_comes_with_it(installed, tmp_path):
    script = str(installed / "bin" / "planner")
    assert "llama-3.1-8b-a100-vllm" in python(installed, tmp_path, script, "profile", "list")
