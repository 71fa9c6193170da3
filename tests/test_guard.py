"""Another project's `models` in front of ours is refused in words."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def import_planner(first_on_path: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(first_on_path), str(ROOT)])
    command = [sys.executable, "-c", "import planner"]
    return subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, cwd=first_on_path, capture_output=True, text=True, check=False
    )


def test_a_path_without_strangers_is_accepted(tmp_path):
    assert import_planner(tmp_path).returncode == 0


@pytest.mark.parametrize("stranger", ["models.py", "models/__init__.py"])
def test_a_stranger_is_refused(tmp_path, stranger):
    file = tmp_path / stranger
    file.parent.mkdir(exist_ok=True)
    file.write_text("raise RuntimeError('somebody else’s code ran')\n", encoding="utf-8")
    done = import_planner(tmp_path)
    assert done.returncode != 0
    assert "somebody else" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last == (
        f"ImportError: Replicast needs its own package 'models' (in {ROOT}), but Python finds {file}. "
        "Install Replicast by itself (pipx, uv tool, or its own virtual environment) and clear PYTHONPATH."
    )
