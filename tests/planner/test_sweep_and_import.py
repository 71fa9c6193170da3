"""Results of a sweep's tools, where its manifest says they will be, are what `planner profile import` reads."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from planner.cli.main import run
from planner.importers.aiperf import Aiperf
from planner.importers.genai_perf import GenaiPerf
from planner.run_check import check_runs
from tests.planner.benchmark_stand_ins import install

SAMPLES = Path(__file__).parent / "importers" / "samples"
GENAI = SAMPLES / "genai-perf" / "tiny-llama-openai-completions-concurrency8" / "profile_export_genai_perf.json"
RESULTS = {
    "vllm-bench": SAMPLES / "vllm_bench_serve" / "vllm_bench_c4.json",
    "genai-perf": GENAI,
    "aiperf": SAMPLES / "aiperf" / "c4" / "profile_export_aiperf.json",
    "guidellm": SAMPLES / "guidellm" / "guidellm_sweep.trimmed.json.gz",
}
"""A real result of each tool."""


PROGRAMS = {"vllm-bench": "vllm", "genai-perf": "genai-perf", "aiperf": "aiperf", "guidellm": "guidellm"}


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The results by program, unpacked."""
    folder = tmp_path_factory.mktemp("samples")
    plain = {}
    for tool, path in RESULTS.items():
        data = path.read_bytes()
        plain[PROGRAMS[tool]] = folder / f"{tool}.json"
        text = gzip.decompress(data) if path.suffix == ".gz" else data
        # One of the samples is of a server that called its model otherwise.
        plain[PROGRAMS[tool]].write_bytes(text.replace(b'"mock-model"', b'"tiny-llama"'))
    return plain


@pytest.mark.parametrize("tool", list(RESULTS))
def test_the_command_that_a_sweep_ends_with_makes_the_profile(
    tool: str, samples: dict[str, Path], tmp_path: Path, capsys, monkeypatch
) -> None:
    """The script itself runs, with a stand-in that leaves a real result where the tool would."""
    arguments = ["--model", "tiny-llama", "--gpu", "L4-24GB", "--concurrency", "8", "--tokenizer", "t"]
    lengths = ["--input-tokens", "64", "--output-tokens", "32"]
    script = tmp_path / "sweep.sh"
    assert run(["profile", "sweep", "--tool", tool, *arguments, *lengths, "-O", str(script)]) == 0
    programs = tmp_path / "bin"
    install(programs, tmp_path / "calls", results=samples)
    path = f"{programs}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", str(script)],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    monkeypatch.chdir(tmp_path)
    command = done.stdout.replace("\\\n", " ").split()
    assert command[:3] == ["planner", "profile", "import"]
    files = sorted(str(found) for found in Path().glob(command[-1]))
    assert len(files) == 1
    assert run([*command[1:-1], *files]) == 0, capsys.readouterr().err
    made = yaml.safe_load((tmp_path / "profile.yaml").read_text(encoding="utf-8"))
    assert made["spec"]["model"] == "tiny-llama"
    assert made["spec"]["measurements"]
    assert made["spec"]["gpu"]["type"] == "L4-24GB"

    # Without an option the manifest beside the results says what was measured.
    assert run(["profile", "import", *files, "-O", "again.yaml"]) == 0, capsys.readouterr().err
    again = yaml.safe_load((tmp_path / "again.yaml").read_text(encoding="utf-8"))
    assert again["spec"]["gpu"] == made["spec"]["gpu"]
    assert any("of the sweep" in note for note in again["spec"]["provenance"][0]["notes"])


def test_results_of_another_model_than_the_sweeps_are_refused(tmp_path: Path, capsys) -> None:
    arguments = ["--model", "tiny-llama", "--gpu", "L4-24GB", "--concurrency", "8", "--tokenizer", "t"]
    lengths = ["--input-tokens", "64", "--output-tokens", "32"]
    assert run(["profile", "sweep", "--tool", "vllm-bench", *arguments, *lengths]) == 0
    body = capsys.readouterr().out.partition("<<'MANIFEST'\n")[2].partition("\nMANIFEST\n")[0]
    (tmp_path / "sweep.yaml").write_text(body, encoding="utf-8")
    result = tmp_path / "01-closed-c8-i64-o32.json"
    result.write_bytes(RESULTS["vllm-bench"].read_bytes())
    assert run(["profile", "import", str(result), "-O", str(tmp_path / "p.yaml")]) == 2
    assert "is of model mock-model, and sweep.yaml beside it measured tiny-llama" in capsys.readouterr().err


def test_outputs_of_another_length_than_asked_are_told_on_import(tmp_path: Path) -> None:
    """The real files, of 32 tokens asked and enforced; then as if nothing had enforced them, so that the count is
    the client's, which tokenises again and counts 35.5."""
    for importer, sample, where in (
        (GenaiPerf(), RESULTS["genai-perf"], ("input_config", "input", "extra")),
        (Aiperf(), RESULTS["aiperf"], ("input_config", "endpoint", "extra")),
    ):
        assert "output-length" not in {f.code for f in check_runs(importer.runs(sample))}
        document = json.loads(sample.read_text(encoding="utf-8"))
        part = document
        for step in where[:-1]:
            part = part[step]
        part[where[-1]] = {}
        document = {name: figures for name, figures in document.items() if "usage_" not in name}  # the server's count
        changed = tmp_path / importer.tool / sample.name
        changed.parent.mkdir()
        changed.write_text(json.dumps(document), encoding="utf-8")
        (finding,) = [f for f in check_runs(importer.runs(changed)) if f.code == "output-length"]
        assert finding.what.startswith("32 output tokens were asked for and 35.")
        assert "the client counts tokens of its own" in finding.meaning
