"""The shipped profiles: built by the script, loaded fast, right about their own points."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from statistics import median
from types import ModuleType

import pytest
import yaml

from models.errors import InvalidInput
from models.mean_step import steady_point
from models.step_time import LinearStepTime
from planner.checks.trust import MEDIAN_ERROR
from planner.profile import CATALOGUE, catalogue_names, load_profile

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "build_catalogue.py"
NAMES = catalogue_names()
MEASURED = [name for name in NAMES if "-a100-" not in name]

pytestmark = pytest.mark.skipif(not SCRIPT.is_file(), reason="the script is not in the installed package")


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_catalogue", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["build_catalogue"] = module
    spec.loader.exec_module(module)
    return module


def close(built: object, shipped: object) -> bool:
    """Equal, but for the last digits of fitted numbers, which linear algebra libraries round differently."""
    if isinstance(built, dict) and isinstance(shipped, dict):
        return built.keys() == shipped.keys() and all(close(built[key], shipped[key]) for key in built)
    if isinstance(built, list) and isinstance(shipped, list):
        return len(built) == len(shipped) and all(map(close, built, shipped))
    if isinstance(built, float) or isinstance(shipped, float):
        return built == pytest.approx(shipped, rel=2e-3, abs=2e-4 if float(shipped) > 1e-2 else 1e-8)  # type: ignore[arg-type]
    return built == shipped


def test_the_script_rebuilds_every_profile(builder: ModuleType) -> None:
    entries, refused = builder.build()
    assert sorted(entry.name for entry in entries) == NAMES
    assert sum(refused.values()) > 0
    for entry in entries:
        shipped = yaml.load(
            (CATALOGUE / f"{entry.name}.yaml").read_text(encoding="utf-8"),
            Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader),
        )
        assert close(entry.document, shipped), entry.name


def test_the_page_of_the_catalogue_names_every_profile() -> None:
    page = (ROOT / "docs" / "catalogue.md").read_text(encoding="utf-8")
    assert [name for name in NAMES if f"`{name}`" not in page] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_profile_is_complete(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert profile.spec.step_time is not None, "fitted when built, so that it loads fast"
    assert profile.spec.measurements
    origin = profile.spec.provenance[0]
    assert origin.source
    assert origin.licence
    assert origin.points == len(profile.spec.measurements)
    assert any(note.startswith("limits:") for note in origin.notes)
    assert any(note.startswith("kvCacheTokens:") for note in origin.notes)


@pytest.mark.parametrize("name", MEASURED)
def test_every_measured_profile_meets_its_points(name: str) -> None:
    profile = load_profile(name)
    engine = profile.to_engine()
    errors = [
        abs(steady_point(engine.step_time, point, engine.limits).tpot_s / (point.tpot_s or 0.0) - 1.0)
        for point in profile.measurements
    ]
    assert median(errors) < MEDIAN_ERROR


@pytest.mark.parametrize(
    ("name", "tokens_per_s"), [("llama-3.1-8b-a100-vllm", 3500), ("llama-3.1-8b-a100-triton", 4200)]
)
def test_the_published_a100_rows_are_reproduced(name: str, tokens_per_s: float) -> None:
    profile = load_profile(name)
    engine = profile.to_engine()
    seen = steady_point(engine.step_time, profile.measurements[0], engine.limits)
    assert seen.requests_per_s * 128 == pytest.approx(tokens_per_s, rel=0.005)
    assert isinstance(engine.step_time, LinearStepTime)
    assert any("more from the prior than from the points" in note for note in profile.spec.provenance[0].notes)


def test_what_the_issue_asks_for_is_there() -> None:
    profiles = [load_profile(name) for name in NAMES]
    assert {"vllm", "triton-trtllm"} == {profile.spec.engine for profile in profiles}
    families = ("llama", "qwen", "deepseek", "gpt-oss")
    assert [f for f in families if not any(f in p.spec.model.lower() for p in profiles)] == []
    for gpu in ("A100-SXM4-80GB", "H100-SXM5-80GB", "H200-SXM5-141GB", "B200-SXM-180GB"):
        assert any(profile.spec.gpu.type == gpu for profile in profiles), gpu


def test_one_profile_loads_within_20_ms() -> None:
    load_profile(NAMES[0])
    largest = max(NAMES, key=lambda name: (CATALOGUE / f"{name}.yaml").stat().st_size)
    timings = []
    for _ in range(5):
        start = time.perf_counter()
        load_profile(largest).to_engine()
        timings.append(time.perf_counter() - start)
    assert min(timings) < 0.02


def test_a_misspelt_name_is_answered_with_near_ones() -> None:
    with pytest.raises(InvalidInput, match=r"no profile 'llama-3\.1-8b-a100-vlm'") as refusal:
        load_profile("llama-3.1-8b-a100-vlm")
    assert "llama-3.1-8b-a100-vllm" in refusal.value.remedy


def test_sources_keep_their_licence_beside_them() -> None:
    for folder in ("sources", "hardware"):
        text = (CATALOGUE.parent / folder / "SOURCE.md").read_text(encoding="utf-8")
        assert "Apache License 2.0" in text
        assert "aiconfigurator-core" in text
