"""README.md is true: its command reference is the commands' help, its links lead somewhere, its commands run."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROSE = README.partition("<!-- commands: begin -->")[0]
CALL = "import sys; sys.argv[0] = 'planner'; from planner.cli.main import main; sys.exit(main())"


def shown_commands() -> list[str]:
    """Every `$ planner …` of the README, continuation lines joined."""
    return re.findall(r"^\$ (planner .*)$", PROSE.replace("\\\n", ""), re.MULTILINE)


def run(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False)


def test_the_command_reference_is_the_help_text():
    done = run("scripts/readme_help.py")
    assert done.returncode == 0, f"run `make docs`\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("command", shown_commands())
def test_a_command_in_the_readme_runs(command, tmp_path):
    typed, _, _redirected_to = command.partition(" >>")
    # Files of the reader's own.
    sample = ROOT / "tests/planner/importers/samples/vllm_bench_serve/vllm_bench_c4.json"
    profile = ROOT / "planner/catalogue/profiles/qwen3-32b-h100-vllm-tp2.yaml"
    for name, source in (("closed_c4.json", sample), ("open_4.json", sample), ("my-profile.yaml", profile)):
        shutil.copy(source, tmp_path / name)
    shutil.copy(ROOT / "tests/planner/plans/topology.json", tmp_path / "plan.json")
    for name, text in re.findall(r"^```yaml\n# ([a-z]+\.yaml)(.*?)^```", PROSE, re.MULTILINE | re.DOTALL):
        (tmp_path / name).write_text(f"#{text}", encoding="utf-8")
    if "topology" in command:
        shutil.copytree(ROOT / "tests/planner/topologies", tmp_path, dirs_exist_ok=True)
    words = shlex.split(typed.replace("_c*.json", "_c4.json").replace("_*.json", "_4.json"))[1:]
    done = run("-c", CALL, *words, folder=tmp_path)
    contradicts = command.startswith("planner profile check")
    assert done.returncode == int(contradicts), done.stderr
    assert done.stdout
    if command.startswith("planner report"):
        assert done.stdout.strip() in PROSE


def test_make_demo_is_the_example_of_the_readme():
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", "")
    (shown,) = re.findall(r"\$\(bin\)/(planner size .*)", recipe)
    assert shlex.split(shown) in [shlex.split(command) for command in shown_commands()]


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", PROSE))))
def test_a_link_leads_somewhere(link):
    assert link.startswith("https://") or (ROOT / link).exists()


PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(page for folder in ("docs", "deploy", "examples") for page in ROOT.glob(f"{folder}/**/*.md")),
    ]
)


def misplaced(text: str) -> list[int]:
    """Numbers of lines that fences do not put where they belong: prose inside, or a fence that no other closes."""
    found, opened = [], 0
    for number, line in enumerate(text.splitlines(), start=1):
        fence = re.match(r" *```(.*)", line)
        if fence is None:
            told = re.search(
                r"^[A-Z].*(`[^`]+`|\]\()", line
            )  # as prose has names and links, and what programs say has not
            found += [number] if opened and told else []
        elif bool(fence[1]) == bool(opened):  # one that opens says of what language it is, one that closes says nothing
            found.append(opened or number)
            opened = number if fence[1] else 0
        else:
            opened = 0 if opened else number
    return found + ([opened] if opened else [])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_fences_are_closed_and_hold_no_prose(page):
    assert misplaced(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a\n```text\nls\n```\nb", []),
        ("```text\nls\nb", [1]),
        ("```text\nls\n```sh\nls\n```", [1]),
        ("```\nls\n```", [1, 3]),
        ("```text\nls\nAs `this` says\n```", [3]),
    ],
)
def test_a_fence_that_is_not_closed_or_holds_prose_is_found(text, lines):
    assert misplaced(text) == lines
