"""The direction of imports, what each layer may import, and what a file may be called."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("models", "planner", "controller")

MODELS_MAY_IMPORT = {"models", "numpy", "scipy", "numba"} | {
    "__future__", "abc", "base64", "bisect", "cmath", "collections", "dataclasses", "enum", "fractions", "functools",
    "heapq", "itertools", "math", "operator", "types", "typing",
}  # fmt: skip
"""The mathematics: three libraries, and the part of the standard library that touches nothing outside."""

INPUT_OUTPUT_CALLS = {"breakpoint", "eval", "exec", "input", "open", "print"}
VAGUE_NAMES = {"common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module that a file imports, at the top or inside functions, by its full dotted name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def called(tree: ast.AST) -> set[str]:
    return {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}


def test_the_import_contracts_hold():
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    done = subprocess.run([*command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", sources("models"), ids=name)
def test_models_is_mathematics(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = set(imported(tree))
    assert {module.partition(".")[0] for module in modules} <= MODELS_MAY_IMPORT
    assert not called(tree) & INPUT_OUTPUT_CALLS


@pytest.mark.parametrize("path", sources("models"), ids=name)
def test_numba_stays_in_the_simulation(path):
    if "simulation" in path.parts:
        return
    modules = set(imported(ast.parse(path.read_text(encoding="utf-8"))))
    used = {module for module in modules if module.startswith(("numba", "models.simulation"))}
    # Where no law is known of a dynamic batcher, its laws are those of a sample.
    assert used <= ({"models.simulation.batching_sample.sampled"} if path.name == "dynamic_batching.py" else set())


@pytest.mark.parametrize("path", sources("models", "planner", "controller"), ids=name)
def test_no_scipy_stats(path):
    """Importing it takes longer than everything else together; scipy.special has the functions."""
    modules = imported(ast.parse(path.read_text(encoding="utf-8")))
    assert not [module for module in modules if module.startswith("scipy.stats")]


@pytest.mark.parametrize("path", sources("planner", "controller"), ids=name)
def test_only_the_command_line_speaks_to_the_terminal(path):
    if path.is_relative_to(ROOT / "planner" / "cli"):
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not {module for module in imported(tree) if module.startswith("click")}
    assert not called(tree) & {"print", "input"}


@pytest.mark.parametrize("path", sources(*PACKAGES, "tests", "scripts", "benchmarks"), ids=name)
def test_a_file_is_named_for_what_it_holds(path):
    assert not set(path.stem.lower().split("_")) & VAGUE_NAMES


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_are_typed(package):
    assert (ROOT / package / "py.typed").is_file()
