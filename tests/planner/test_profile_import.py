"""From benchmark files to a profile: one set-up, nothing half-written, and a plan in the end."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from planner.cli.main import run
from planner.profile import load_profile

SAMPLES = Path(__file__).parent / "importers" / "samples"
POINTS = "concurrency,input_tokens,output_tokens,ttft_mean_ms,tpot_mean_ms\n" + "".join(
    f"{users},512,128,{40 + 2 * users},{8 + 0.1 * users}\n" for users in (1, 4, 16, 64)
)
WHAT = ["--engine", "vllm", "--model", "meta-llama/Llama-3.1-8B-Instruct", "--gpu", "H100-SXM5-80GB"]


@pytest.fixture
def points(tmp_path: Path) -> Path:
    path = tmp_path / "points.csv"
    path.write_text(POINTS, encoding="utf-8")
    return path


def test_points_become_a_profile_that_sizes(tmp_path: Path, points: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "mine.yaml"
    assert run(["profile", "import", str(points), *WHAT, "-O", str(out)]) == 0
    told = capsys.readouterr().out
    assert "fitted:" in told
    assert "4 users, 512 in / 128 out" in told
    profile = load_profile(str(out))
    assert profile.name == "mine"
    assert len(profile.spec.measurements) == 4
    assert profile.spec.provenance[0].source == "CSV of points: points.csv"
    lengths = ["--input-tokens", "512", "--output-tokens", "128"]
    assert run(["size", "--profile", str(out), "--qps", "20", *lengths, "--slo", "e2e:p95<=5s"]) == 0


def test_files_of_two_set_ups_are_refused_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "mixed.yaml"
    table = SAMPLES / "inferencex" / "inferencex_glm5_minimax_isl_sweep.csv"
    assert run(["profile", "import", str(table), "--engine", "vllm", "--gpu", "B200-SXM-180GB", "-O", str(out)]) == 2
    told = capsys.readouterr().err
    assert "MiniMaxAI/MiniMax-M2.5 and zai-org/GLM-5-FP8" in told
    assert "line 54" in told
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--engine", "vllm", "--model", "m"], "which gpu was measured"),
        (["--model", "m", "--gpu", "L4-24GB"], "which engine was measured"),
    ],
)
def test_what_no_file_says_is_asked_for(
    tmp_path: Path, points: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
):
    out = tmp_path / "mine.yaml"
    assert run(["profile", "import", str(points), *options, "-O", str(out)]) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_runs_without_tokens_make_no_token_profile(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (sample, *_) = sorted((SAMPLES / "perf_analyzer").glob("*.csv"))
    assert run(["profile", "import", str(sample), *WHAT, "-O", str(tmp_path / "x.yaml")]) == 2
    assert "counts inferences and no tokens" in capsys.readouterr().err


def test_one_run_told_by_several_files_counts_once(tmp_path: Path):
    out = tmp_path / "one.yaml"
    folder = SAMPLES / "aiperf"
    files = [str(path) for path in sorted(folder.rglob("profile_export_aiperf.*")) if "c8" in str(path)]
    if len(files) < 2:
        files = [str(path) for path in sorted(folder.rglob("*profile_export_aiperf.*"))][:2]
    assert len(files) == 2
    assert run(["profile", "import", *files, *WHAT, "-O", str(out)]) == 0
    rows = yaml.safe_load(out.read_text(encoding="utf-8"))["spec"]["measurements"]
    assert len(rows) == 1


def test_how_much_lengths_vary_is_kept(tmp_path: Path):
    """Requests of 1 to 40 tokens: their coefficient of variation stands in the profile, and is read back."""
    result = json.loads((SAMPLES / "vllm_bench_serve" / "vllm_bench_c4.json").read_text(encoding="utf-8"))
    lengths = {"input_lens": [100, 200] * 20, "output_lens": list(range(1, 41))}
    source, out = tmp_path / "c4.json", tmp_path / "varied.yaml"
    source.write_text(json.dumps({**result, **lengths}), encoding="utf-8")
    assert run(["profile", "import", str(source), *WHAT, "-O", str(out)]) == 0
    (point,) = load_profile(str(out)).measurements
    assert point.input_tokens_cv == pytest.approx(1 / 3, abs=1e-4)
    assert point.output_tokens_cv == pytest.approx(0.5631, abs=1e-4)  # √((40² − 1) / 12) / 20.5


@pytest.mark.parametrize("counted", ["512", "512.3"], ids=["alike", "differing by counting"])
def test_fit_shows_residuals_and_draws(counted: str, tmp_path: Path, points: Path, capsys: pytest.CaptureFixture[str]):
    out, picture = tmp_path / "mine.yaml", tmp_path / "fit.svg"
    points.write_text(POINTS.replace("512", counted, 1), encoding="utf-8")
    assert run(["profile", "import", str(points), *WHAT, "-O", str(out)]) == 0
    assert run(["profile", "fit", str(out), "--plot", str(picture)]) == 0
    assert "per_decode" in capsys.readouterr().out
    drawn = picture.read_text(encoding="utf-8")
    assert drawn.startswith("<?xml")
    # A fitted curve is one path of many points; TPOT and TTFT have one each.
    curves = [path for path in re.findall(r'<path d="([^"]+)"', drawn) if path.count("L ") >= 50]
    assert len(curves) >= 2
