"""What the quick commands import: the heavy libraries stay away until something needs them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CALL = "import sys; sys.argv[0] = 'planner'; from planner.cli.main import main; sys.exit(main())"
NEVER = ("kubernetes", "llvmlite", "matplotlib", "numba", "pandas", "scipy.optimize", "scipy.stats")
WORKLOAD = ["--input-tokens", "512", "--output-tokens", "128"]
QUESTION = ["--profile", "llama-3.1-8b-a100-vllm", "--qps", "20", *WORKLOAD]
FROM_PROMETHEUS = ["profile", "from-prometheus", "--help"]
OBJECTIVES = ["--slo", "ttft:p99<=500ms", "--slo", "itl:p95<=60ms"]


def imported_by(*arguments: str) -> set[str]:
    """The modules that `planner ARGUMENTS` imports, after it has succeeded."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", CALL, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, "\n".join(
        line for line in done.stderr.splitlines() if not line.startswith("import time:")
    )
    return set(re.findall(r"^import time:[^|]*\|[^|]*\| +(\S+)$", done.stderr, re.MULTILINE))


def among(modules: set[str], libraries: tuple[str, ...]) -> set[str]:
    return {module for module in modules for library in libraries if f"{module}.".startswith(f"{library}.")}


@pytest.mark.parametrize(
    "command", [["--help"], ["--version"], ["completion", "bash"], ["profile", "--help"], FROM_PROMETHEUS], ids=" ".join
)
def test_help_needs_no_mathematics(command):
    modules = imported_by(*command)
    assert "planner.cli.main" in modules
    assert not among(modules, (*NEVER, "numpy", "scipy", "pydantic", "yaml", "requests", "prometheus_api_client"))


@pytest.mark.parametrize(
    "command",
    [
        ["size", *QUESTION, *OBJECTIVES],
        ["size", *QUESTION, *OBJECTIVES, "-o", "json"],
        ["predict", "--replicas", "4", *QUESTION],
        ["compare", *QUESTION, *OBJECTIVES, "--variants", "quantization=awq"],
        ["profile", "list"],
        ["simulate", "--help"],
        ["size", "--help"],
        ["pipeline", "--help"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_quick_commands_leave_heavy_libraries_alone(command):
    modules = imported_by(*command)
    assert "planner.cli.main" in modules
    assert not among(modules, NEVER)
